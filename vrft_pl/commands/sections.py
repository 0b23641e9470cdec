"""What a config of a run is made of, read from the source as `definitions` finds it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from vrft_pl.commands.definitions import at, literal
from vrft_pl.commands.signatures import Option, options_of

COMMON = "vrft_pl.commands.cli"
"""Makes the parser of every command that builds a run."""
TRAINER, CALLBACKS = "vrft_pl.trainer.base", "vrft_pl.trainer.callbacks"
"""Where the trainer is, and the callbacks of every run."""
METHODS = "lightning.pytorch.Trainer"
"""Whose method of a command's name takes options of the command."""


class Section(NamedTuple):
    """A section of a config: the class that takes its keys, and arguments of it that are none."""

    path: str
    skipped: frozenset[str] = frozenset()

    @property
    def options(self) -> list[Option]:
        """Its keys."""
        return [option for option in options_of(self.path) or () if option.name not in self.skipped]


def sections(*modules: str) -> dict[str, Section]:
    """Sections of every command that builds a run, and of what modules add, by name."""
    found = {"trainer": Section(f"{TRAINER}.RunTrainer"), **added(COMMON)}
    callbacks = at(f"{CALLBACKS}.OF_EVERY_RUN").value
    for key, kind in zip(callbacks.keys, callbacks.values, strict=True):
        found[ast.literal_eval(key)] = Section(kind.canonical_path)
    return {name: section for part in (found, *map(added, modules)) for name, section in part.items()}


def added(module: str) -> dict[str, Section]:
    """Sections that a module adds to its parser."""
    found = {}
    for call, given in calls(module, "add_class_arguments"):
        if isinstance(call.args[1], ast.Constant):
            path, skip = at(module).resolve(ast.unparse(call.args[0])), given.get("skip")
            found[ast.literal_eval(call.args[1])] = Section(path, frozenset(ast.literal_eval(skip) if skip else ()))
    return found


def flags(module: str) -> list[Option]:
    """Options that a module adds to its parser."""
    return [
        Option(
            ast.literal_eval(call.args[0]).lstrip("-"),
            ast.literal_eval(given["metavar"]) if "metavar" in given else "",
            "False" if "action" in given else ast.unparse(given.get("default", ast.Constant(None))),
            ast.literal_eval(given["help"]),
        )
        for call, given in calls(module, "add_argument")
    ]


def of_method(command: str) -> list[Option]:
    """Options that are arguments of the Trainer's method of the same name."""
    built = literal(f"{COMMON}.BUILT_BY_US")
    return [option for option in options_of(f"{METHODS}.{command}") or () if option.name not in built]


@cache
def defaults() -> dict[str, Any]:
    """Defaults of a run where they are not those of the class, by the whole key."""
    found: dict[str, Any] = {}
    for section, path in (("trainer", f"{TRAINER}.TRAINER_DEFAULTS"), ("checkpoint", f"{CALLBACKS}.CHECKPOINTS")):
        found |= {f"{section}.{key}": value for key, value in literal(path).items()}
    return found


def calls(module: str, name: str) -> Iterator[tuple[ast.Call, dict[str | None, ast.expr]]]:
    """Calls of a method of the parser in a module, with what is given to them by name."""
    for node in ast.walk(ast.parse(at(module).source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"parser.{name}":
            yield node, {keyword.arg: keyword.value for keyword in node.keywords}
