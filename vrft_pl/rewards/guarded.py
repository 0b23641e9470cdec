"""A reward that fails, and a run that goes on."""

from __future__ import annotations

import copy
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import Any, Literal, TypeVar

import torch

from vrft_pl.rewards.base import REASONS, Grades, Judge, Reward
from vrft_pl.rewards.panel import rewards_of
from vrft_pl.rewards.parsing import Unread
from vrft_pl.types import Completions, InputError, Sample

T = TypeVar("T")
OnRewardError = Literal["zero", "raise"]
HANGS = 3
"""Calls that may be given up; then the reward is not asked any more, for each leaves a thread behind."""
_ERROR = REASONS.index(Unread.ERROR) + 1
_FAILURES = (Exception, SystemExit)
"""What a reward may raise without ending the run; not Ctrl+C."""


class GuardedReward:
    """Asks a reward; what it raises, returns or waits for does not end the run.

    A completion that it fails on (an error, `SystemExit` too, or something else than a finite number) scores 0 for the
    reason `Unread.ERROR`; where completions are judged against each other, those of its prompt do as well. A call that
    takes too long is given up and its window scores 0. A thread can't be ended: it goes on beside training, and after
    `HANGS` of them the reward scores 0 from then on. The first failure is told in full, all are counted.

    Args:
        reward: The reward.
        on_error: ``zero``, or ``raise`` to end the run with an error that names reward, sample and completion.
        seconds: Most seconds that the reward may take for a window; ``None`` waits for ever, and asks without a thread.

    Raises:
        ValueError: If ``on_error`` is something else, or ``seconds`` is not positive.
    """

    def __init__(self, reward: Reward, on_error: OnRewardError = "zero", seconds: float | None = 300.0) -> None:
        check_options(on_error, seconds)
        self.reward, self.on_error, self.seconds = reward, on_error, seconds
        self.name, self.weight_at = reward.name, reward.weight_at
        self.asked = reward
        """What judges by the rules of the newest step."""
        self.errors = 0
        """Completions that were scored 0 for a failure of the reward."""
        self.hangs = 0
        """Calls that were given up."""
        self._told = False

    def state_dict(self) -> dict[str, Any]:
        """What was counted."""
        spent = {"spent": dict(self.reward.spent)} if self.reward.spent else {}
        return {"errors": self.errors, "hangs": self.hangs, **spent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.errors, self.hangs = state_dict["errors"], state_dict["hangs"]
        if "spent" in state_dict:
            self.reward.go_on_counting(state_dict["spent"])

    def at(self, step: int) -> GuardedReward:
        """Go by the rules of a step from now on."""
        self.asked = self.reward.at(step)
        return self

    def begin(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Start what has to be waited for; what fails here will fail when it grades."""
        if self.hangs < HANGS:
            with suppress(*_FAILURES):
                self.asked.begin(completions, samples)

    def grade(self, completions: Completions, samples: Sequence[Sample], counted: bool = True) -> Grades:
        """Judge a batch; see `Reward.grade`.

        Args:
            completions: ``N`` completions, those of one prompt beside each other.
            samples: The sample of each completion. Length ``N``.
            counted: Whether failures are counted; not where they have been already.

        Raises:
            InputError: If the reward fails and ``on_error`` is ``raise``.
        """
        grades = None
        if self.hangs < HANGS:
            grades = within(self.seconds, self._grade, completions, samples)
            if grades is None:
                self._give_up(samples)
        grades = grades or self._zeros(completions, samples)
        self.errors += int((grades.parse_failures == _ERROR).sum()) * counted
        return grades

    def _grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        try:
            return self._ask(completions, samples)
        except _FAILURES:
            return self._grade_parts(completions, samples)

    def _ask(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """What the reward says, where it is one finite number a completion."""
        grades = self.asked.grade(completions, samples)
        shapes = [tuple(part.shape) for part in grades]
        if shapes != [(len(samples),)] * 2 or not bool(grades[0].isfinite().all()):
            raise TypeError(f"one finite score and one code a completion, {len(samples)} each, are not in {grades}")
        return grades

    def _grade_parts(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Ask again for as few completions at once as are judged together, so that a failure costs no others."""
        grades = self._zeros(completions, samples)
        for rows in self._parts(samples):
            try:
                part = self._ask(completions.select(rows), [samples[i] for i in rows])
            except _FAILURES as error:
                i = self._culprit(rows, completions, samples)
                self._tell(error, completions.texts[i], samples[i])
            else:
                grades.scores[rows], grades.parse_failures[rows] = part
        return grades

    def _parts(self, samples: Sequence[Sample]) -> Iterator[list[int]]:
        if type(self.asked).grade is Reward.grade:
            yield from ([i] for i in range(len(samples)))
        else:
            yield from (list(rows) for _, rows in groupby(range(len(samples)), key=lambda i: id(samples[i])))

    def _culprit(self, rows: list[int], completions: Completions, samples: Sequence[Sample]) -> int:
        """The first completion that it fails on alone; the first of all where it is none."""
        for i in rows if len(rows) > 1 else []:
            try:
                self._ask(completions.select([i]), [samples[i]])
            except _FAILURES:
                return i
        return rows[0]

    def _zeros(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        device = completions.ids.device
        codes = [_ERROR if self.reward.judges(sample) else -1 for sample in samples]
        return Grades(torch.zeros(len(samples), device=device), torch.tensor(codes, dtype=torch.int8, device=device))

    def _tell(self, error: BaseException, text: str, sample: Sample) -> None:
        reason = str(error)
        if not isinstance(error, InputError):
            place = traceback.extract_tb(error.__traceback__)[-1]
            reason = (
                f"Expected reward `{self.name}` to score every completion, but got {type(error).__name__}: {error} "
                f"({place.filename}:{place.lineno}) for sample {sample.id} and completion {text[:80]!r}."
            )
        if self.on_error == "raise":
            raise InputError(
                f"{reason} Repair it, or count 0 for such completions: `on_reward_error: zero`."
            ) from error
        if not self._told:
            self._told = True
            warnings.warn(f"{reason} It counts 0, as all that follow, which are counted only.", stacklevel=2)

    def _give_up(self, samples: Sequence[Sample]) -> None:
        self.hangs += 1
        took = (
            f"Expected reward `{self.name}` to judge {len(samples)} completions within {self.seconds:g} seconds, from "
            f"sample {samples[0].id} on, but it is still at it."
        )
        if self.on_error == "raise":
            raise InputError(f"{took} Repair it, or allow for more by `reward_seconds`.")
        end = " and is not asked any more" if self.hangs == HANGS else ""
        warnings.warn(f"{took} It counts 0{end}. Allow for more by `reward_seconds`.", stacklevel=2)


class GuardedJudges:
    """Metrics that judge held-out completions, of which none ends the run that it is evaluated in.

    Rewards are asked as in training (`GuardedReward`), those too that other metrics go by. Any other metric that fails
    leaves the batch out. What a metric says of its own ground truth, an `InputError`, still ends the run.

    Args:
        metrics: The metrics.
        on_error: As of `GuardedReward`.
        seconds: Most seconds that a reward may take for a batch; ``None`` waits for ever.

    Raises:
        ValueError: As `GuardedReward`.
    """

    def __init__(self, metrics: Sequence[Judge], on_error: OnRewardError, seconds: float | None) -> None:
        check_options(on_error, seconds)
        self.on_error = on_error
        asked = rewards_of(metrics).items()
        self.rewards = {name: GuardedReward(copy.deepcopy(reward), on_error, seconds) for name, reward in asked}
        """By the name of the metric."""
        self.left_out: Counter[str] = Counter()
        """Completions that a metric failed on, by its name."""

    def state_dict(self) -> dict[str, Any]:
        """What was counted."""
        rewards = {name: guard.state_dict() for name, guard in self.rewards.items()}
        return {"rewards": rewards, "left_out": dict(self.left_out)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.left_out = Counter(state_dict["left_out"])
        for name in self.rewards.keys() & state_dict["rewards"].keys():
            self.rewards[name].load_state_dict(state_dict["rewards"][name])

    @property
    def errors(self) -> dict[str, int]:
        """Completions that counted 0 or were left out, by the name of the metric."""
        return dict(self.left_out + Counter({name: guard.errors for name, guard in self.rewards.items()}))

    def copies(self, metrics: Sequence[Judge], device: torch.device, counted: bool = True) -> list[Judge]:
        """Copies of some of the metrics.

        Args:
            metrics: Of those that it was made with.
            device: Where they judge.
            counted: Whether failures are counted; not where the same completions are judged before.
        """
        judges = [copy.deepcopy(metric).to(device) for metric in metrics]
        for judge in judges:
            if (reward := rewards_of([judge]).get(judge.name)) is not None and judge.name in self.rewards:
                guard = self.rewards[judge.name]
                vars(reward)["grade"] = partial(guard.grade, counted=counted)
            vars(judge)["update"] = partial(self._update, judge, judge.update, counted)
        return judges

    def _update(
        self,
        judge: Judge,
        update: Callable[..., None],
        counted: bool,
        completions: Completions,
        samples: Sequence[Sample],
    ) -> None:
        try:
            update(completions, samples)
        except InputError:
            raise
        except _FAILURES as error:
            judge.graded = None
            self._tell(judge, error)
            self.left_out[judge.name] += len(samples) * counted

    def _tell(self, judge: Judge, error: BaseException) -> None:
        place = traceback.extract_tb(error.__traceback__)[-1]
        told = (
            f"Expected metric `{judge.name}` to judge every batch, but got {type(error).__name__}: {error} "
            f"({place.filename}:{place.lineno})."
        )
        if self.on_error == "raise":
            raise InputError(f"{told} Repair it, or leave such batches out: `on_reward_error: zero`.") from error
        if not self.left_out[judge.name]:
            warnings.warn(f"{told} The batch is left out, as all that follow, which are counted only.", stacklevel=2)


def check_options(on_error: str, seconds: float | None) -> None:
    """Raise `ValueError` for what no guard can do."""
    if on_error not in ("zero", "raise"):
        raise ValueError(f"Expected `on_reward_error` to be `zero` or `raise`, but got {on_error!r}.")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"Expected `reward_seconds` to be above 0, but got {seconds}.")


def within(seconds: float | None, work: Callable[..., T], *args: Any) -> T | None:
    """What work returns; ``None`` where it takes longer, and then goes on in a thread that does not hold up an exit."""
    if seconds is None:
        return work(*args)
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work(*args))
        except BaseException as error:  # raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    wait([done], seconds)
    return done.result() if done.done() else None
