"""The parser of the commands that take a config."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from vrft_pl.commands.errors import fail
from vrft_pl.commands.items import values_of, with_items
from vrft_pl.commands.misspelt import BUILT, faults
from vrft_pl.commands.reasons import innermost
from vrft_pl.commands.sections import COMMON
from vrft_pl.runs.limits import USUAL, YAMLLimits
from vrft_pl.trainer.resuming import flat

NO_KEYS = "Unexpected config:"
"""How jsonargparse begins what it says of a file without keys."""


class ConfigArgumentParser(LightningArgumentParser):
    """Reports a mistake in the arguments as one line and exits with 2."""

    values: Mapping[str, Any] = MappingProxyType({})
    """What is parsed, by section."""
    limits: YAMLLimits = USUAL
    """How much a config may hold."""
    module: str = COMMON
    """Of the command."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})  # also of classes, whose parsers are made by this

    def parse_args(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """Parse arguments, of which some may be for one item of a list."""
        try:
            known = with_items(sys.argv[1:] if args is None else args, self.limits)
        except UnicodeEncodeError as error:
            fail(f"Expected arguments in UTF-8, but got {ascii(error.object)[:200]}. Name the folder it lies in.", 2)
        except ValueError as error:
            fail(error, 2)
        self.values = values_of(known, self.limits)  # now: a config is parsed in its own folder
        return super().parse_args(known, *rest, **kwargs)

    def validate(self, namespace: Namespace, *args: Any, **kwargs: Any) -> None:
        """Check ``null`` as every other value: the parser takes it for one that is not given, whatever the type."""
        super().validate(namespace, *args, **{**kwargs, "skip_unset": False})
        for name in {*(self.groups or ())} - {*BUILT}:
            if name in namespace and namespace[name] is None:
                raise TypeError(f'Parser key "{name}": Expected a section of keys and values, but got null.')

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print which key or class there is not, or else the innermost reason."""
        if not self.exit_on_error:
            super().error(message, ex)  # of a class within a config: the whole may be right another way
        if message.startswith(NO_KEYS):
            got = message.removeprefix(NO_KEYS).strip()
            message = f"Expected a config to hold keys and values, but got {f'{got!r}' if got else 'an empty file'}."
        defaults = self.get_defaults().as_dict()
        known = {*defaults, *flat(defaults)}  # what is empty has no keys of its own
        fail(next(faults(self.values, known, self.module), innermost(message)), 2)
