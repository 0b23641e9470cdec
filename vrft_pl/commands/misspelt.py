"""The first key or class of a config that there is not, found in the source of the classes that take it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from textwrap import shorten
from typing import Any

import griffe

from vrft_pl.commands.definitions import find
from vrft_pl.commands.given import OF_A_CLASS, SUFFIXES
from vrft_pl.commands.nearest import closest
from vrft_pl.commands.options import nearest_class, path_of
from vrft_pl.commands.sections import sections
from vrft_pl.commands.signatures import Option, is_open, options_of

_BY_NAME = re.compile(r"\b(dict|Mapping)\[")
_LIST = re.compile(r"(list|Sequence)\[")
_CLASS_PATH = re.compile(r"(?:[a-z_]\w*\.)+[A-Z]\w*")
BUILT = {
    "model": Option("model", "LightningModule", None, "", ("lightning.pytorch.LightningModule",)),
    "data": Option("data", "LightningDataModule", None, "", ("lightning.pytorch.LightningDataModule",)),
}
ANY = Option("", "", None, "")
"""Of which nothing is known."""


def faults(values: Mapping[str, Any], keys: Collection[str], module: str) -> Iterator[str]:
    """What is misspelt in the values of a run, what is empty and may not be, and classes that can't be imported.

    Args:
        values: By section.
        keys: Dotted ones that the parser of the command knows.
        module: Of the command.

    Yields:
        A sentence with the whole path, and the nearest name where one is alike.
    """
    known = {key.partition(".")[0] for key in keys} | {"config"}
    classes = {name: section.path for name, section in sections(module).items()}
    for name, value in ((str(key), value) for key, value in values.items()):
        if name not in known:
            yield no_key(name, "the command", closest(name, known), "vrft_pl COMMAND --help")
        elif name in classes and not isinstance(value, dict):
            yield no_section(name, value)
        elif name in classes:
            yield from in_options(value, name, classes[name], name)
        else:
            yield from in_value(value, name, BUILT.get(name, ANY))
    yield from not_imported(values)


def in_value(value: Any, at: str, option: Option) -> Iterator[str]:
    """What is misspelt below a key.

    Args:
        value: Of the key.
        at: The key, with all that it stands below.
        option: That takes the value.
    """
    classes = classes_of(option)
    if isinstance(value, list):
        for place, part in enumerate(value):
            if part is None and classes:
                yield f"Expected `{at}.{place}` to name a class, but got null. Leave it out."
            yield from in_value(part, f"{at}.{place}", option)
    elif isinstance(value, dict) and not isinstance(value.get("init_args", {}), dict):
        yield no_section(f"{at}.init_args", value["init_args"])
    elif isinstance(value, str):
        named = _CLASS_PATH.fullmatch(value) or (classes and not takes_text(option, at))
        if named and not value.endswith(SUFFIXES) and path_of(value) is None:
            yield no_class(at, value)
    elif isinstance(value, dict) and isinstance(path := value.get("class_path"), str):
        if (known := path_of(path)) is None:
            yield no_class(f"{at}.class_path", path)
        else:
            yield from in_options({key: part for key, part in value.items() if key not in OF_A_CLASS}, at, known)
            yield from in_options(value.get("init_args", {}), f"{at}.init_args", known)
    elif isinstance(value, dict) and classes and _LIST.match(option.kind):
        yield no_list(at, value)
    elif isinstance(value, dict) and classes and not _BY_NAME.search(option.kind):
        yield from in_options(value.get("init_args", value), at, classes[0])
    elif isinstance(value, dict):
        classless = [key for key, part in value.items() if isinstance(part, dict) and "class_path" not in part]
        for key in classless if any(map(is_abstract, classes)) else ():
            yield no_entry(at, str(key), {str(other) for other in value if other not in classless})
        for key, part in value.items():
            yield from in_value(part, f"{at}.{key}", ANY)


def in_options(values: dict[str, Any], at: str, path: str, shown: str | None = None) -> Iterator[str]:
    """What is misspelt among the arguments of a class.

    Args:
        values: By argument.
        at: The key that they stand below.
        path: The import path of the class.
        shown: What `vrft_pl options` calls it.
    """
    options = {option.name: option for option in options_of(path) or ()}
    name = path.rpartition(".")[2]
    for key, value in ((str(key), value) for key, value in values.items()):
        option = options.get(key.removesuffix("+"))
        if option is not None and value is None and not takes_nothing(option):
            yield no_null(f"{at}.{key}", option)
        elif option is not None:
            yield from in_value(value, f"{at}.{key}", option)
        elif options and not is_open(path):
            what = f"section `{shown}`" if shown else name
            yield no_key(f"{at}.{key}", what, closest(key, options), f"vrft_pl options {shown or short(path)}")


def no_key(path: str, owner: str, close: str | None, lists: str) -> str:
    """Say that there is no such key."""
    hint = f"The nearest is `{close}`." if close else f"`{lists}` shows them."
    return f"Expected `{path}` to be a key of {owner}, but it has none of that name. {hint}"


def takes_nothing(option: Option) -> bool:
    """Whether ``null`` may stand for the value of an option."""
    return not option.kind or option.default == "None" or bool(re.search(r"\b(None|Optional|Any)\b", option.kind))


def no_null(path: str, option: Option) -> str:
    """Say that a key has to have a value."""
    default = "" if option.default is None else f" Leave it out for its default, {option.default}."
    return f"Expected `{path}` to be {option.kind}, but got null.{default}"


def no_section(path: str, value: Any) -> str:
    """Say that a key holds others."""
    got = "null" if value is None else shorten(repr(value), 60, placeholder="...")
    return f"Expected `{path}` to be a section of keys and values, but got {got}."


def no_entry(at: str, name: str, known: Collection[str]) -> str:
    """Say that no entry of a section is called so, and that it makes none of its own."""
    close = closest(name, known)
    there = f"there are {', '.join(sorted(known))}" if len(known) > 1 else f"there is {next(iter(known), 'none')}"
    hint = f" The nearest is `{close}`." if close else ""
    return f"Expected `{at}.{name}` to be one that there is, or to have a `class_path`, but {there}.{hint}"


def no_list(at: str, value: Mapping[str, Any]) -> str:
    """Say that items of a list have names on the command line alone."""
    name, part = next(iter(value.items()), ("NAME", None))
    key, given = next(iter(part.items()), ("KEY", "VALUE")) if isinstance(part, dict) else ("KEY", "VALUE")
    example = f"--{at.replace('.init_args', '')}.{name}.{key} {given}"
    return (
        f"Expected `{at}` to be a list, but got names ({', '.join(map(str, value))}). A config gives a list whole; one "
        f"item is changed by its name on the command line: `{example}`."
    )


def no_class(at: str, path: str) -> str:
    """Say that there is no such class."""
    close = nearest_class(path)
    hint = f"The nearest is `{close}`." if close else "`vrft_pl options` lists those of vrft_pl."
    return f"Expected `{at}` to name a class, but there is none called {path!r}. {hint}"


def short(path: str) -> str:
    """A class as one would ask for it."""
    return path.rpartition(".")[2] if path.startswith("vrft_pl.") else path


def classes_of(option: Option) -> list[str]:
    """Import paths of the classes that an option takes, those of Python itself and kinds of numbers left out."""
    return [
        path
        for path in option.named
        if path.partition(".")[0] not in sys.stdlib_module_names and find(path) and not is_plain(path)
    ]


def is_plain(path: str) -> bool:
    """Whether a class is a kind of number or text, of which a config has the value and not the name."""
    found = find(path)
    return isinstance(found, griffe.Class) and not {"int", "float", "str"}.isdisjoint(map(str, found.bases))


def is_abstract(path: str) -> bool:
    """Whether a class says that only those made of it can be built."""
    found = find(path)
    return isinstance(found, griffe.Class) and "ABC" in map(str, found.bases)


def takes_text(option: Option, at: str) -> bool:
    """Whether an option takes any text beside classes; not within a list, where a name can only be that of a class."""
    return bool(re.search(r"\bstr\b|Literal|Path", option.kind)) and not at.rpartition(".")[2].isdecimal()


def not_imported(value: Any, at: str = "") -> Iterator[str]:
    """Classes that are there, and whose module can't be imported."""
    parts = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, part in parts:
        path = f"{at}.{key}".lstrip(".")
        yield from not_imported(part, path)
        if key == "class_path" and isinstance(part, str) and "." in part:
            try:
                import_module((path_of(part) or part).rpartition(".")[0])
            except Exception as error:  # of a user's module: whatever it raises
                yield f"Expected `{path}` to be imported, but {part} raises {type(error).__name__}: {error}"
