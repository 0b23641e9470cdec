"""How configs and values on the command line are read."""

from __future__ import annotations

from typing import Any

import yaml
from jsonargparse import set_loader
from jsonargparse._loaders_dumpers import yaml_load

from vrft_pl.runs.limits import check


def load(text: str) -> Any:
    """Read YAML as jsonargparse does.

    Raises:
        YAMLError: If it is none, has a key twice in a section, or is too much.
    """
    check(text)
    return yaml_load(text)


def install() -> None:
    """Let jsonargparse read configs and values so."""
    set_loader("yaml", load, exceptions=(yaml.YAMLError,))
