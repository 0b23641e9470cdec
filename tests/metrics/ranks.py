"""Judges one split on 1, 2 and 3 processes, as a distributed sampler deals it out."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from builders import make_completions
from metrics.detections import FRAME, made_up, perturbed, question, write
from torch import distributed as dist

from vrft_pl.answers import Box, Mask, Number
from vrft_pl.metrics import Accuracy, COCOAveragePrecision, Collected, GroundingIoU, LVISAveragePrecision, MaskIoU
from vrft_pl.rewards import NumberMatch
from vrft_pl.types import Sample

WORLDS = (1, 2, 3)
SIZE = 7
"""Samples of each split: padded to 8 on two, and to 9 on three processes."""
CATEGORIES = {"ant": "r", "bee": "f"}


def metrics() -> list[Collected]:
    """All metrics."""
    coco = COCOAveragePrecision(base=["ant"], novel=["bee"])
    return [Accuracy(NumberMatch()), coco, LVISAveragePrecision(CATEGORIES), GroundingIoU(), MaskIoU()]


def split() -> list[tuple[Sample, str, str]]:
    """Samples of every kind, each with two different answers."""
    rng, cases = np.random.default_rng(0), []
    for i in range(SIZE):
        number = Sample(f"number {i}", (), "?", Number(i), style="answer", tags=(f"part {i % 2}",))
        cases.append((number, str(i if i % 3 else 9), "?"))
        items = made_up(rng, list(CATEGORIES), 5)
        answers = [write(perturbed(rng, items, list(CATEGORIES), 2)) for _ in range(2)]
        cases.append((question(f"boxes {i}", f"{i}.jpg", items, CATEGORIES), *answers))
        corners = (10.0 * i, 0.0, 10.0 * i + 37, 40.0)
        mask = Mask(((corners[0], 0, corners[2], 0, corners[0], 40),))
        box = Sample(f"box {i}", (), "?", Box(corners, mask), style="answer")
        cases.append((box, f"[{10 * i + 3}, 0, {10 * i + 31}, 40]", "no box"))
    return cases


def feed(metric: Collected, cases: list[tuple[Sample, str, str]], batch_size: int, draws: int) -> None:
    """Judge ``draws`` answers to each sample, batch by batch."""
    for start in range(0, len(cases), batch_size):
        batch = cases[start : start + batch_size]
        texts = [text for _, *texts in batch for text in texts[:draws]]
        metric.update(make_completions(texts, FRAME), [case[0] for case in batch for _ in range(draws)])


def numbers(metric: Collected) -> dict[str, float]:
    """Values over all ranks, as the module reads them."""
    with metric.sync_context():
        return {name: value.item() for name, value in metric.values().items()}


def judge(rank: int, world: int) -> dict[str, Any]:
    """Judge this rank's part of the split, with one and with two answers a sample, and with no part on most ranks."""
    cases, report = split(), {}
    dealt = [i % len(cases) for i in range(-(-len(cases) // world) * world)][rank::world]
    for metric in metrics():
        for draws in (1, 2):
            feed(metric, [cases[i] for i in dealt], 2 + rank, draws)
            before = list(metric.rows)
            report[f"{metric.name} {draws}"] = numbers(metric)
            assert metric.rows == before, "a rank gets its own rows back"
            assert {name: value.item() for name, value in metric.compute().items()} == numbers(metric)
            metric.reset()
        if rank == world - 1:
            feed(metric, cases, 5, 1)
        report[f"{metric.name} alone"] = numbers(metric)
        metric.reset()
        report[f"{metric.name} nothing"] = numbers(metric)
    return report


def work(rank: int, folder: str) -> None:
    """Entry point of a process; takes part in every world it is small enough for."""
    torch.set_num_threads(1)
    for world in WORLDS:
        if rank < world:
            if world > 1:
                dist.init_process_group("gloo", f"file://{folder}/store{world}", rank=rank, world_size=world)
            (Path(folder) / f"{world} {rank}.json").write_text(json.dumps(judge(rank, world)))
            if world > 1:
                dist.destroy_process_group()


if __name__ == "__main__":
    work(int(os.environ["LOCAL_RANK"]), sys.argv[1])
