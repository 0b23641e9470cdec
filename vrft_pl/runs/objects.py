"""Objects as a config would name them."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

MOST_ITEMS = 256
"""Objects of a list that are written out."""
PLAIN = (bool, int, float, str)
"""What a config holds."""


def as_config(value: Any, within: tuple[int, ...] = ()) -> Any:
    """A value as a config would say it: of an object its class, and those of its arguments that it still knows.

    Those are the ones that it keeps under their names, or tells of in a method ``made_with``. A function is named, and
    not written down.

    Args:
        value: Anything.
        within: Ids of the objects that it is part of; one that is part of itself is named by its class alone.

    Example:
        >>> as_config(partial(round, ndigits=2))
        {'class_path': 'builtins.round', 'init_args': {'ndigits': 2}}
        >>> from vrft_pl.answers import Label
        >>> as_config({"truth": Label("cat")})
        {'truth': {'class_path': 'vrft_pl.answers.Label', 'init_args': {'name': 'cat', 'aliases': []}}}
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, Enum):
        return value.name
    for kind in PLAIN:
        if isinstance(value, kind):
            return str(value) if isinstance(value, float) and not math.isfinite(value) else kind(value)
    if value is None or isinstance(value, PurePath | torch.dtype | torch.device):
        return None if value is None else str(value)
    if isinstance(value, Mapping):
        return {str(name): as_config(part, within) for name, part in value.items()}
    if isinstance(value, set | frozenset):  # whose order is another one in each process
        value = sorted(value, key=lambda part: str(as_config(part, within)))
    if isinstance(value, list | tuple):
        many = len(value) > MOST_ITEMS and not all(isinstance(part, PLAIN) for part in value)
        return f"{len(value)} items" if many else [as_config(part, within) for part in value]
    if isinstance(value, partial):
        return {"class_path": path_of(value.func), "init_args": as_config(value.keywords, within)}
    if isinstance(value, type) or inspect.isroutine(value):
        return path_of(value)
    known = {} if id(value) in within else arguments(value)
    return {"class_path": path_of(type(value)), "init_args": as_config(known, (*within, id(value)))}


def arguments(value: object) -> dict[str, Any]:
    """The arguments of an object that it still knows, by name."""
    tell = getattr(value, "made_with", None)
    told: Mapping[str, Any] = {} if tell is None else tell()
    found = {}
    for name in parameters(type(value)):
        with suppress(Exception):  # of a property of a user's class: a run is written down as well as may be
            known = told[name] if name in told else getattr(value, name)
            if getattr(known, "__self__", None) is not value:  # a method that only has the name
                found[name] = known
    return found


def parameters(kind: type) -> Iterator[str]:
    """Names of what a class takes, also by way of those that it extends."""
    for base in kind.__mro__:
        if "__init__" in vars(base):
            taken = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]  # of a class, not of one
            yield from (
                one.name for one in list(taken)[1:] if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
            )
            if not any(one.kind == one.VAR_KEYWORD for one in taken):
                return


def path_of(thing: Any) -> str:
    """The import path of a class or a function, by way of the outermost package that offers it.

    Example:
        >>> path_of(torch.optim.AdamW)
        'torch.optim.AdamW'
    """
    module = getattr(thing, "__module__", None) or "builtins"
    parts, name = module.split("."), getattr(thing, "__qualname__", type(thing).__name__)
    packages = (".".join(parts[:i]) for i in range(1, len(parts) + 1))
    offering = (package for package in packages if getattr(sys.modules.get(package), name, None) is thing)
    return f"{next(offering, module)}.{name}"
