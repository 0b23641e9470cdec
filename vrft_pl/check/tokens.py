"""Do prompts and answers fit into the context, and do answers fit into ``max_tokens``?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vrft_pl.check.findings import Finding
from vrft_pl.check.gold import gold_sample
from vrft_pl.check.meter import Measured
from vrft_pl.check.rows import Row
from vrft_pl.check.subject import Subject
from vrft_pl.policy import VLM
from vrft_pl.policy.encoding import refuse_special_tokens
from vrft_pl.prompts import target_text
from vrft_pl.types import InputError

_UNLIMITED = 10**7
"""Tokenisers without a limit state a number beyond any context."""


class Length(NamedTuple):
    """Tokens of one row."""

    row: Row
    prompt: int
    """Image tokens included."""
    target: int
    """The right answer with its thoughts, if the row has them, and the end of the turn."""


def check_tokens(subject: Subject) -> list[Finding]:
    """Count the tokens of every row."""
    lengths, measured, refused = measure_rows(subject)
    findings = [Finding("error", f"{len(refused)} rows can't be used for training.", tuple(refused))] if refused else []
    if not lengths:
        return findings
    limit = context(subject.policy)
    findings += [*beyond_context(subject, lengths, limit), *beyond_max_tokens(subject, lengths)]
    budget = ", ".join(f"{tokens} ({name})" for name, tokens in budgets(subject).items())
    shown = f"context {limit or 'unknown'}, max_tokens {budget}"
    findings.append(Finding("note", f"Prompt tokens {spread([v.prompt for v in lengths])}; {shown}."))
    findings.append(Finding("note", f"Tokens of right answers {spread([v.target for v in lengths])}."))
    return [*findings, *resizing(lengths, measured)]


def measure_rows(subject: Subject) -> tuple[list[Length], list[Measured], list[str]]:
    """Tokens of every good row, and why some can't be encoded."""
    lengths, measured, refused = [], [], []
    for row in subject.good:
        try:
            prompt = subject.meter.measure(row)
            assert row.sample is not None
            # supervised training needs the thoughts, reinforcement and evaluation do not
            imitated = subject.module.imitates and row.part.split == "train"
            text = target_text(row.sample if imitated else gold_sample(row.sample), prompt.frame)
            if imitated:
                refuse_special_tokens(subject.policy.codec.processor, row.sample, text)
        except InputError as error:
            refused.append(str(error))
            continue
        answer = subject.policy.codec.tokenizer(text, add_special_tokens=False)["input_ids"]
        lengths.append(Length(row, prompt.num_tokens, len(answer) + 1))
        measured.append(prompt)
    return lengths, measured, refused


def context(policy: VLM) -> int | None:
    """Most tokens that the model can read, as its config and its tokeniser say."""
    config = policy.hf_model.config.get_text_config()
    limits = [getattr(config, "max_position_embeddings", None), policy.codec.tokenizer.model_max_length]
    return min((int(n) for n in limits if n and n < _UNLIMITED), default=None)


def budgets(subject: Subject) -> dict[str, int]:
    """``max_tokens`` by what it limits."""
    module = subject.module
    training = {"training": module.params.max_tokens} if module.trains_on_samples else {}
    return {**training, "evaluation": module.eval_params.max_tokens}


def beyond_context(subject: Subject, lengths: Sequence[Length], limit: int | None) -> list[Finding]:
    """Rows that do not fit, and rows that fit only if the policy is brief."""
    if limit is None:
        return []
    never, seldom, written = [], [], max(budgets(subject).values())
    for row, prompt, target in lengths:
        if prompt + target > limit:
            sizes = ", ".join(f"{w} x {h}" for w, h in row.sizes)
            never.append(
                f"{name(row)}: {prompt} + {target} tokens" + (f", pictures of {sizes} pixels" if sizes else "")
            )
        elif prompt + written > limit:
            seldom.append(f"{name(row)}: {prompt} + {written} tokens")
    findings = []
    if never:
        what = (
            f"{len(never)} rows do not fit into the context of {limit} tokens with their answers. No picture is cut: "
        )
        findings.append(Finding("error", f"{what}set `max_pixels` of the policy, or leave the rows out.", tuple(never)))
    if seldom:
        what = f"{len(seldom)} rows and `max_tokens` together do not fit into the context of {limit} tokens."
        findings.append(Finding("warning", what, tuple(seldom)))
    return findings


def beyond_max_tokens(subject: Subject, lengths: Sequence[Length]) -> list[Finding]:
    """Right answers that are longer than the policy may write."""
    findings = []
    for what, budget in budgets(subject).items():
        long = tuple(f"{name(row)}: {target} tokens" for row, _, target in lengths if target > budget)
        if long:
            text = f"{len(long)} right answers are longer than `max_tokens` {budget} of {what}. Raise it."
            findings.append(Finding("error" if len(long) > len(lengths) / 2 else "warning", text, long))
    return findings


def resizing(lengths: Sequence[Length], measured: Sequence[Measured]) -> list[Finding]:
    """What the processor does to pictures."""
    pairs = [pair for v, m in zip(lengths, measured, strict=True) for pair in zip(v.row.sizes, m.resized, strict=False)]
    if not pairs:
        return []
    factors = [(to[0] * to[1]) / (size[0] * size[1]) for size, to in pairs]
    up, down = (sum(test) / len(pairs) for test in ([f > 1.1 for f in factors], [f < 0.9 for f in factors]))
    by_area = sorted(pairs, key=lambda pair: pair[0][0] * pair[0][1])
    smallest, largest = (f"{a[0]} x {a[1]} becomes {b[0]} x {b[1]}" for a, b in (by_area[0], by_area[-1]))
    text = f"Pictures: the smallest, {smallest}; the largest, {largest}; {up:.0%} are enlarged, {down:.0%} reduced."
    return [Finding("note", text)]


def spread(values: Sequence[int]) -> str:
    """Summarise numbers.

    Example:
        >>> spread([3, 1, 2, 10])
        'from 1 to 10, median 2, 95 % up to 10'
    """
    ordered = sorted(values)
    median, high = (ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.49, 0.95))
    return f"from {ordered[0]} to {ordered[-1]}, median {median}, 95 % up to {high}"


def name(row: Row) -> str:
    """What messages call a row."""
    return row.sample.id if row.sample else f"{row.part}, row {row.index}"
