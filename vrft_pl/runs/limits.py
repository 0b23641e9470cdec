"""How much YAML is read of what somebody else wrote, and no key twice."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class YAMLLimits:
    """How much a config may hold. To be given on the command line: a config can't allow itself more.

    Args:
        characters: Of a file.
        levels: Of sections within sections.
        values: When every alias is replaced by what it stands for.

    Raises:
        ValueError: If one is not positive, or ``levels`` is more than Python can go down.
    """

    characters: int = 5_000_000
    levels: int = 100
    values: int = 200_000

    def __post_init__(self) -> None:
        if self.characters < 1 or self.values < 1 or not 1 <= self.levels <= MOST_LEVELS:
            raise ValueError(
                f"Expected `characters` and `values` of `yaml` to be at least 1 and `levels` to be 1 to {MOST_LEVELS}, "
                f"but got {self.characters}, {self.values} and {self.levels}."
            )


MOST_LEVELS = 200
"""That Python's own recursion allows for."""
USUAL = YAMLLimits()
"""Unless the command line says otherwise."""


class RefusedConfig(yaml.YAMLError):
    """YAML that may be right, and is not read all the same."""


@dataclass
class _Section:
    """A mapping or a list that is being read."""

    mapping: bool
    anchor: str | None
    values: int = 1
    """With those below it."""
    keys: set[str] = field(default_factory=set)
    at_key: bool = True


def check(text: str, limits: YAMLLimits = USUAL) -> None:
    """Go through YAML without building anything of it.

    Args:
        text: The YAML.
        limits: How much it may hold.

    Raises:
        RefusedConfig: If it is too long or too deep, its aliases stand for too much or for themselves, or it has a key
            twice in a section.
        YAMLError: If it is no YAML.

    Example:
        >>> check("trainer: {max_steps: 1, max_steps: 2}")
        Traceback (most recent call last):
        vrft_pl.runs.limits.RefusedConfig: Expected every key once, but got `max_steps` again in line 1. Keep one.
    """
    if len(text) > limits.characters:
        raise RefusedConfig(
            f"Expected YAML of at most {limits.characters:,} characters, but got {len(text):,}. `--yaml.characters` "
            "allows more."
        )
    sections: list[_Section] = []
    anchors: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_LOADER):
        match event:
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                sections.append(_Section(isinstance(event, yaml.MappingStartEvent), event.anchor))
                if len(sections) > limits.levels:
                    raise RefusedConfig(
                        f"Expected YAML of at most {limits.levels} levels, but got more{line_of(event)}."
                    )
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = sections.pop()
                _add(sections, done.values, done.anchor, anchors, limits)
            case yaml.ScalarEvent():
                _note_key(sections, event)
                if event.implicit[0] and _BASE_60.fullmatch(event.value):
                    raise RefusedConfig(
                        f"Expected a number or a text, but got {event.value}{line_of(event)}, which YAML reads in base "
                        "60. Put it in quotes."
                    )
                _add(sections, 1, event.anchor, anchors, limits)
            case yaml.AliasEvent():
                if any(section.anchor == event.anchor for section in sections):
                    raise RefusedConfig(f"Expected no section in itself, but got `*{event.anchor}`{line_of(event)}.")
                _add(sections, anchors.get(event.anchor, 1), None, anchors, limits)


def _add(
    sections: list[_Section], values: int, anchor: str | None, anchors: dict[str, int], limits: YAMLLimits
) -> None:
    """Count what has been read into what holds it."""
    if anchor is not None:
        anchors[anchor] = values
    if not sections:
        return
    above = sections[-1]
    above.values += values
    above.at_key = not above.at_key
    if above.values > limits.values:
        raise RefusedConfig(
            f"Expected aliases that stand for at most {limits.values:,} values, but got more. `--yaml.values` allows "
            "more."
        )


def _note_key(sections: list[_Section], event: yaml.ScalarEvent) -> None:
    """Refuse a key that its section has already; ``<<`` is none."""
    if not sections or not sections[-1].mapping or not sections[-1].at_key or event.value == "<<":
        return
    if event.value in sections[-1].keys:
        raise RefusedConfig(f"Expected every key once, but got `{event.value}` again{line_of(event)}. Keep one.")
    sections[-1].keys.add(event.value)


def line_of(event: yaml.Event) -> str:
    """Where something stands."""
    return f" in line {event.start_mark.line + 1}"
