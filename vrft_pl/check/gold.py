"""Does the ground truth, written as the policy should, earn everything?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vrft_pl.answers import AnswerFrame, thousandths
from vrft_pl.check.findings import THOUSANDTHS_OF, Finding, Level
from vrft_pl.check.subject import Subject
from vrft_pl.prompts import target_text
from vrft_pl.rewards import Format, Grades, Reward
from vrft_pl.rewards.base import REASONS
from vrft_pl.styles import answer_style
from vrft_pl.types import Completions, InputError, Sample

_FEW = 64
"""Rows whose wrong and empty answers are graded."""
_FULL = 1e-6
_ROUNDED = 0.5
"""Score of a box from which its shortfall is put down to the rounding of its coordinates."""


def check_gold(subject: Subject) -> list[Finding]:
    """Grade the right answer of every row, then look for rewards that tell nothing apart."""
    samples, texts, frames = gold_answers(subject)
    if not samples:
        return []
    findings = unjudged(subject, samples)
    for reward in (reward for reward in subject.rewards if not reward.costs):
        try:
            right = reward.grade(Completions.written(texts, frames), samples)
            findings += shortfall(reward, right, samples, texts, frames)
            findings += sameness(subject, reward, right.scores, samples, texts, frames)
        except InputError as error:
            findings.append(Finding("error", str(error)))
    if subject.rewards and not findings:
        names = ", ".join(reward.name for reward in subject.rewards if upper_bound(reward) is not None)
        findings.append(Finding("note", f"All {len(samples)} right answers earn everything: {names}."))
    return findings


def unjudged(subject: Subject, samples: Sequence[Sample]) -> list[Finding]:
    """Rows for whose truth no reward is there that trains."""
    if not subject.module.trains_on_samples:
        return []
    judges = [reward for reward in subject.module.rewards if reward.reads_answers and reward.weight]
    rows = tuple(sample.id for sample in samples if not any(reward.judges(sample) for reward in judges))
    what = f"{len(rows)} of {len(samples)} rows have a ground truth that no reward judges."
    return [Finding("error" if len(rows) == len(samples) else "warning", what, rows)] if rows else []


def gold_sample(sample: Sample) -> Sample:
    """The sample without a turn of its own, and with a placeholder where its style needs thoughts and it has none."""
    return replace(sample, cot=sample.cot or answer_style(sample.style).placeholder, target=None)


def gold_answers(subject: Subject) -> tuple[list[Sample], list[str], list[AnswerFrame | None]]:
    """The right completion of every good row that can be encoded."""
    samples, texts, frames = [], [], []
    for row in subject.good:
        assert row.sample is not None
        try:
            frame = subject.meter.measure(row).frame
            text = target_text(gold_sample(row.sample), frame)
        except InputError:
            continue  # reported with the tokens
        samples.append(row.sample)
        texts.append(text)
        frames.append(frame)
    return samples, texts, frames


def upper_bound(reward: Reward) -> float | None:
    """What a right answer earns, for rewards that judge the truth, and for the form; ``None`` for all others."""
    judges_truth = reward.reads_answers and reward.solution_type is not object and not reward.costs
    return (
        reward.bounds[1] if (judges_truth or isinstance(reward, Format)) and math.isfinite(reward.bounds[1]) else None
    )


def shortfall(
    reward: Reward,
    right: Grades,
    samples: Sequence[Sample],
    texts: Sequence[str],
    frames: Sequence[AnswerFrame | None],
) -> list[Finding]:
    """Right answers that a reward can't read, as the policy writes them, or that earn less than everything."""
    most = upper_bound(reward)
    wrong: list[str] = []
    rounded: list[str] = []
    rows = zip(right.scores.tolist(), right.parse_failures.tolist(), samples, texts, frames, strict=True)
    for score, code, sample, text, frame in rows:
        if code > 0:
            wrong.append(f"{sample.id}: {text!r:.120} can't be read ({REASONS[code - 1].value})")
        elif code == 0 and most is not None and reward.judges(sample) and score < most - _FULL:
            boxes = bool(sample.solution.marks()) and score >= _ROUNDED
            (rounded if boxes else wrong).append(
                f"{sample.id}: {in_thousandths(sample, text, frame)} earns {score:.3f}"
            )
    findings = []
    if wrong:
        what = f"{len(wrong)} right answers do not earn everything from `{reward.name}`"
        findings.append(Finding("error", f"{what}: the policy could not either.", tuple(wrong)))
    if rounded:
        lowest = min(s for s, c in zip(right.scores.tolist(), right.parse_failures.tolist(), strict=True) if c == 0)
        level: Level = "warning" if lowest < 0.8 else "note"
        what = f"Rounding of coordinates costs {len(rounded)} right answers some of `{reward.name}`, at most"
        findings.append(Finding(level, f"{what} {(most or 1) - max(lowest, _ROUNDED):.2f}.", tuple(rounded)))
    return findings


def in_thousandths(sample: Sample, text: str, frame: AnswerFrame | None) -> str:
    """A right answer, its coordinates in the unit that constant answers are told in; one without as it is written."""
    if frame is None or not sample.solution.marks():
        return f"{text!r:.120}"
    return f"{sample.solution.text(thousandths(frame.width, frame.height))!r:.120} in {THOUSANDTHS_OF}"


def sameness(
    subject: Subject,
    reward: Reward,
    right: Tensor,
    samples: Sequence[Sample],
    texts: Sequence[str],
    frames: Sequence[AnswerFrame | None],
) -> list[Finding]:
    """A reward that gives right answers, those of other questions, no answer and sampled answers one score."""
    judged = [i for i, sample in enumerate(samples) if reward.judges(sample)]
    if not judged:
        what = f"`{reward.name}` judges none of the rows: it is for ground truth of another kind."
        return [Finding("warning", what)]
    few = judged[:_FEW]
    others = [next((t for t in (*texts[i + 1 :], *texts[:i]) if t != texts[i]), "") for i in few]
    probes = [right[judged]]
    for wrong in (others, [""] * len(few)):
        probes.append(reward.score(Completions.written(wrong, [frames[i] for i in few]), [samples[i] for i in few]))
    if subject.sampled is not None and reward.name in subject.sampled.scores:
        answered = [
            reward.judges(sample) for sample in subject.sampled.samples for _ in range(subject.module.group_size)
        ]
        probes.append(subject.sampled.scores[reward.name].cpu()[answered])
    scores = torch.cat(probes)
    if float(scores.max() - scores.min()) > _FULL:
        return []
    told = f"Reward `{reward.name}` is {scores[0]:.3g} for all samples, right, wrong and empty: it teaches nothing."
    level: Level = "error" if reward.reads_answers and reward.weight else "note" if not reward.weight else "warning"
    if not reward.reads_answers and not isinstance(reward, Format):
        level, told = "note", told.replace("teaches nothing", "judges something else, or teaches nothing")
    return [Finding(level, told)]
