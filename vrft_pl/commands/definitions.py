"""Where a name of an import path is defined, read from the source: nothing is imported, so that it takes no seconds."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias, cast

import griffe

_SENTENCE = re.compile(r".*?(?<!e\.g)(?<!i\.e)\.(?=\s|$)")
Definition: TypeAlias = griffe.Class | griffe.Function


class Sources(griffe.ModulesCollection):
    """What import paths lead to, for griffe to follow; modules are read when they are first asked for."""

    def get_member(self, key: str | Sequence[str]) -> Any:
        """What an import path leads to; a name that a module binds comes before a module of that name.

        Raises:
            KeyError: If there is nothing.
        """
        path = key if isinstance(key, str) else ".".join(key)
        above, _, name = path.rpartition(".")
        owner = (module(above) or self.get_member(above)) if above else self
        found = owner.members.get(name) or module(path)
        if found is None:
            raise KeyError(path)
        return found


SOURCES = Sources()


@cache
def module(path: str) -> griffe.Module | None:
    """Read a module; ``None`` where there is none in Python.

    Raises:
        SyntaxError: If its source is not Python.
        ImportError: If its source is not in the encoding that it names.
    """
    above, _, name = path.rpartition(".")
    spec = spec_of(path)
    folders = [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or ()]
    package = module(above) if above else None
    if spec is not None and spec.origin is None and folders:
        return griffe.Module(name, filepath=folders, parent=package, modules_collection=SOURCES)
    if spec is None or not str(spec.origin).endswith(".py"):
        return None
    file = Path(str(spec.origin))
    code = str(cast(InspectLoader, spec.loader).get_source(spec.name))  # as Python reads it, also out of an archive
    found = griffe.visit(name, file, code, parent=package, modules_collection=SOURCES)
    found.lines_collection[file] = code.splitlines()
    return found


@cache
def spec_of(path: str) -> ModuleSpec | None:
    """Where a module is, found without importing the packages that it is in."""
    above, _, name = path.rpartition(".")
    if not above or not name.isidentifier():
        return find_spec(name) if name.isidentifier() else None
    package = spec_of(above)
    folders = package.submodule_search_locations if package else None
    return PathFinder.find_spec(path, [*map(str, folders)]) if folders else None


def at(path: str) -> Any:
    """What is defined at an import path, by way of those who import it on; ``None`` where nothing is."""
    try:
        found = SOURCES.get_member(path)
        return found.final_target if found.is_alias else found
    except (KeyError, ValueError, griffe.AliasResolutionError, griffe.CyclicAliasError):
        return None


def find(path: str) -> Definition | None:
    """Follow an import path to the class or function that is defined there.

    Example:
        >>> find("vrft_pl.data.Detection").path
        'vrft_pl.data.detection.Detection'
    """
    return found if isinstance(found := at(path), Definition) else None


def public(package: str) -> dict[str, griffe.Class]:
    """Classes that a package offers, by name: those of its ``__all__``, or all that it defines."""
    found = at(package)
    if found is None:
        return {}
    defined = [name for name, member in found.members.items() if not member.is_alias]
    names = defined if found.exports is None else found.exports
    kinds = {name: find(f"{package}.{name}") for name in sorted(names)}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, griffe.Class)}


def literal(path: str) -> Any:
    """What a constant is."""
    return ast.literal_eval(str(at(path).value))


def summary(found: Definition) -> str:
    """What a docstring says first."""
    return first_sentence(found.docstring.value if found.docstring else "")


def first_sentence(text: str) -> str:
    """Text up to its first full stop, on one line.

    Example:
        >>> first_sentence("Pixels of a side, e.g. of a photo. Others too.")
        'Pixels of a side, e.g. of a photo.'
    """
    line = " ".join(text.split("\n\n")[0].split())
    found = _SENTENCE.match(line)
    return found[0] if found else line
