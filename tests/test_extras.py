"""Every module imports without what the extras bring."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
INSIDE = ROOT / "vrft_pl/rollout/vllm/inside"
"""Runs in the environment of vLLM."""
MODULES = [path for path in sorted((ROOT / "vrft_pl").rglob("*.py")) if INSIDE not in path.parents]
BROUGHT = {
    "PIL": "pillow",
    "docstring_parser": "jsonargparse",
    "google": "wandb",
    "griffe": "griffelib",
    "markupsafe": "jinja2",
    "safetensors": "transformers",
    "yaml": "jsonargparse",
}
"""Which dependency brings a package of another name."""


def required():
    """Names of the packages that are always there, as they are imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in project["dependencies"]}


def at_import(body):
    """Packages that are imported while a module is, and not where only type checkers look."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            guarded = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            yield from at_import([] if guarded else node.body)
            yield from at_import(getattr(node, "orelse", []))


def test_what_a_module_imports_is_a_dependency():
    known = {*required(), *sys.stdlib_module_names, "vrft_pl"}
    found = {
        (path.relative_to(ROOT).as_posix(), package)
        for path in MODULES
        for name in at_import(ast.parse(path.read_text(encoding="utf-8")).body)
        if BROUGHT.get(package := name.partition(".")[0], package) not in known
    }
    assert found == set()
    assert len(MODULES) > 250


def test_what_is_installed_to_develop_has_a_version_that_was_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = map(Requirement, [*project["dependencies"], *extras["dev"], *extras["docs"], *extras["bench"]])
    lines = [line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines()]
    pinned = {canonicalize_name(name): version for name, _, version in lines}
    assert [str(it) for it in asked if not it.specifier.contains(pinned.get(canonicalize_name(it.name), "0"))] == []


BLOCKED = ("av", "mkdocs", "pytest", "timm", "trl", "vllm")
"""Of extras; `matplotlib` and `bitsandbytes` are imported by torchmetrics and transformers where they are installed."""
PROGRAM = f"""
import importlib, pathlib, sys
for name in {BLOCKED}:
    sys.modules[name] = None
root = pathlib.Path("vrft_pl")
names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in sorted(root.rglob("*.py"))]
for name in names:
    if ".inside" not in name:
        importlib.import_module(name)
print(len(names))
"""


@pytest.mark.nightly  # a process that imports torch anew
def test_every_module_imports_without_extras():
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout.split()[-1]) >= len(MODULES)
