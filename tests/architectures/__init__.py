"""Tiny random checkpoints of the architectures that transformers knows, a file a house.

Each `build_NAME(folder)` writes one and returns its folder; its docstring says what is peculiar about it.
"""

import importlib
import pkgutil

import checkpoints
import families

MODULES = [
    checkpoints,
    families,
    *(importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)),
]
BUILDERS = {
    name.removeprefix("build_"): value
    for module in MODULES
    for name, value in vars(module).items()
    if name.startswith("build_") and value.__module__ == module.__name__
}
NOT_BUILT = {key: why for module in MODULES for key, why in getattr(module, "NOT_BUILT", {}).items()}
"""Keys of transformers' map that can't be built here, with the reason."""
for helper in ("tokenizer", "qwen"):
    del BUILDERS[helper]
"""By name: the key of transformers' map, with what is special about a variant behind it."""
