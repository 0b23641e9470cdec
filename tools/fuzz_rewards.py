"""Throw hostile completions at every reward: no exception, no score out of range, none of over 50 ms of CPU time.

A third of them puts every kind of character of Unicode into every place of every form of answer, one after the other; a
million completions hold all of these. A tenth is what a random policy samples. Every fourth group is read as that of a
policy that writes y before x. Metrics that read boxes must not raise either.

Exits with 1 when there is a fault. The same seed gives the same completions.

python tools/fuzz_rewards.py --completions 1000000 --seed 0
python tools/fuzz_rewards.py --guided --completions 200000    # by coverage; needs `pip install atheris`
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import get_context
from os import cpu_count

import torch
from graders.clock import cpu_seconds
from graders.hostile import completions
from graders.questions import CATEGORIES, FAMILIES, FRAME, complete, questions, rewards

from vrft_pl.metrics import COCOAveragePrecision, GroundingIoU, LVISAveragePrecision
from vrft_pl.metrics.collected import Collected
from vrft_pl.rewards import Reward, detection, mathematics, precision
from vrft_pl.types import Completions, Sample

LIMIT_SECONDS = 0.05
Y_FIRST = replace(FRAME, y_first=True)
GROUP = 32
CHUNK = 6000
KEPT_FAULTS = 20
COMPUTED_EVERY = 16
"""Groups of which the numbers of metrics are computed for one."""


@dataclass
class Findings:
    """What one run or a part of it found."""

    completions: int = 0
    gradings: int = 0
    seconds: float = 0.0
    worst: float = 0.0
    """CPU seconds of the slowest grading of one completion; the ones of less than 5 ms are not looked for."""
    slowest: str = ""
    faults: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    """Completions that no answer could be read from, by reward."""

    def add(self, other: Findings) -> None:
        """Take in another part."""
        self.completions += other.completions
        self.gradings += other.gradings
        self.seconds += other.seconds
        if other.worst > self.worst:
            self.worst, self.slowest = other.worst, other.slowest
        self.faults = (self.faults + other.faults)[:KEPT_FAULTS]
        self.unread += other.unread


class Fuzzer:
    """Grades completions one by one, each as the answer to a question of every family, and in groups."""

    def __init__(self) -> None:
        self.rewards = rewards()
        self.metrics: dict[str, list[Collected]] = {
            "detection": [COCOAveragePrecision(), LVISAveragePrecision(dict.fromkeys(CATEGORIES, "f"))],
            "grounding": [GroundingIoU()],
        }
        self.samples = {family: questions(family, 16) for family in FAMILIES}
        self.samples |= {f"{family}/answer": questions(family, 16, style="answer") for family in FAMILIES}
        self.findings = Findings()
        warm = complete(["1/2+x", "x+1/2"])
        for family, graders in self.rewards.items():
            for reward in graders:
                reward.grade(warm, self.samples[family if family != "any" else "counting"][:2])

    def grade(self, texts: list[str]) -> None:
        """Grade some completions with everything."""
        self.findings.completions += len(texts)
        turned = self.findings.completions // GROUP % 4 == 0
        batch = complete(texts, Y_FIRST if turned else FRAME)
        for family in FAMILIES:
            pools = [
                self.samples[family + ("" if "<think>" in text or "<answer>" in text else "/answer")] for text in texts
            ]
            samples = [pool[hash_of(text) % len(pool)] for pool, text in zip(pools, texts, strict=True)]
            for reward in self.rewards[family]:
                self._check(reward, batch, samples)
            for metric in self.metrics.get(family, ()):
                self._collect(metric, batch, samples)
        for reward in self.rewards["any"]:
            self._check(reward, batch, [self.samples["counting"][0]] * len(texts))

    def _check(self, reward: Reward, batch: Completions, samples: list[Sample]) -> None:
        """Grade a batch, and its completions one by one where it shows something."""
        found = self.findings
        forget()
        try:
            start = cpu_seconds()
            grades = reward.grade(batch, samples)
            seconds = cpu_seconds() - start
        except Exception as error:  # any exception is what we look for
            if len(batch) > 1:
                self._one_by_one(reward, batch, samples)
            else:
                shown = f"{reward.name}: {batch.texts[0][:200]!r} for {samples[0].solution}"
                found.faults.append(f"{type(error).__name__} ({error}) from {shown}"[:1000])
            return
        if len(batch) > 1 and seconds > min(LIMIT_SECONDS, max(found.worst, 0.005)):
            self._one_by_one(reward, batch, samples)
            return
        if seconds > LIMIT_SECONDS:  # unless something was done for the first time
            seconds = min(seconds, *(timed(reward, batch, samples) for _ in range(3)))
        found.gradings += len(batch)
        found.seconds += seconds
        if len(batch) == 1:
            shown = f"{reward.name}: {batch.texts[0][:200]!r} for {samples[0].solution}"
            if seconds > found.worst:
                found.worst, found.slowest = seconds, shown
            if seconds > LIMIT_SECONDS:
                found.faults.append(f"{seconds * 1000:.0f} ms by {shown}")
        low, high = reward.bounds
        for score, text in zip(grades.scores.tolist(), batch.texts, strict=True):
            if not (math.isfinite(score) and low <= score <= high):
                found.faults.append(f"score {score} outside [{low}, {high}] by {reward.name}: {text[:200]!r}")
        found.unread[reward.name] += int((grades.parse_failures > 0).sum())

    def _collect(self, metric: Collected, batch: Completions, samples: list[Sample]) -> None:
        """Let a metric read a batch, and sometimes compute its numbers."""
        metric.reset()
        try:
            metric.update(batch, samples)
            if self.findings.completions // GROUP % COMPUTED_EVERY == 0:
                metric.values()
        except Exception as error:  # any exception is what we look for
            shown = f"{metric.name} from one of {[text[:80] for text in batch.texts]!r}"
            self.findings.faults.append(f"{type(error).__name__} ({error}) from {shown}"[:4000])

    def _one_by_one(self, reward: Reward, batch: Completions, samples: list[Sample]) -> None:
        for i, sample in enumerate(samples):
            self._check(reward, batch.select([i]), [sample])


def timed(reward: Reward, batch: Completions, samples: list[Sample]) -> float:
    """CPU seconds of one grading; what rewards remember of earlier ones is forgotten."""
    forget()
    start = cpu_seconds()
    reward.grade(batch, samples)
    return cpu_seconds() - start


def forget() -> None:
    """Forget what rewards remember of earlier completions."""
    detection.forget()
    precision.picture_precision.cache_clear()
    mathematics.forget()


def hash_of(text: str) -> int:
    """A number of a text that is the same in every process."""
    return sum(map(ord, text[:64])) + len(text)


def groups(texts: Iterator[str]) -> Iterator[list[str]]:
    """Split into lists of a group's size."""
    while group := list(islice(texts, GROUP)):
        yield group


