"""Completions that each reward grades a second of CPU time, on one core: what else runs on the machine counts little.

python tools/bench_rewards.py --json rewards.json
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from pathlib import Path

import torch
from graders.clock import cpu_seconds
from graders.questions import PROSE, complete, honest, questions, rewards

from vrft_pl.rewards import MathMatch, Reward, detection, mathematics, precision
from vrft_pl.types import Completions, Sample

BATCH = 128
TARGET, MATH_TARGET = 10_000, 500
Batch = tuple[Completions, list[Sample]]


def typical(family: str, count: int, seed: int) -> list[Batch]:
    """Draw batches of eight completions a question: half right, the rest answers to other questions, one in ten cut."""
    batches, chance = [], random.Random(seed)
    samples = questions(family, count, seed)
    answers = [honest(sample) for sample in samples]
    for start in range(0, count, BATCH // 8):
        asked = [sample for sample in samples[start : start + BATCH // 8] for _ in range(8)]
        texts = [honest(sample) if chance.random() < 0.5 else chance.choice(answers) for sample in asked]
        texts = [text[: chance.randint(0, len(text))] if chance.random() < 0.1 else text for text in texts]
        batches.append((complete(texts), asked))
    return batches


def rate(reward: Reward, batches: list[Batch], other: list[Batch], passes: int) -> float:
    """Completions a second: the median of passes, none of which remembers the one before; ``other`` warms up."""
    seconds = []
    for _ in range(passes):
        detection.forget()
        precision.picture_precision.cache_clear()
        mathematics.forget()
        mathematics.WORKER.stop()  # it has read the expressions
        for completions, samples in other:
            reward.grade(completions, samples)
        start = cpu_seconds()
        for completions, samples in batches:
            reward.grade(completions, samples)
        seconds.append(cpu_seconds() - start)
    return sum(len(samples) for _, samples in batches) / statistics.median(seconds)


def main() -> None:
    """Measure every reward and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=512, help="questions of each family, eight completions each")
    parser.add_argument("--passes", type=int, default=3, help="times that each reward is measured")
    parser.add_argument("--json", type=Path, help="write the rates")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rates: dict[str, float] = {}
    for family, graders in rewards().items():
        families = PROSE if family == "any" else (family,)
        count = args.questions // len(families)
        batches, other = (
            [batch for f in families for batch in typical(f, n, seed)] for n, seed in ((count, 0), (BATCH // 8, 1))
        )
        for reward in graders:
            rates[reward.name] = rate(reward, batches, other, args.passes)
    print("| reward | completions a second | aim |\n|---|---|---|")
    for name, value in rates.items():
        print(f"| {name} | {value:,.0f} | {MATH_TARGET if name == MathMatch.__name__ else TARGET:,} |")
    if args.json:
        args.json.write_text(json.dumps(rates, indent=1))


if __name__ == "__main__":
    main()
