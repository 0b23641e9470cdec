"""Arms of a comparison: what each makes of the labels that all of them are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from vrft_pl.ablation.rows import Probe, by_difficulty, right_completions
from vrft_pl.ablation.sections import Section
from vrft_pl.types import InputError


class Selection(ABC):
    """Chooses training rows by what the policy, as it stands before the stage, writes on them.

    Args:
        completions: Completions sampled a row, at temperature 1. They are part of what the arm costs.

    Raises:
        ValueError: If there is not one.
    """

    def __init__(self, completions: int = 8) -> None:
        if completions < 1:
            raise ValueError(f"Expected `completions` to be at least 1 a row, but got {completions}.")
        self.completions = completions

    @abstractmethod
    def choose(self, probe: Probe) -> list[dict[str, Any]]:
        """Choose the lines of a list of rows, as `Listed` reads them."""


class RightCompletions(Selection):
    """Rejection SFT: imitate the policy's own right completions, one a row; rows that it never gets right are left out.

    It uses the labels as reinforcement does, in one round that is sampled before training.

    Args:
        completions: Completions sampled a row.
        formatted: Keep a completion only where it has the form that was asked for too, by `vrft_pl.rewards.Format`.
            ``False`` imitates right answers in whatever form they came.
    """

    def __init__(self, completions: int = 8, formatted: bool = True) -> None:
        super().__init__(completions)
        self.formatted = formatted

    def choose(self, probe: Probe) -> list[dict[str, Any]]:
        """The rows with a right completion, and that completion as the target."""
        return right_completions(probe, formatted=self.formatted)


class ByDifficulty(Selection):
    """Difficulty-curated SFT (arXiv 2602.10815): keep the rows that the policy gets right neither always nor never.

    Args:
        completions: Completions sampled a row.
        low: Least share of right completions.
        high: Greatest share of right completions.
    """

    def __init__(self, completions: int = 8, low: float = 0.125, high: float = 0.875) -> None:
        super().__init__(completions)
        if not 0 <= low <= high <= 1:
            raise ValueError(f"Expected `low` and `high` to be shares in order, but got {low} and {high}.")
        self.low, self.high = low, high

    def choose(self, probe: Probe) -> list[dict[str, Any]]:
        """The rows between the two shares, with their own targets."""
        return by_difficulty(probe, self.low, self.high)


@dataclass(frozen=True)
class Stage:
    """One training run of an arm; it starts from what the one before it exported.

    Args:
        recipe: Name of a recipe of the ablation, such as ``sft`` or ``rft``.
        style: The form in which answers are asked for and imitated: a name, or a style of one's own as in a config.
        share: Share of the arm's budget.
        rows: Chooses among the rows; all of them where it is left out.
        set: Values of the run by dotted key, over those of the recipe.
    """

    recipe: str
    style: str | Section = "think"
    share: float = 1.0
    rows: Selection | None = None
    set: Section = field(default_factory=Section)


@dataclass(frozen=True)
class Arm:
    """A name for a list of stages."""

    description: str
    stages: tuple[Stage, ...] = ()
    style: str | Section = "think"
    """In which an arm without a stage is asked; the others are in the style of their last stage."""

    @property
    def asked_in(self) -> str | Section:
        """The style in which it is judged."""
        return self.stages[-1].style if self.stages else self.style


ARMS: Mapping[str, Arm] = {
    "base": Arm("The policy as it is."),
    "base_answer": Arm("The policy as it is, asked for the bare answer.", style="answer"),
    "ans_sft": Arm("SFT on bare answers.", (Stage("sft", "answer"),)),
    "cot_sft": Arm("SFT on written thoughts and answers.", (Stage("sft"),)),
    "rejection_sft": Arm("SFT on the policy's own right completions.", (Stage("sft", rows=RightCompletions()),)),
    "dc_sft": Arm("SFT on rows of middle difficulty.", (Stage("sft", rows=ByDifficulty()),)),
    "rft": Arm("Reinforcement from the policy as it is (Reason-RFT-Zero).", (Stage("rft"),)),
    "rft_no_thoughts": Arm("Reinforcement of bare answers.", (Stage("rft", "answer"),)),
    "cot_sft_rft": Arm(
        "SFT on thoughts, then reinforcement (Reason-RFT).", (Stage("sft", share=0.5), Stage("rft", share=0.5))
    ),
    "sft_sft": Arm(
        "SFT on thoughts, then as much again: the control for mere training.",
        (Stage("sft", share=0.5), Stage("sft", share=0.5)),
    ),
}
"""Arms that every family has, by the name that a config gives."""


def arm_of(name: str, value: str | Sequence[Stage]) -> Arm:
    """The arm that a config means.

    Args:
        name: Its name in the ablation.
        value: Name of a shipped arm, class path of an `Arm`, or its stages.

    Raises:
        InputError: If there is no such arm.
    """
    if not isinstance(value, str):
        return Arm(name, tuple(value))
    if value in ARMS:
        return ARMS[value]
    module, _, attribute = value.rpartition(".")
    try:
        arm = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"Expected arm `{name}` to be one of {', '.join(ARMS)}, a list of stages or the path of an Arm, but got "
            f"{value!r} ({error})."
        ) from error
    if not isinstance(arm, Arm):
        raise InputError(f"Expected {value} to be a `vrft_pl.ablation.Arm`, but got {type(arm).__name__}.")
    return arm
