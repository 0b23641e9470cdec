"""Which rows the arms of a comparison see: drawn for all of them, or chosen by what a policy writes on them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from vrft_pl.data import FewShot, Fraction, Source
from vrft_pl.policy import VLM
from vrft_pl.policy.cost import Cost
from vrft_pl.rewards import Format, Judge, Reward
from vrft_pl.rewards.panel import rewards_of
from vrft_pl.rollout import SamplingParams, Writer
from vrft_pl.types import Completions, InputError, Sample

RIGHT_AT = 0.5
"""Score from which an answer counts as right: all of a match, and the usual overlap of a box or mask."""
Line = dict[str, Any]
"""A line of a list of rows, as `vrft_pl.data.Listed` reads them."""


def draw(
    source: Source, rows: int | None = None, shots: int | None = None, fraction: float | None = None, seed: int = 0
) -> list[int]:
    """Draw rows for all arms. Of two draws of one kind with one seed the smaller is part of the larger.

    Args:
        source: Where they come from, seeded already if it makes its rows.
        rows: Number of rows, drawn uniformly.
        shots: Rows of each class (`FewShot`).
        fraction: Share of the rows, drawn uniformly; the same order as that of ``rows``.
        seed: Seed of the draw, apart from that of training.

    Returns:
        Positions from the least to the greatest.

    Raises:
        InputError: If a source has no classes to draw shots of, or is streamed.
        ValueError: If not one of the sizes is given, or it is out of its range.

    Example:
        >>> from vrft_pl.data import CountingScenes
        >>> few, more = (draw(CountingScenes(size=100), rows=n) for n in (3, 6))
        >>> len(few), set(few) < set(more)
        (3, True)
    """
    given = {"rows": rows, "shots": shots, "fraction": fraction}
    if sum(size is not None for size in given.values()) != 1:
        raise ValueError(f"Expected one of `rows`, `shots` and `fraction`, but got {given}.")
    subset = Fraction(source, fraction, rows, seed) if shots is None else FewShot(source, shots, seed)
    return list(subset.rows)


class WritingModule(Protocol):
    """What a probe needs of a module; every `PolicyModule` has it."""

    policy: VLM
    writer: Writer
    params: SamplingParams
    metrics: Sequence[Judge]

    def generate(
        self, samples: Sequence[Sample], group_size: int, params: SamplingParams, seed: int | str
    ) -> Completions:
        """Write ``group_size`` completions to each sample, reproducibly for a seed."""


@dataclass(frozen=True)
class ProbedRow:
    """What a policy wrote on one row."""

    row: int
    """Position of the row in the source that a list of rows is read with."""
    id: str
    """Of the row."""
    completions: tuple[str, ...]
    """In the order in which they were sampled. Length ``K``."""
    scores: tuple[float, ...]
    """Of each completion, by the first metric that reads answers and judges the row. Length ``K``."""
    right: tuple[bool, ...]
    """Completions whose answer is right. Length ``K``."""
    imitable: tuple[bool, ...]
    """Completions that were ended by the policy itself, are not blank and hold no control token. Length ``K``."""
    formatted: tuple[bool, ...]
    """Completions in the form that was asked for, whatever they answer. Length ``K``."""

    @property
    def success(self) -> float:
        """Share of right completions."""
        return sum(self.right) / len(self.right)


@dataclass(frozen=True)
class Probe:
    """What a policy wrote on the rows of a comparison, and what that took."""

    rows: tuple[ProbedRow, ...]
    """In the order of the samples."""
    cost: dict[str, float]
    """The fields of `vrft_pl.policy.cost.Cost`."""


def probe(
    module: WritingModule,
    samples: Sequence[Sample],
    completions: int = 8,
    seed: int = 0,
    rows: Sequence[int] | None = None,
    batch_size: int = 32,
    right_at: float = RIGHT_AT,
) -> Probe:
    """Let a policy write on rows, by the module's own engine, and grade what it wrote.

    It is sampled as the module samples, at temperature 1 where that is greedy. The weights are loaded, and a precision
    plugin's context is entered, by whoever calls.

    Args:
        module: Writes, and grades by its ``metrics``.
        samples: The rows; read one batch at a time.
        completions: ``K``, completions a row.
        seed: Seed of the sampling.
        rows: Position of each sample in the source that a list of rows is to be read with; of rows that `Listed` reads,
            its ``rows``. Defaults to their order.
        batch_size: Rows whose completions are sampled together.
        right_at: Score from which an answer counts as right.

    Raises:
        InputError: If no metric that reads answers judges a row.
        ValueError: If ``completions`` is not positive, or positions and samples differ in number.
    """
    if completions < 1:
        raise ValueError(f"Expected `completions` to be at least 1 a row, but got {completions}.")
    positions = range(len(samples)) if rows is None else rows
    if len(positions) != len(samples):
        raise ValueError(f"Expected a position for each of {len(samples)} samples, but got {len(positions)}.")
    before, start = module.writer.spent, time.perf_counter()
    probed: list[ProbedRow] = []
    for first in range(0, len(samples), batch_size):
        stop = min(first + batch_size, len(samples))
        batch = [samples[i] for i in range(first, stop)]
        written = module.generate(batch, completions, sampling(module.params), f"probe/{seed}")
        probed += graded(module, batch, positions[first:stop], written, right_at)
    cost = module.writer.spent - before + Cost(seconds=time.perf_counter() - start)
    return Probe(tuple(probed), cost.as_dict())


def right_completions(probe: Probe, per_row: int = 1, formatted: bool = True) -> list[Line]:
    """Rejection SFT (https://arxiv.org/abs/2308.01825): rows with right completions of the policy as their targets.

    These are the labels that reinforcement sees, in one round that is sampled before training. A row that was never
    right is left out. The first right completions are taken as they came: a draw from the policy, given that it is
    right.

    Args:
        probe: What the policy wrote.
        per_row: Most right completions of a row, no text twice.
        formatted: Take those in the form that was asked for alone: an answer can be read, and be right, where the
            thoughts around it are malformed, and supervised training would imitate that.
    """
    lines = []
    for row in probe.rows:
        judged = zip(row.completions, row.right, row.imitable, row.formatted, strict=True)
        kept = (text for text, right, whole, formed in judged if right and whole and (formed or not formatted))
        lines += [{"row": row.row, "id": row.id, "target": text} for text in list(dict.fromkeys(kept))[:per_row]]
    return lines


def by_difficulty(probe: Probe, low: float = 0.125, high: float = 0.875) -> list[Line]:
    """Difficulty-curated SFT (DC-SFT, https://arxiv.org/abs/2602.10815): rows that are neither too hard nor too easy.

    The paper finds that rows the policy never gets right harm supervised training out of the domain. Its published code
    samples 8 completions a row, after a cold start, calls a row hard where none is right, easy where all are and medium
    otherwise, and its SFT-M trains on the medium rows with their own targets; so do the defaults. Here the policy
    probed is the one that the arm starts from, with or without a cold start.

    Args:
        probe: What the policy wrote.
        low: Least share of right completions.
        high: Greatest share of right completions.

    Raises:
        ValueError: If the shares are none, or in the wrong order.
    """
    if not 0 <= low <= high <= 1:
        raise ValueError(f"Expected `low` and `high` to be shares in order, but got {low} and {high}.")
    return [{"row": row.row, "id": row.id} for row in probe.rows if low <= row.success <= high]


def sampling(params: SamplingParams) -> SamplingParams:
    """How a probe samples: as the module does, but never greedily."""
    return params if params.temperature else replace(params, temperature=1.0)


def graded(
    module: WritingModule, samples: Sequence[Sample], rows: Sequence[int], written: Completions, right_at: float
) -> list[ProbedRow]:
    """Grade the completions of a batch, those of one sample beside each other."""
    size = len(written) // len(samples)
    repeated = [sample for sample in samples for _ in range(size)]
    rewards = [reward for reward in rewards_of(module.metrics).values() if reward.reads_answers]
    judges = [judge_of(rewards, sample) for sample in samples]
    scores = torch.zeros(len(written), dtype=torch.float32)
    for reward in dict.fromkeys(judges):
        mine = torch.tensor([judge is reward for judge in judges]).repeat_interleave(size)
        scores[mine] = reward.score(written, repeated).cpu()[mine]
    whole, formed = imitable(module.policy, written), (Format().score(written, repeated) == 1).tolist()
    probed = []
    for i, (sample, row) in enumerate(zip(samples, rows, strict=True)):
        own = slice(i * size, (i + 1) * size)
        values = tuple(scores[own].tolist())
        right = tuple(value >= right_at for value in values)
        kinds = right, tuple(whole[own]), tuple(formed[own])
        probed.append(ProbedRow(row, sample.id, written.texts[own], values, *kinds))
    return probed


def judge_of(rewards: Sequence[Reward], sample: Sample) -> Reward:
    """The first reward that judges a sample.

    Raises:
        InputError: If there is none.
    """
    if (judge := next((reward for reward in rewards if reward.judges(sample)), None)) is None:
        names = ", ".join(reward.name for reward in rewards) or "none"
        raise InputError(
            f"{sample.id}: expected a metric that reads answers and judges this row, to tell right from wrong, but the "
            f"module's are: {names}."
        )
    return judge


def imitable(policy: VLM, written: Completions) -> list[bool]:
    """Which completions supervised training can imitate: whole, not blank, without control tokens."""
    special = policy.codec.tokenizer.all_special_tokens
    pairs = zip(written.texts, written.finish_reasons, strict=True)
    return [bool(t.strip()) and end == "stop" and not any(token in t for token in special) for t, end in pairs]
