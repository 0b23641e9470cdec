"""The hooks around a rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import Strategy

from vrft_pl.types import Experience, InputError, Sample


class Run(Protocol):
    """What is known of a run before it begins; a trainer is one."""

    @property
    def callbacks(self) -> Sequence[Callback]:
        """All of them, in their order."""

    @property
    def strategy(self) -> Strategy | str:
        """By name or built."""


class RolloutCallback(Callback):
    """A Lightning callback that is also told of each rollout. The module does not know which callbacks exist."""

    def insist(self, run: Run, module: LightningModule) -> None:
        """Raise `InputError` where it can't train with others; asked before anything is evaluated, and by ``check``."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Insist on what it needs, in a run that was built without the command line too."""
        if stage == "fit":
            self.insist(cast(Run, trainer), pl_module)

    def on_rollout_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Called before completions are sampled, with the policy as it will sample."""

    def on_rollout_views(
        self, trainer: Trainer, module: LightningModule, samples: list[Sample], group_size: int
    ) -> list[View] | None:
        """Called before a window is sampled, which may be shown in other ways than it is trained on.

        Args:
            trainer: The run's trainer.
            module: Its module.
            samples: The prompts of the window.
            group_size: ``G``.

        Returns:
            Views whose sizes sum to ``group_size``, first the samples as they are; the completions of a group are in
            this order. ``None`` shows them as they are.
        """

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> Experience | None:
        """Called when a window is scored and its advantages are known, before it is trained on.

        Returns:
            What is trained on in place of ``experience``, made of whole groups of its samples, each as often as
            wanted; ``None`` keeps it. Callbacks are told one after the other, each what the one before it returned.
        """


class View(NamedTuple):
    """The prompts of a window as a part of each group sees them."""

    samples: list[Sample]
    """In the order of the window, with the same answers and sizes of pictures. Length ``P``."""
    size: int
    """Completions of each group."""


@runtime_checkable
class CollectsMore(Protocol):
    """A module that collects groups beyond a window, for callbacks within `on_rollout_end`; as `GRPOModule` does."""

    seed: int
    """Of sampling."""

    def more(self, count: int, key: str) -> Experience | None:
        """Sample further rows with the policy as it is. Every rank calls it.

        Args:
            count: Groups that this rank wants.
            key: What tells its draws from others of the window.

        Returns:
            So many groups, which may be returned from the hook; ``None`` for none.
        """

    def note(self, numbers: dict[str, float]) -> None:
        """Log numbers of the window, the same on every rank, under their names beside those of the rollout."""


@runtime_checkable
class CollectsAgain(CollectsMore, Protocol):
    """A module that also trains on what was sampled before; as `GRPOModule` does."""

    def read(self, rows: Sequence[int]) -> list[Sample]:
        """Read rows that are trained on, by their position, of which what the hook returns may be made."""

    def again(self, samples: list[Sample], completions: Sequence[dict[str, Any]]) -> Experience:
        """Score and weigh completions anew with the policy as it is. Every rank calls it with as many samples.

        Args:
            samples: Length ``P``.
            completions: A group of each sample, as `vrft_pl.axes.kept` gives them.
        """


def insist_on_more(module: LightningModule, callback: Callback) -> None:
    """Raise `InputError` where a callback is in a run whose module collects no rollouts."""
    if not isinstance(module, CollectsMore):
        name = type(callback).__name__
        raise InputError(f"Expected a module with rollouts for {name}, but got {type(module).__name__}. Leave it out.")


def tell_start(trainer: Trainer, module: LightningModule) -> None:
    """Tell every rollout callback that completions are about to be sampled."""
    for callback in listening(trainer):
        callback.on_rollout_start(trainer, module)


def ask_views(trainer: Trainer, module: LightningModule, samples: list[Sample], group_size: int) -> list[View]:
    """How the prompts of a window are shown to the parts of each group.

    Raises:
        InputError: If more than one callback decides on it.
    """
    asked = {type(c).__name__: c.on_rollout_views(trainer, module, samples, group_size) for c in listening(trainer)}
    found = {name: views for name, views in asked.items() if views is not None}
    if len(found) > 1:
        raise InputError(f"Expected one callback that decides what is shown, but got {', '.join(found)}. Choose one.")
    return next(iter(found.values()), [View(samples, group_size)])


def tell_end(
    trainer: Trainer, module: LightningModule, experience: Experience, asked: Sequence[Sample] = ()
) -> Experience:
    """Tell every rollout callback of a window. Returns what is to be trained on.

    Args:
        trainer: The run's trainer.
        module: Its module.
        experience: The window.
        asked: Samples that the window may be made of beside its own; callbacks may add to them meanwhile.

    Raises:
        InputError: If a callback returns something that can't be trained on, naming it.
    """
    own = experience.samples
    for callback in listening(trainer):
        answer = callback.on_rollout_end(trainer, module, experience)
        if answer is None:
            continue
        name = type(callback).__name__
        if not isinstance(answer, Experience) or not len(answer):
            got = "none" if isinstance(answer, Experience) else type(answer).__name__
            raise InputError(f"Expected `on_rollout_end` of {name} to return an Experience with groups, but got {got}.")
        known = {id(sample) for sample in (*own, *asked)}
        if unknown := [sample.id for sample in answer.samples if id(sample) not in known]:
            raise InputError(
                f"Expected `on_rollout_end` of {name} to return groups of the samples it was given, but got a group of "
                f"another one, {unknown[0]}."
            )
        experience = answer
    return experience


def listening(run: Run | Trainer) -> list[RolloutCallback]:
    """The callbacks that are told of rollouts, in their order."""
    return [callback for callback in cast(Run, run).callbacks if isinstance(callback, RolloutCallback)]


@dataclass(frozen=True)
class Hooks:
    """What surrounds a Collector; by default nothing does."""

    step: Callable[[], int] = lambda: 0
    """Optimizer steps so far: what weights of rewards depend on, and when an engine needs new weights."""
    forward_context: Callable[[], AbstractContextManager[Any]] = nullcontext
    """The precision of forward passes."""
    on_start: Callable[[], None] = lambda: None
    """Called before sampling."""
    views: Callable[[list[Sample], int], list[View]] = lambda samples, group_size: [View(samples, group_size)]
    """How prompts are shown to the parts of each group, for samples and ``G``; the first as they are."""
    on_end: Callable[[Experience], Experience] = lambda experience: experience
    """Called with the window; returns what is trained on."""
