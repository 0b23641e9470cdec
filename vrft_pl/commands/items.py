"""Options for one item of a list, by its name: ``--model.rewards.BoxIoU.weight 2``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from yaml import YAMLError

from vrft_pl.commands.given import OF_A_CLASS, SUFFIXES, Given, Word, found, words
from vrft_pl.commands.nearest import closest
from vrft_pl.commands.options import path_of
from vrft_pl.commands.reading import load
from vrft_pl.commands.signatures import options_of
from vrft_pl.runs.limits import USUAL, YAMLLimits


class Item(NamedTuple):
    """An item of a list: the list's key, the list, the place of the item in it, and what is named within it."""

    key: str
    items: list[Any]
    place: int
    rest: list[str]


def with_items(args: Sequence[str], limits: YAMLLimits = USUAL) -> list[str]:
    """Arguments in which an option for one item of a list is the whole list with that item changed.

    A list of classes that comes in the place of another one is emptied first: the parser would leave arguments of the
    old items to the new ones that stand in their places. One name behind a list (``+=``) becomes a list of it: the
    parser would put a text in the place of the list where an option takes either.

    Args:
        args: Arguments of a command.
        limits: How much a config may hold.

    Returns:
        Arguments that the parser knows; what can't be read is left to it.

    Raises:
        ValueError: If a list has no such item, or several.
    """
    given, known = Given(limits), list[str]()
    for word in words(args):
        item = item_of(given.values, word.key) if word.text is not None else None
        try:
            if item is None:
                known += [*(f"--{key}=[]" for key in given.take(word)), *as_list(word, limits)]
                continue
            change(item, given.read(str(word.text)))
        except (OSError, UnicodeDecodeError, YAMLError, RecursionError):
            return list(args)
        known += [f"--{item.key}=[]", f"--{item.key}={json.dumps(item.items, ensure_ascii=False, default=str)}"]
    return known


def as_list(word: Word, limits: YAMLLimits) -> Sequence[str]:
    """Arguments of an option, of which one text behind a list is a list."""
    if not word.key.endswith("+") or word.text is None or word.text.endswith(SUFFIXES):
        return word.arguments
    value = load(word.text, limits)
    return [f"--{word.key}={json.dumps([value], ensure_ascii=False)}"] if isinstance(value, str) else word.arguments


def values_of(args: Sequence[str], limits: YAMLLimits = USUAL) -> dict[str, Any]:
    """Values by section that arguments give, as far as they can be read."""
    given = Given(limits)
    for word in words(args):
        with suppress(OSError, UnicodeDecodeError, YAMLError, RecursionError, AttributeError):
            given.take(word)
    return given.values


def item_of(values: Any, key: str) -> Item | None:
    """The item of a list that a key names, if it goes through a list and not to the end of it.

    Args:
        values: Values by section.
        key: The key.

    Raises:
        ValueError: If it names none of the items, or several.
    """
    parts = key.split(".")
    for depth in range(1, len(parts)):
        above = ".".join(parts[:depth])
        if isinstance(items := found(values, above), list):
            index = index_of(items, parts[depth], above)
            return None if index is None else Item(above, items, index, parts[depth + 1 :])
    return None


def change(item: Item, value: Any) -> None:
    """Put a value into an item of a list, or in its place."""
    if not item.rest:
        item.items[item.place] = value
        return
    holder = Given()
    holder.values = {"item": item.items[item.place]}
    holder.put(".".join(["item", *item.rest]), value)
    item.items[item.place] = holder.values["item"]


def index_of(items: list[Any], name: str, key: str) -> int | None:
    """Which item of a list is meant: by its class, its own ``name``, or its number from 0.

    Returns:
        ``None`` where it is not the name of an item but an argument of the last one, which the parser knows.

    Raises:
        ValueError: If none is called so, or several.
    """
    names = [names_of(item) for item in items]
    if name.isdecimal() and int(name) < len(items):
        return int(name)
    found = [index for index, own in enumerate(names) if name in own]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(
            f"Expected `{key}.{name}` to name one item of the list, but {len(found)} are called so. "
            f"Name it by its number from 0, such as `{key}.{found[-1]}`."
        )
    if not any(names) or name.rstrip("+") in {*OF_A_CLASS, *arguments_of(items[-1])}:
        return None
    called = [own[-1] for own in names if own]
    close = closest(name, called)
    raise ValueError(
        f"Expected `{key}.{name}` to name an item of the list, but it has {', '.join(called)}."
        + (f" The nearest is `{close}`." if close else "")
    )


def names_of(item: Any) -> list[str]:
    """What an item of a list is called: the last part of its class, and its own name."""
    path = item.get("class_path") if isinstance(item, dict) else item
    own = item.get("init_args") or {} if isinstance(item, dict) else {}
    return [path.rpartition(".")[2], *filter(None, [own.get("name")])] if isinstance(path, str) else []


def arguments_of(item: Any) -> set[str]:
    """Names of what the class of an item takes."""
    path = path_of(str(item.get("class_path") if isinstance(item, dict) else item))
    return {option.name for option in options_of(path) or ()} if path else set()
