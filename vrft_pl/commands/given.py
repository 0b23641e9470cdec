"""What configs and arguments give together, before the parser has looked at any of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vrft_pl.commands.reading import load
from vrft_pl.runs.limits import USUAL, YAMLLimits

OF_A_CLASS = ("class_path", "init_args", "dict_kwargs")
"""Keys of a class in a config, beside which its arguments may stand by themselves."""
CONFIGS = ("config", "c")
SUFFIXES = (".yaml", ".yml", ".json")
"""Of files that a value may be read from."""


class Word(NamedTuple):
    """An option of a command line: the arguments it is made of, its key, and its value where it has one."""

    arguments: tuple[str, ...]
    key: str
    text: str | None


def words(args: Sequence[str]) -> Iterator[Word]:
    """Options of a command line in their order.

    Example:
        >>> [(word.key, word.text) for word in words(["--a.b=1", "--resume", "--c", "d"])]
        [('a.b', '1'), ('resume', None), ('c', 'd')]
    """
    left = list(args)
    while left:
        first = left.pop(0)
        key, equals, text = first.lstrip("-").partition("=")
        if not first.startswith("-"):
            yield Word((first,), "", first)
        elif equals or not left or left[0].startswith("--"):
            yield Word((first,), key, text if equals else None)
        else:
            yield Word((first, left[0]), key, left.pop(0))


class Given:
    """Values by section, later ones over earlier ones.

    Args:
        limits: How much a config may hold.
    """

    def __init__(self, limits: YAMLLimits = USUAL) -> None:
        self.limits = limits
        self.values: dict[str, Any] = {}

    def take(self, word: Word) -> list[str]:
        """Put an option over what is there.

        Returns:
            Keys of lists of classes in whose place it puts others.

        Raises:
            OSError: If a config can't be read.
            YAMLError: If it is none.
            ValueError: If it is a pipe, which is empty when the parser reads it again.
        """
        if not word.key or word.text is None:
            return []
        before = copy.deepcopy(self.values)
        if word.key in CONFIGS:
            if Path(word.text).is_fifo():
                raise ValueError(
                    f"Expected a config to be a file, but {word.text} is a pipe. Write it into a file first."
                )
            above = load(Path(word.text).read_text(encoding="utf-8"), self.limits)
            self.values = merged(self.values, above) if isinstance(above, dict) else self.values
            return list(replaced(before, above))
        value = self.read(word.text)
        self.put(word.key, value)
        return list(replaced(found(before, word.key), value, word.key))

    def read(self, text: str) -> Any:
        """The value that a text stands for; that of a file is what it holds."""
        if text.endswith(SUFFIXES) and Path(text).is_file():
            text = Path(text).read_text(encoding="utf-8")
        return load(text, self.limits)

    def put(self, key: str, value: Any) -> None:
        """Put a value over what is there; behind the last item where the key ends with a plus."""
        *above, last = key.rstrip("+").split(".")
        node: Any = self.values
        for part in above:
            node = below(node, part)
        if not isinstance(node, dict):
            return
        owner = owner_of(node, last)
        owner[last] = behind(owner.get(last), value) if key.endswith("+") else value


def merged(below: Any, above: Any) -> Any:
    """A config over another one: key by key, unless a class is another one."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    if "class_path" in above and above["class_path"] != below.get("class_path"):
        return above
    together = dict(below)
    for key, value in above.items():
        if isinstance(key, str) and key.endswith("+"):
            together[key[:-1]] = behind(below.get(key[:-1]), value)
        else:
            together[key] = merged(below.get(key), value)
    return together


def behind(items: Any, value: Any) -> list[Any]:
    """A list with one more item, or with those of another list."""
    return [*(items if isinstance(items, list) else []), *(value if isinstance(value, list) else [value])]


def replaced(below: Any, above: Any, key: str = "") -> Iterator[str]:
    """Keys of lists of classes in whose place others come."""
    if isinstance(below, list) and isinstance(above, list) and any(isinstance(part, dict) for part in below):
        yield key
    elif isinstance(below, dict) and isinstance(above, dict):
        for part in below.keys() & above.keys():
            yield from replaced(below[part], above[part], f"{key}.{part}".lstrip("."))


def below(node: Any, part: str) -> Any:
    """What stands below a key, made a section where it is none yet; of a list, below its last item."""
    if isinstance(node, list) and node:
        node[-1] = node[-1] if isinstance(node[-1], dict) else {"class_path": node[-1]}
        node = node[-1]
    if not isinstance(node, dict):
        return {}
    owner = owner_of(node, part)
    value = owner.get(part)
    if value is None or isinstance(value, str):
        owner[part] = value = {} if value is None else {"class_path": value}
    return value


def owner_of(node: Any, part: str) -> Any:
    """Where a key stands: beside the class, or among its arguments."""
    if not isinstance(node, dict) or part in node or part in OF_A_CLASS or not {*OF_A_CLASS} & set(node):
        return node
    if not isinstance(node.get("init_args"), dict):
        node["init_args"] = {}
    return node["init_args"]


def found(node: Any, key: str) -> Any:
    """What stands at a key."""
    for part in key.split("."):
        node = owner_of(node, part)
        node = node.get(part) if isinstance(node, dict) else None
    return node
