"""Which name a misspelt one may have been meant for."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

_OPTION = re.compile(r"unrecognized arguments: (--[\w.]+)")
_KEY = re.compile(r"(?:Option '|does not accept option '|Key \")([\w.]+)['\"]")
_CLASS = re.compile(r"module '([\w.]+)' has no attribute '(\w+)'")
_NAMED = re.compile(r"Expected a dot import path string: ([\w.]+)")
_CLASS_PATH = re.compile(r"\b(?:[a-z_]\w*\.)+[A-Z]\w+\b")
PACKAGES = ("data", "rewards", "metrics", "callbacks", "modules", "algorithms", "rollout", "policy")
"""Of vrft_pl, whose classes a config names."""
ALIKE = 0.7
"""Share of two names that has to be the same."""


def nearest(message: str, options: Collection[str], args: Sequence[str]) -> str:
    """What to add to a message that names a key or a class that there is not; nothing where no name is alike.

    Args:
        message: Of jsonargparse.
        options: Of the command.
        args: Of the command, whose classes have keys too.
    """
    if found := _OPTION.search(message):
        return meant(found[1], {*options, *(f"{found[1].rpartition('.')[0]}.{key}" for key in keys_of(args))})
    if found := _CLASS.search(message):
        return meant(found[2], classes_of(found[1]), f"{found[1]}.")
    if found := _NAMED.search(message):
        known = {name: package for package in PACKAGES for name in classes_of(f"vrft_pl.{package}")}
        close = closest(found[1].rpartition(".")[2], known)
        return f" The nearest is `vrft_pl.{known[close]}.{close}`." if close else ""
    if found := _KEY.search(message):
        key = found[1].rpartition(".")[2]
        return meant(key, {*keys_of(args), *(part for option in options for part in option.strip("-").split("."))})
    return ""


def meant(name: str, known: Collection[str], prefix: str = "") -> str:
    """A sentence with the nearest name."""
    close = closest(name, known)
    return f" The nearest is `{prefix}{close}`." if close else ""


def closest(name: str, known: Collection[str]) -> str | None:
    """The name that is most alike, if any is alike.

    Example:
        >>> closest("max_step", ["max_steps", "min_steps"]), closest("boxiuo", ["BoxIoU"]), closest("x", ["max_steps"])
        ('max_steps', 'BoxIoU', None)
    """
    if len(name) > 100:
        return None
    names = {other.lower(): other for other in sorted(known, reverse=True) if other != name}
    return next((names[close] for close in difflib.get_close_matches(name.lower(), names, n=1, cutoff=ALIKE)), None)


def classes_of(module: str) -> list[str]:
    """Names that a module offers."""
    try:
        return [name for name in dir(importlib.import_module(module)) if not name.startswith("_")]
    except ImportError:
        return []


def keys_of(args: Sequence[str]) -> Iterator[str]:
    """Parameters of the classes that the arguments and their configs name."""
    for path in {path for text in texts(args) for path in _CLASS_PATH.findall(text)}:
        module, _, name = path.rpartition(".")
        if isinstance(found := vars(_module(module)).get(name), type):
            for kind in found.__mro__:
                if callable(init := vars(kind).get("__init__")) and kind is not object:
                    yield from inspect.signature(init).parameters


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return object


def texts(args: Sequence[str]) -> Iterator[str]:
    """The arguments, and what the files hold that they name."""
    for arg in args:
        yield arg
        path = Path(arg.partition("=")[2] if arg.startswith("--") else arg)
        if path.suffix in (".yaml", ".yml", ".json") and path.is_file():
            yield path.read_text(encoding="utf-8", errors="replace")[:1_000_000]
