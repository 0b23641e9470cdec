"""Does the policy, as it is, give reinforcement something to learn from?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vrft_pl.check.findings import Finding, Level
from vrft_pl.check.gold import gold_sample
from vrft_pl.check.rows import Row
from vrft_pl.check.subject import Sampled, Subject
from vrft_pl.check.tokens import context
from vrft_pl.policy.batching import append_tokens
from vrft_pl.rewards import Reward
from vrft_pl.rollout.decoding import prefill
from vrft_pl.types import InputError, Prompts, Sample

_CERTAIN = 64
"""Completions from which groups without a difference are no accident."""
_EQUAL = 1e-6
"""Deviation within a group below which its rewards are equal."""
_WEAK = 0.2
"""Share of groups with something to learn below which most of what is sampled is for nothing."""
_SELDOM = 0.01
"""Probability of the end of the turn after a right answer below which the policy never learned it."""


def check_signal(subject: Subject) -> list[Finding]:
    """Sample completions to a few training prompts and grade them."""
    samples = chosen_samples(subject)
    if not samples:
        return [Finding("note", f"{why_none(subject)}: nothing was sampled.")]
    try:
        subject.sampled = sample_answers(subject, samples)
        ends = endings(subject, subject.sampled)
    except torch.OutOfMemoryError as error:
        advice = "Try fewer `max_rows` of the sampler, `max_tokens` or `max_pixels`."
        return [Finding("error", f"Sampling runs out of memory: {str(error).splitlines()[0]} {advice}")]
    except InputError as error:
        return [Finding("error", str(error))]
    return [*ends, *scores(subject, subject.sampled), *verdict(subject, subject.sampled)]


def chosen_samples(subject: Subject) -> list[Sample]:
    """Training rows that fit, or held-out ones where there are none, drawn with the seed."""
    limit = context(subject.policy)

    def fit(row: Row) -> bool:
        try:
            return limit is None or subject.meter.measure(row).num_tokens + subject.module.params.max_tokens <= limit
        except InputError:
            return False

    rows = subject.good
    rows = [row for row in rows if row.part.split == "train"] or rows
    random.Random(subject.task.seed).shuffle(rows)
    chosen: list[Sample] = []
    for row in rows:
        if len(chosen) == subject.options.prompts:
            break
        if row.sample is not None and fit(row):
            chosen.append(replace(row.sample))
    return chosen


def why_none(subject: Subject) -> str:
    """Why no row was chosen."""
    return "No row fits into the context" if subject.good else "No row is good"


def sample_answers(subject: Subject, samples: list[Sample]) -> Sampled:
    """Let the policy write a group to each sample, and grade it."""
    with subject.precision():
        completions = subject.module.generate(
            samples, subject.module.group_size, subject.module.params, subject.module.seed
        )
    repeated = [sample for sample in samples for _ in range(subject.module.group_size)]
    return Sampled(
        tuple(samples),
        completions,
        {r.name: r.at(0).grade(completions, repeated).scores.cpu() for r in subject.rewards},
    )


def endings(subject: Subject, sampled: Sampled) -> list[Finding]:
    """How completions end."""
    completions, policy = sampled.completions, subject.policy
    lengths = completions.mask.sum(dim=1)
    last = completions.ids.gather(1, lengths[:, None] - 1).squeeze(1).tolist()
    stopped = Counter(t for t, why in zip(last, completions.finish_reasons, strict=True) if why == "stop")
    names = {
        token: f"{token} {policy.codec.tokenizer.convert_ids_to_tokens(token)!r}" for token in policy.end_token_ids
    }
    count, cut = len(completions), int(completions.truncated.sum())
    shares = ", ".join(f"{stopped[token] / count:.0%} end with {name}" for token, name in names.items())
    note = Finding(
        "note", f"{count} completions to {len(sampled.samples)} prompts: {shares}, {cut / count:.0%} are cut."
    )
    if cut <= count / 2:
        return [note]
    what = f"{cut} of {count} completions were cut at `max_tokens` {subject.module.params.max_tokens}"
    try:
        known, likeliest = after_right_answers(subject, sampled.samples[:4])
    except InputError as error:  # of the right answer, which sampling does not need
        return [Finding("warning", f"{what}. Whether right answers end can't be told: {error}"), note]
    if known >= _SELDOM:
        told = f"though after a right answer the policy ends its turn ({known:.0%})"
        return [Finding("warning", f"{what}, {told}. Raise `max_tokens`."), note]
    level: Level = "error" if subject.module.trains_on_samples else "warning"
    ends = ", ".join(names.values())
    told = f"{what}, and after a right answer none of the end tokens ({ends}) has a probability above {known:.1g}"
    instead = f"{likeliest} {policy.codec.tokenizer.convert_ids_to_tokens(likeliest)!r} is the likeliest there"
    return [Finding(level, f"{told}: {instead}. Correct `eos_token_id` or the chat template."), note]


def after_right_answers(subject: Subject, samples: tuple[Sample, ...]) -> tuple[float, int]:
    """What the policy would write after the right answer.

    Returns:
        The probability of an end token, mean over the samples, and the likeliest token.
    """
    policy = subject.policy
    told = [gold_sample(sample) for sample in samples]
    with subject.precision(), policy.evaluating():
        prompts = policy.encode(told)
        targets = policy.encode_targets(told, prompts)
        probabilities = []
        for i, prompt in enumerate(prompts):
            ids = targets.ids[i : i + 1, : int(targets.mask[i].sum()) - 1]  # all but the end token
            inputs = append_tokens(prompt.inputs, ids, torch.ones_like(ids), prompt.num_tokens)
            logits = prefill(policy, Prompts((replace(prompt, inputs=inputs),))).logits
            probabilities.append(policy.scale(logits, 1.0).softmax(dim=-1))
    mean = torch.cat(probabilities).mean(dim=0)
    return float(mean[list(policy.end_token_ids)].sum()), int(mean.argmax())


def scores(subject: Subject, sampled: Sampled) -> list[Finding]:
    """What each reward says of the completions."""
    findings = []
    repeated = [sample for sample in sampled.samples for _ in range(subject.module.group_size)]
    for reward in subject.rewards:
        grades = reward.at(0).grade(sampled.completions, repeated)
        judged = (grades.parse_failures >= 0).cpu()
        if not judged.any():
            continue
        score, read = grades.scores.cpu()[judged], (grades.parse_failures.cpu()[judged] == 0).float().mean()
        answers = f", {read:.0%} of answers read" if reward.reads_answers else ""
        deviation = groups(subject, grades.scores.cpu()).std(dim=1, correction=0).mean()
        within = f", deviation within groups {deviation:.3f}" if subject.module.group_size > 1 else ""
        findings.append(Finding("note", f"{reward.name}: mean {score.mean():.3f}{within}{answers}."))
        if reward.reads_answers and read == 0:
            what = f"`{reward.name}` can read none of the {len(score)} sampled answers."
            if subject.module.trains_on_samples:
                advice = "Train with SFT first, or ask for the form in a `template`."
                findings.append(Finding("warning", f"{what} {advice}"))
            else:
                findings.append(Finding("note", what))
    return findings


def groups(subject: Subject, values: Tensor) -> Tensor:
    """Shape ``(N,)`` to ``(P, G)``."""
    return values.view(-1, subject.module.group_size)


def verdict(subject: Subject, sampled: Sampled) -> list[Finding]:
    """What there is to learn: the share of groups that differ, by reward, and in rewards that look at the truth."""
    if not subject.module.trains_on_samples:
        return []
    weighed = [r for r in subject.module.rewards if r.name in sampled.scores]
    live = differing(subject, sampled, weighed)
    what = f"{1 - live:.0%} of {len(sampled.samples)} groups have equal rewards and give no gradient"
    if not live:
        level: Level = "error" if len(sampled.completions) >= _CERTAIN else "warning"
        advice = "Train with SFT first, or use easier rows or graded rewards."
        return [Finding(level, f"{what}: GRPO has no signal. {advice}")]
    varying = [reward for reward in weighed if differing(subject, sampled, [reward])]
    # by name: `==` of two metrics makes a third
    heeds = {reward.name: heeds_truth(reward, subject, sampled) for reward in varying}
    heeding, others = ([reward for reward in varying if heeds[reward.name] is wanted] for wanted in (True, False))
    return [told_signal(subject, sampled, heeding, others, what)]


def told_signal(
    subject: Subject, sampled: Sampled, heeding: Sequence[Reward], others: Sequence[Reward], what: str
) -> Finding:
    """The verdict on rewards that differ within groups; what looks at no ground truth counts for nothing.

    Args:
        subject: What is checked.
        sampled: What the policy wrote.
        heeding: Those that look at the ground truth.
        others: Those that don't, such as `Format`.
        what: Is put before it.
    """
    heeded, unheeded = (
        ", ".join(f"{reward.name} ({differing(subject, sampled, [reward]):.0%} of groups)" for reward in rewards)
        for rewards in (heeding, others)
    )
    advice = "Train with SFT first, or use easier rows or graded rewards."
    if not heeding:
        told = f"Only {unheeded} differ within groups, and none of these looks at the ground truth"
        return Finding("warning", f"{told}: GRPO would teach form without right answers. {advice}")
    beside = f"; {unheeded} looks at no ground truth and is no signal" if unheeded else ""
    if (share := differing(subject, sampled, heeding)) < _WEAK:
        return Finding("warning", f"{what}: GRPO has a weak signal, {share:.0%}, in {heeded}{beside}. {advice}")
    return Finding("note", f"{what}: GRPO has a signal, in {heeded}{beside}.")


def differing(subject: Subject, sampled: Sampled, rewards: Sequence[Reward]) -> float:
    """Share of groups within which the weighted sum of some rewards differs."""
    total = torch.stack([reward.weight_at(0) * sampled.scores[reward.name] for reward in rewards]).sum(dim=0)
    return float((groups(subject, total).std(dim=1, correction=0) >= _EQUAL).float().mean())


def heeds_truth(reward: Reward, subject: Subject, sampled: Sampled) -> bool:
    """Whether the scores of the same completions change when they are held against the ground truth of other samples.

    Where all samples have the same ground truth, or asking again would cost, a reward that reads answers is taken to
    compare them with it.
    """
    samples, scores = sampled.samples, sampled.scores[reward.name]
    truths = [(sample.solution, sample.extra) for sample in samples]
    if reward.costs or all(truth == truths[0] for truth in truths):
        return reward.reads_answers
    for shift in range(1, len(samples)):
        exchanged = [with_truth_of(sample, samples[i - shift]) for i, sample in enumerate(samples)]
        repeated = [sample for sample in exchanged for _ in range(subject.module.group_size)]
        if not torch.equal(reward.at(0).grade(sampled.completions, repeated).scores.cpu(), scores):
            return True
    return False


def with_truth_of(sample: Sample, other: Sample) -> Sample:
    """A sample with the ground truth of another one, where that is of the same kind, and its columns."""
    alike = type(sample.solution) is type(other.solution)
    return replace(sample, solution=other.solution, extra=other.extra) if alike else sample
