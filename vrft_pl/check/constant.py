"""What would an answer earn that looks at nothing?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from vrft_pl.check.findings import THOUSANDTHS_OF, Finding
from vrft_pl.check.rows import Row
from vrft_pl.check.subject import Subject
from vrft_pl.data.samples import Part
from vrft_pl.metrics import Constants, judge_constants
from vrft_pl.metrics.constant import Asked, drawn_rows

_SAMPLED = "the prompts that were sampled"
_CLEARLY = 2.0
"""Standard errors of the sampled scores by which a constant is above them other than by accident."""


def check_constant(subject: Subject) -> list[Finding]:
    """Judge the best constant answers of the training rows on every held-out part, and beside the sampled answers."""
    rows: dict[str, list[Asked]] = defaultdict(list)
    for row in subject.good:
        rows["train" if row.part.split == "train" else str(row.part)].append(asked(row))
    known = {row.sample.id: row for row in rows.pop("train", [])}
    if subject.sampled is not None:
        rows[_SAMPLED] = [known[sample.id] for sample in subject.sampled.samples if sample.id in known]
    training = [asked(row) for row in training_rows(subject)]
    constants = judge_constants(subject.module.metrics, training, rows)
    findings = [Finding("note", f"No constant answer: {reason}.") for reason in constants.left_out]
    return [*findings, *told(constants, training), *beside(subject, constants)]


def training_rows(subject: Subject) -> list[Row]:
    """The good rows of those that `fit` chooses a constant by; where not all of those were read, all that were."""
    read: dict[Part, dict[int, Row]] = defaultdict(dict)
    for row in subject.rows:
        if row.part.split == "train":
            read[row.part][row.index] = row
    chosen: list[Row] = []
    for part, rows in read.items():
        drawn = drawn_rows(part)
        chosen += [rows[i] for i in drawn] if rows.keys() >= set(drawn) else rows.values()
    return [row for row in chosen if row.sample is not None]


def asked(row: Row) -> Asked:
    """A good row as constants need it."""
    assert row.sample is not None
    return Asked(row.sample, row.part.prefix, row.sizes[0] if row.sizes else None)


def told(constants: Constants, training: Sequence[Asked]) -> list[Finding]:
    """The answers, and what they get.

    Args:
        constants: What was chosen and judged.
        training: Rows that they were chosen by.
    """
    rows = f"{len(training)} training row{'s' if len(training) > 1 else ''}"
    unit = f" (in {THOUSANDTHS_OF})" if any(one.sample.solution.marks() for one in training) else ""
    findings = []
    for metric, answers in constants.answers.items():
        number = constants.main[metric].name if metric in constants.main else metric
        scores = [f"{n[number]:.3f} on {part}" for part, n in constants.scores.items() if number in n]
        what = f"{metric}: the best constant answer of {rows} is {', '.join(map(repr, answers.values()))}{unit}"
        findings.append(Finding("note", f"{what}: {', '.join(scores)}." if scores else f"{what}."))
    return findings


def beside(subject: Subject, constants: Constants) -> list[Finding]:
    """What the policy, as it is, gets by each reward, and a constant answer to the same prompts."""
    if subject.sampled is None:
        return []
    findings = []
    for name, constant in constants.scores.get(_SAMPLED, {}).items():
        if name not in subject.sampled.scores or name not in constants.main:
            continue
        judges = next(reward.judges for reward in subject.rewards if reward.name == name)
        judged = torch.tensor([judges(sample) for sample in subject.sampled.samples])
        means = subject.sampled.scores[name].view(len(judged), -1).mean(dim=1)[judged]
        if len(means) > 1:
            findings.append(compared(name, means, constant, subject.module.trains_on_samples))
    return findings


def compared(name: str, means: Tensor, constant: float, reinforced: bool) -> Finding:
    """Hold sampled answers against a constant one.

    Args:
        name: Of the reward.
        means: Mean score of the answers to each prompt. Shape ``(P,)``, more than one.
        constant: Mean score of the constant answer to these prompts.
        reinforced: Whether the policy is to be.
    """
    mean, slack = float(means.mean()), _CLEARLY * float(means.std()) / len(means) ** 0.5
    what = f"`{name}` of sampled answers is {mean:.3f}"
    if mean + slack < constant:
        advice = "the policy does not look yet. Train with SFT first."
        told = f"{what}, below the {constant:.3f} of a constant answer: {advice}"
        return Finding("warning" if reinforced else "note", told)
    place = "above" if mean - slack > constant else f"within {slack:.3f} of"
    return Finding("note", f"{what}, {place} the {constant:.3f} of a constant answer.")
