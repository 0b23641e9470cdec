"""What would an answer earn that looks at nothing?"""

from __future__ import annotations

from collections import defaultdict

import torch

from vrft_pl.check.findings import Finding, Level
from vrft_pl.check.rows import Row
from vrft_pl.check.subject import Subject
from vrft_pl.metrics import Constants, judge_constants
from vrft_pl.metrics.constant import Asked

_SAMPLED = "the prompts that were sampled"
_CLEARLY = 2.0
"""Standard errors of the sampled scores by which a constant is above them other than by accident."""


def check_constant(subject: Subject) -> list[Finding]:
    """Judge the best constant answers of the training rows on every held-out part, and beside the sampled answers."""
    rows: dict[str, list[Asked]] = defaultdict(list)
    for row in subject.good:
        rows["train" if row.part.split == "train" else str(row.part)].append(asked(row))
    training = rows.pop("train", [])
    if subject.sampled is not None:
        known = {row.sample.id: row for row in training}
        rows[_SAMPLED] = [known[sample.id] for sample in subject.sampled.samples if sample.id in known]
    constants = judge_constants(subject.module.metrics, training, rows)
    findings = [Finding("note", f"No constant answer: {reason}.") for reason in constants.left_out]
    return [*findings, *told(constants), *below(subject, constants)]


def asked(row: Row) -> Asked:
    """A good row as constants need it."""
    assert row.sample is not None
    return Asked(row.sample, row.part.prefix, row.sizes[0] if row.sizes else None)


def told(constants: Constants) -> list[Finding]:
    """The answers, and what they get."""
    findings = []
    for metric, answers in constants.answers.items():
        number = constants.main[metric].name if metric in constants.main else metric
        scores = [f"{n[number]:.3f} on {part}" for part, n in constants.scores.items() if number in n]
        what = f"{metric}: the best constant answer is {', '.join(map(repr, answers.values()))}"
        findings.append(Finding("note", f"{what}: {', '.join(scores)}." if scores else f"{what}."))
    return findings


def below(subject: Subject, constants: Constants) -> list[Finding]:
    """Rewards of which the policy, as it is, gets clearly less than a constant answer to the same prompts."""
    if subject.sampled is None:
        return []
    level: Level = "warning" if subject.module.trains_on_samples else "note"
    findings = []
    for name, constant in constants.scores.get(_SAMPLED, {}).items():
        if name not in subject.sampled.scores or name not in constants.main:
            continue
        judges = next(reward.judges for reward in subject.rewards if reward.name == name)
        judged = torch.tensor([judges(sample) for sample in subject.sampled.samples])
        means = subject.sampled.scores[name].view(len(judged), -1).mean(dim=1)[judged]
        if len(means) > 1 and means.mean() + _CLEARLY * means.std() / len(means) ** 0.5 < constant:
            what = f"`{name}` of sampled answers is {means.mean():.3f}, below the {constant:.3f} of a constant answer"
            findings.append(Finding(level, f"{what}: the policy does not look yet. Train with SFT first."))
    return findings
