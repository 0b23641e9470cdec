"""Try simple policies on every reward: none may earn more than an honest answer does. Exits with 1 if one does.

python tools/hack_rewards.py
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import NamedTuple

from graders.hacks import Policy, fitted, hacks
from graders.questions import (
    PROSE,
    complete,
    honest,
    one_large_object,
    partly_annotated,
    questions,
    rewards,
    with_mask,
    with_nothing_there,
)

from vrft_pl.rewards import Reward, SegmentIoU, paper_rewards
from vrft_pl.types import Sample


class Result(NamedTuple):
    """What is earned from one reward, or from the rewards of a paper together."""

    name: str
    honest: float
    """Mean score of right answers."""
    best: float
    """Mean score of the best of the policies."""
    policy: str
    judges_truth: bool
    """Whether the score depends on the ground truth; blind answers must then earn less, not only no more."""

    @property
    def broken(self) -> bool:
        """Whether looking for the reward pays as well as answering."""
        return self.best > self.honest + (-1e-3 if self.judges_truth else 1e-9)


def earn(judges: list[Reward], samples: list[Sample], texts: list[str]) -> float:
    """Mean sum of scores."""
    return sum(float(judge.score(complete(texts), samples).double().mean()) for judge in judges)


def search(
    name: str,
    judges: list[Reward],
    samples: list[Sample],
    right_answers: list[str] | None = None,
    more: Mapping[str, Policy] | None = None,
) -> Result:
    """Find the policy that earns most, of the usual ones and some more; right answers are the annotated ones."""
    right = earn(judges, samples, right_answers or [honest(sample) for sample in samples])
    earned = {
        name: earn(judges, samples, [policy(s) for s in samples])
        for name, policy in (hacks() | dict(more or {})).items()
    }
    best = max(earned, key=lambda policy: earned[policy])
    return Result(name, right, earned[best], best, any(judge.reads_answers for judge in judges))


PAPERS = {
    "visual_rft/detection": "detection",
    "visual_rft/classification": "classification",
    "visual_rft/grounding": "grounding",
    "reason_rft/counting": "counting",
    "reason_rft/spatial": "transformation",
}


def search_all(count: int) -> list[Result]:
    """Try every reward on ``count`` questions of its family, and the rewards of the papers together."""
    results = []
    for family, judges in rewards().items():
        families = PROSE if family == "any" else (family,)
        for judge in judges:
            samples = [sample for f in families for sample in questions(f, count) if judge.judges(sample)]
            results.append(search(judge.name, [judge], samples))
    whole = questions("detection", count)
    partial, texts = [partly_annotated(sample) for sample in whole], [honest(sample) for sample in whole]
    for judge in rewards()["detection"]:
        results.append(search(f"{judge.name}, partly annotated", [judge], partial, texts))
    results.append(
        search("visual_rft/detection, partly annotated", paper_rewards("visual_rft/detection"), partial, texts)
    )
    large, others = one_large_object(count), one_large_object(300, seed=1)
    boxes = {f"boxes {n} places fitted to other questions": fitted(others, n) for n in (1, 6)}
    for judge in rewards()["detection"]:
        results.append(search(f"{judge.name}, one large object, partly annotated", [judge], large, more=boxes))
    boxed = questions("grounding", count)
    maybe = [with_nothing_there(sample, i % 5 == 0) for i, sample in enumerate(boxed)]
    for judge in rewards()["grounding"]:
        results.append(search(f"{judge.name}, a fifth with nothing there", [judge], maybe))
    results.append(search("SegmentIoU(the box is the mask)", [SegmentIoU()], [with_mask(sample) for sample in boxed]))
    for name, family in PAPERS.items():
        results.append(search(name, paper_rewards(name), questions(family, count)))
    structure = [sample for family in ("choice", "mathematics") for sample in questions(family, count)]
    results.append(search("reason_rft/structure", paper_rewards("reason_rft/structure"), structure))
    return results


def main() -> None:
    """Search and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60, help="questions of each family")
    results = search_all(parser.parse_args().questions)
    print("| reward | honest answers | best of the others | which does |\n|---|---|---|---|")
    for result in results:
        print(f"| {result.name} | {result.honest:.3f} | {result.best:.3f} | {result.policy} |")
    sys.exit(any(result.broken for result in results))


if __name__ == "__main__":
    main()
