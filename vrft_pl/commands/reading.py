"""How configs and values on the command line are read."""

from __future__ import annotations

from argparse import ArgumentError, ArgumentParser
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import yaml
from jsonargparse import set_loader
from jsonargparse._loaders_dumpers import yaml_load

from vrft_pl.runs.limits import USUAL, YAMLLimits, check


def load(text: str, limits: YAMLLimits = USUAL) -> Any:
    """Read YAML as jsonargparse does.

    Args:
        text: The YAML.
        limits: How much it may hold.

    Raises:
        YAMLError: If it is none, has a key twice in a section, or is too much.
    """
    check(text, limits)
    try:
        return yaml_load(text)
    except TypeError as error:  # of a key that is no text, as in `?`
        raise yaml.YAMLError(f"Expected keys to be texts, but got {text[:60]!r}.") from error


def install(limits: YAMLLimits = USUAL) -> None:
    """Let jsonargparse read configs and values so."""
    set_loader("yaml", partial(load, limits=limits), exceptions=(yaml.YAMLError,))


def limits_of(args: Sequence[str]) -> YAMLLimits:
    """The limits that a command line sets, which hold before it is parsed.

    Raises:
        ValueError: If they are out of their range.

    Example:
        >>> limits_of(["--config", "a.yaml", "--yaml.levels=7", "--yaml.values", "9"])
        YAMLLimits(characters=5000000, levels=7, values=9)
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for name in (field.name for field in fields(YAMLLimits)):
        parser.add_argument(f"--yaml.{name}", dest=name)
    try:
        given = vars(parser.parse_known_args(list(args))[0])
    except ArgumentError:  # which the parser of the command says in its own words
        return USUAL
    numbers = {name: int(value) for name, value in given.items() if value is not None and value.isdecimal()}
    return YAMLLimits(**numbers)
