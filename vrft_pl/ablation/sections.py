"""The sections of an ablation's YAML file."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from jsonargparse.typing import register_type

from vrft_pl.ablation.search import Search

Config: TypeAlias = dict[str, Any]
"""A config of `vrft_pl fit`, or a part of one."""


class Section(UserDict[str, Any]):
    """A section of a config of `vrft_pl fit` as it is written: nothing of it is built here.

    Not a dict: the parser would build what it names.
    """


def read_section(value: object) -> Section:
    """Take a section as it is written."""
    if not isinstance(value, Mapping):
        raise ValueError(f"Expected a section of a config, but got {value!r}.")
    return Section(value)


register_type(Section, dict, read_section, type_check=lambda value, _: isinstance(value, Section))
Role = Literal["in_domain", "out_of_domain", "home", "other"]
"""What a test part stands for: the domain that is trained on; one never seen; that which the policy comes from, where
one looks for forgetting; another task."""
TARGET = "target"
"""The suite of the task that is trained on."""


@dataclass(frozen=True)
class Recipe:
    """How one kind of stage trains. What all arms share (policy, data, metrics, seeds) is not taken from it.

    Args:
        config: Files of `vrft_pl fit`; later ones override.
        set: Values by dotted key, over those of the files.
        search: Values to search over, by dotted key; numbers from the least to the greatest.
    """

    config: str | list[str]
    set: Section = field(default_factory=Section)
    search: Section = field(default_factory=Section)

    @property
    def files(self) -> list[str]:
        """Its files."""
        return [self.config] if isinstance(self.config, str) else list(self.config)


@dataclass(frozen=True)
class Match:
    """What all arms get the same of.

    Args:
        by: ``samples`` seen in training (prompts; a row counts each time), optimizer ``steps``, ``generated_tokens``,
            ``seconds`` or ``flops``. The last three are measured in a short pilot of each stage, which sets its steps.
        amount: How much, for all stages of an arm together.
        steps: Optimizer steps of a stage that generates nothing, where generated tokens are matched.
        pilot: Optimizer steps of the pilot.
    """

    by: Literal["samples", "steps", "generated_tokens", "seconds", "flops"] = "samples"
    amount: float = 1024
    steps: int | None = None
    pilot: int = 8


@dataclass(frozen=True)
class SearchOptions:
    """How hyper-parameters are found: on the validation rows, with seeds and drawn rows of its own.

    Args:
        metric: What is to be great, as ``<part>/<Name>`` of the validation rows.
        trials: Trials of each arm that has something to search.
        seeds: Seeds of each trial.
        rows: The size of the training set that is searched with, for all sizes; each size by itself where it is left
            out.
        method: Proposes values; `GridSearch` where it is left out.
        per_value: Give an arm that many trials for each value that it searches: one of two stages has a rate for each.
            Otherwise all arms get the same number, and the page says that one had fewer for each of its values.
    """

    metric: str
    trials: int = 4
    seeds: list[int] = field(default_factory=lambda: [1000, 1001])
    rows: float | None = None
    method: Search | None = None
    per_value: bool = False


@dataclass(frozen=True)
class Suite:
    """Held-out rows that every arm is judged on.

    Args:
        data: A ``data`` section with ``test`` parts; of its ``train``, where it has one, a constant answer is taken.
        metrics: A ``metrics`` section.
        eval_params: How completions are drawn; those of the ablation where it is left out.
        style: The form in which answers are asked for; that of the arm where it is left out.
        roles: What each part stands for; ``other`` where it is left out.
    """

    data: Section
    metrics: list[Section]
    eval_params: Section | None = None
    style: str | Section | None = None
    roles: dict[str, Role] = field(default_factory=dict)


@dataclass(frozen=True)
class ContrastSpec:
    """A question that is asked before the answer is known.

    Args:
        arm: Name of an arm.
        against: Name of the arm that it is compared with.
        metric: As ``<suite>/<part>/<Name>``, or ``<part>/<Name>`` of the task that is trained on.
        rows: Size of the training set; the largest where it is left out.
    """

    arm: str
    against: str
    metric: str
    rows: float | None = None


def label(size: float) -> str:
    """A size as names and tables write it."""
    return f"{size:g}"
