"""How hard each training row is for the policy as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vrft_pl.check.findings import Finding
from vrft_pl.check.subject import Subject
from vrft_pl.data.difficulty import RowRate
from vrft_pl.data.fingerprint import fingerprint
from vrft_pl.data.samples import Samples
from vrft_pl.rewards import Reward
from vrft_pl.runs.rows import write_rows
from vrft_pl.types import InputError, Sample

RIGHT = 0.5
"""Score from which a completion counts as right."""


def write_difficulty(subject: Subject, path: Path) -> list[Finding]:
    """Let the policy write a group to every training row, as in training, and write its success rates.

    Args:
        subject: What is checked.
        path: A row of JSON a training row: its id, its hash, the rate, and completions.
    """
    rates = list(row_rates(subject))
    if not rates:
        return [Finding("error", "No training row could be judged: no success rate was written.")]
    write_rows(path, (rate._asdict() for rate in rates))
    count = len(rates)
    never, always = (sum(rate.rate == end for rate in rates) / count for end in (0.0, 1.0))
    told = f"{count} rows of {path}: {never:.0%} are never solved, {always:.0%} always"
    return [Finding("note", f"{told}, of {rates[0].completions} completions each. `DifficultyBand` chooses by them.")]


def row_rates(subject: Subject) -> Iterator[RowRate]:
    """The success rate of each training row that a reward which reads answers judges."""
    size = subject.task.eval_batch_size
    for part in subject.task.datasets("train").values():
        if not isinstance(part, Samples):
            raise InputError(f"Expected a training part of a source, but got {type(part).__name__}.")
        for first in range(0, len(part), size):
            rows = range(first, min(first + size, len(part)))
            rates = success(subject, [part[row] for row in rows])
            for row, rate in zip(rows, rates, strict=True):
                if rate is not None:
                    place = row if part.rows is None else part.rows[row]
                    named = part.source[place].id, fingerprint(part.source, [place])
                    yield RowRate(*named, rate, subject.module.group_size)


def success(subject: Subject, samples: list[Sample]) -> list[float | None]:
    """Share of right completions of each sample; ``None`` where no reward that reads answers judges it."""
    module, size = subject.module, subject.module.group_size
    with subject.precision():
        completions = module.generate(samples, size, module.params, f"difficulty {module.seed}")
    repeated = [sample for sample in samples for _ in range(size)]
    rates: list[float | None] = [None] * len(samples)
    for reward in reversed(measuring(subject)):
        grades = reward.at(0).grade(completions, repeated)
        right = (grades.scores.view(-1, size) >= RIGHT).double().mean(dim=1).tolist()
        judged = (grades.parse_failures.view(-1, size)[:, 0] >= 0).tolist()
        rates = [own if yes else before for own, yes, before in zip(right, judged, rates, strict=True)]
    return rates


def measuring(subject: Subject) -> list[Reward]:
    """Rewards that success is measured by, the first that judges a row counting."""
    return [reward for reward in subject.module.rewards or subject.rewards if reward.reads_answers]
