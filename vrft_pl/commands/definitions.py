"""Where a name of an import path is defined, read from the source: nothing is imported, so that it takes no seconds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

_SENTENCE = re.compile(r".*?(?<!e\.g)(?<!i\.e)\.(?=\s|$)")
Definition: TypeAlias = ast.ClassDef | ast.FunctionDef


class Found(NamedTuple):
    """Where something is defined, and how."""

    module: str
    node: Definition

    @property
    def path(self) -> str:
        """Its import path."""
        return f"{self.module}.{self.node.name}"

    @property
    def summary(self) -> str:
        """What its docstring says first."""
        return first_sentence(ast.get_docstring(self.node) or "")


def find(path: str) -> Found | None:
    """Follow an import path to where it is defined.

    Example:
        >>> find("vrft_pl.data.Detection").path
        'vrft_pl.data.detection.Detection'
    """
    module, _, name = home(path).rpartition(".")
    if not module:
        return None
    if source_of(module) is None:
        owner = find(module)  # a method of a class
        node = method(owner.node, name) if owner else None
        return Found(owner.path, node) if owner and node else None
    kinds = (ast.ClassDef, ast.FunctionDef)
    nodes = (node for node in statements(tree(module).body) if isinstance(node, kinds) and node.name == name)
    return next((Found(module, node) for node in nodes), None)


def home(path: str) -> str:
    """Follow an import path by way of those who import it on."""
    module, _, name = path.rpartition(".")
    targets = (bound(module, statement, name) for statement in statements(tree(module).body if module else []))
    target = next((target for target in targets if target), path)
    return path if target == path else home(target)


def public(package: str) -> dict[str, Found]:
    """Classes that a package offers, by name: those of its ``__all__``, or all that it defines."""
    body = tree(package).body
    named, defined = assigned(package, "__all__"), [node.name for node in body if isinstance(node, ast.ClassDef)]
    names = ast.literal_eval(named) if named else defined
    found = {name: find(f"{package}.{name}") for name in sorted(names)}
    return {name: place for name, place in found.items() if place and isinstance(place.node, ast.ClassDef)}


def assigned(module: str, name: str) -> ast.expr | None:
    """What a module assigns to a name of its own."""
    for node in tree(module).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and target is not None and ast.unparse(target) == name:
            return node.value
    return None


def first_sentence(text: str) -> str:
    """Text up to its first full stop, on one line.

    Example:
        >>> first_sentence("Pixels of a side, e.g. of a photo. Others too.")
        'Pixels of a side, e.g. of a photo.'
    """
    line = " ".join(text.split("\n\n")[0].split())
    found = _SENTENCE.match(line)
    return found[0] if found else line


def ancestors(found: Found) -> list[Found]:
    """A class and those it is made of, in the order in which they are asked."""
    order = [found]
    for base in found.node.bases if isinstance(found.node, ast.ClassDef) else ():
        path = resolved(found.module, ast.unparse(base.value if isinstance(base, ast.Subscript) else base))
        order += ancestors(kind) if (kind := find(path)) else []
    last = {kind.path: kind for kind in order}
    return sorted(last.values(), key=lambda kind: max(i for i, other in enumerate(order) if other.path == kind.path))


def resolved(module: str, name: str) -> str:
    """The import path of a name as a module uses it."""
    root, dot, rest = name.partition(".")
    for statement in statements(tree(module).body):
        if target := bound(module, statement, root):
            return f"{target}{dot}{rest}"
    return f"{module}.{name}"


def bound(module: str, statement: ast.stmt, name: str) -> str | None:
    """What a statement of a module binds a name to, if it imports it."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        return None
    for alias in statement.names:
        if name == (alias.asname or alias.name):
            return f"{origin(module, statement)}{alias.name}"
    return None


def origin(module: str, statement: ast.Import | ast.ImportFrom) -> str:
    """What stands before the names that are imported."""
    if isinstance(statement, ast.Import):
        return ""
    parts, source = module.split("."), source_of(module)
    is_package = source is not None and source.name == "__init__.py"
    above = parts[: len(parts) - statement.level + is_package] if statement.level else []
    return ".".join([*above, *([statement.module] if statement.module else ()), ""])


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What a module says, also below a condition."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.ExceptHandler):
            for part in ("body", "handlers", "orelse"):
                yield from statements(getattr(statement, part, []))


@cache
def tree(module: str) -> ast.Module:
    """A module's source, taken apart."""
    path = source_of(module)
    return ast.parse(path.read_text(encoding="utf-8")) if path else ast.Module([], [])


@cache
def source_of(module: str) -> Path | None:
    """The file of a module; ``None`` where there is none in Python."""
    top, *rest = module.split(".")
    if not all(name.isidentifier() for name in (top, *rest)):
        return None
    try:
        spec = find_spec(top)
    except ValueError:
        return None
    file = Path(spec.origin) if spec and spec.origin else None
    folders = [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or ()]
    for name in rest:
        folders = [folder / name for folder in folders]
        files = (file for folder in folders for file in (folder / "__init__.py", folder.with_name(f"{name}.py")))
        file = next((file for file in files if file.is_file()), None)
    return file if file and file.suffix == ".py" else None


def method(node: ast.AST | None, name: str) -> ast.FunctionDef | None:
    """A method that a class defines itself."""
    body = node.body if isinstance(node, ast.ClassDef) else []
    return next((part for part in body if isinstance(part, ast.FunctionDef) and part.name == name), None)
