"""Groups with few right completions come again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from lightning.pytorch import LightningModule, Trainer

from vrft_pl.axes import kept
from vrft_pl.callbacks.success import Success
from vrft_pl.data.samples import row_of
from vrft_pl.distributed import gather
from vrft_pl.rollout import RolloutCallback
from vrft_pl.rollout.hooks import CollectsAgain, Run, insist_on_more
from vrft_pl.types import Experience, InputError


class Key(NamedTuple):
    """What tells a group from all others, in the order in which they come again."""

    used: int
    """Times that it has come again."""
    rate: float
    """Share of its completions that are right."""
    age: int
    """Optimizer steps since it was sampled."""
    row: int


@dataclass
class Stored:
    """A group that may come again."""

    row: int
    rate: float
    born: int
    """Optimizer steps when it was sampled."""
    used: int
    completions: dict[str, Any]
    """As `vrft_pl.axes.kept` gives them, with the log-probs of the policy that wrote them."""

    def key(self, step: int) -> Key:
        """Its key at an optimizer step."""
        return Key(self.used, self.rate, step - self.born, self.row)


class Replay(RolloutCallback):
    """Trains again on groups in which right completions were rare, weighed by how much the policy has moved since.

    Experience replay as in RePO (https://arxiv.org/abs/2506.09340) and ExGRPO (https://arxiv.org/abs/2510.02245), off
    policy by a few steps. A group is kept when at most ``rare`` of its completions are right, but one is, whose
    advantage is then large. Each window of training gets up to ``share`` as many groups more, those used least and
    rarest first, the newest of these, no older than ``age`` optimizer steps. Their rewards are asked and their
    reference passes made again. Ratios are to the log-probs that were stored: the loss weighs each token by policy over
    behaviour, truncated at its ``importance_cap``, which is needed. Deviations: whole groups come again, as the
    baseline needs them, where both papers mix single completions into new groups; and a group comes again ``times``
    times at most.

    Logs ``train/replayed_groups`` and ``train/stored_groups``, over all ranks, and ``train/replay_age`` (mean, in
    optimizer steps). Which groups come again is the same on any number of processes. ``train/sampler_gap`` counts
    replayed tokens too.

    Args:
        rare: Most right completions of a group that is kept, as a share of it.
        share: Most replayed groups, as a share of those of a window.
        age: Most optimizer steps between writing and training again.
        times: Most times that a group comes again.
        capacity: Most groups that are stored, on all ranks together; the oldest go first.
        right: Score from which a completion counts as right.
        reward: Name of the reward whose score is meant. Defaults to the first that reads answers and judges the row.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        rare: float = 0.25,
        share: float = 0.25,
        age: int = 50,
        times: int = 1,
        capacity: int = 256,
        right: float = 0.5,
        reward: str | None = None,
    ) -> None:
        for name, value in {"rare": rare, "share": share}.items():
            if not 0 < value <= 1:
                raise ValueError(f"Expected `{name}` to be above 0 and at most 1, but got {value}.")
        for name, count in {"age": age, "times": times, "capacity": capacity}.items():
            if count < 1:
                raise ValueError(f"Expected `{name}` to be at least 1, but got {count}.")
        self.rare, self.share, self.age, self.times, self.capacity = rare, share, age, times, capacity
        self.success = Success(right, reward)
        self.stored: list[Stored] = []
        """Groups of this rank."""

    def state_dict(self) -> dict[str, Any]:
        """What is stored."""
        return {"stored": [vars(group) for group in self.stored]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.stored = [Stored(**group) for group in state_dict["stored"]]

    def insist(self, run: Run, module: LightningModule) -> None:
        """Refuse a module that collects no rollouts, or a loss that does not weigh what another policy wrote."""
        insist_on_more(module, self)
        self.success.choose(module, self)
        if not module.loss.corrects_sampler:  # type: ignore[union-attr]  # a module with rollouts
            raise InputError(
                "Expected `importance_cap` of the loss to be set with Replay, which truncates its weights."
            )

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> Experience | None:
        """Put groups of earlier windows behind those of this one, and keep what may come again."""
        assert isinstance(module, CollectsAgain)
        step = trainer.global_step
        chosen = self._choose(step, len(experience))
        replayed = self._collect(module, experience, chosen)
        for group in chosen:
            group.used += 1
        self._keep(experience, step)
        told = gather(([group.key(step).age for group in chosen], len(self.stored)))
        ages, count = [age for own, _ in told for age in own], sum(stored for _, stored in told)
        age = sum(ages) / len(ages) if ages else 0.0
        names = {"replayed_groups": len(ages), "stored_groups": count, "replay_age": age}
        module.note({f"train/{name}": float(value) for name, value in names.items()})
        return experience.join([replayed]) if replayed is not None else None

    def _choose(self, step: int, groups: int) -> list[Stored]:
        """This rank's part of the groups that come again, of all ranks."""
        self.stored = [group for group in self.stored if step - group.born <= self.age and group.used < self.times]
        told = gather(([group.key(step) for group in self.stored], groups))
        most = int(self.share * sum(count for _, count in told))
        first = set(sorted(key for own, _ in told for key in own)[:most])
        return [group for group in self.stored if group.key(step) in first]

    def _collect(self, module: CollectsAgain, experience: Experience, chosen: list[Stored]) -> Experience | None:
        """Judge the chosen groups anew; as many on every rank, for passes of sharded weights wait for each other."""
        most = max(gather(len(chosen)))
        if not most:
            return None
        filler = most - len(chosen)
        samples = [*module.read([group.row for group in chosen]), *experience.samples[:1] * filler]
        own = kept(experience.select([0]).completions) if filler else {}
        found = module.again(samples, [*(group.completions for group in chosen), *[own] * filler])
        return found.select(range(len(chosen))) if chosen else None

    def _keep(self, experience: Experience, step: int) -> None:
        """Keep the groups of which few completions are right; of all ranks together the newest."""
        if experience.completions.logprobs is None:
            raise InputError("Expected a sampler that gives the log-probs of what it draws with Replay, but got none.")
        rates = self.success.rates(experience)
        for i, (sample, rate) in enumerate(zip(experience.samples, rates, strict=True)):
            if rate is not None and 0 < rate <= self.rare:
                completions = kept(experience.select([i]).to("cpu").completions)
                self.stored.append(Stored(row_of(sample), rate, step, 0, completions))
        keys = [(step - group.born, group.row) for group in self.stored]
        everywhere = set(sorted(key for own in gather(keys) for key in own)[: self.capacity])
        self.stored = [group for group in self.stored if (step - group.born, group.row) in everywhere]