def run_chunk(count: int, seed: int) -> Findings:
    """Fuzz with ``count`` completions of one seed."""
    torch.set_num_threads(1)
    fuzzer = Fuzzer()
    for group in groups(completions(count, seed)):
        fuzzer.grade(group)
    return fuzzer.findings


def run_guided(count: int) -> None:
    """Let atheris look for texts that reach new code; it stops at the first fault."""
    try:
        import atheris
    except ImportError:
        sys.exit("Guided fuzzing needs atheris. Install it with `pip install atheris`, or leave out `--guided`.")
    fuzzer = Fuzzer()
    for module in [name for name in sys.modules if name.startswith("vrft_pl.rewards.parsing.")]:
        for value in vars(sys.modules[module]).values():
            if getattr(value, "__module__", None) == module and callable(value) and hasattr(value, "__code__"):
                atheris.instrument_func(value)

    def one(data: bytes) -> None:
        text = atheris.FuzzedDataProvider(data).ConsumeUnicode(4096)
        fuzzer.grade([text])
        if fuzzer.findings.faults:
            raise RuntimeError(fuzzer.findings.faults[0])

    atheris.Setup([sys.argv[0], f"-runs={count}", "-max_len=4096"], one)
    atheris.Fuzz()


def main() -> None:
    """Fuzz and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=20_000, help="completions, each graded by every reward")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=cpu_count() or 1)
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    args = parser.parse_args()
    if args.guided:
        run_guided(args.completions)
        return
    sizes = [min(CHUNK, args.completions - start) for start in range(0, args.completions, CHUNK)]
    seeds = [args.seed * 1_000_003 + i for i in range(len(sizes))]
    found, start = Findings(), time.perf_counter()
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        for part in pool.map(run_chunk, sizes, seeds):
            found.add(part)
            so_far = f"{found.completions:,} completions, {len(found.faults)} faults, worst {found.worst * 1e3:.1f} ms"
            print(so_far, file=sys.stderr, flush=True)
    print(f"{found.completions:,} completions, {found.gradings:,} gradings in {time.perf_counter() - start:.0f} s")
    if found.gradings:
        mean = found.seconds / found.gradings
        print(f"mean {mean * 1e6:.0f} us, worst {found.worst * 1e3:.1f} ms, {found.slowest[:160]}")
    print(
        "read: " + ", ".join(f"{name} {1 - n / found.completions:.0%}" for name, n in sorted(found.unread.items()) if n)
    )
    print(f"{len(found.faults)} faults" + "".join(f"\n- {fault}" for fault in found.faults))
    sys.exit(bool(found.faults))


if __name__ == "__main__":
    main()
