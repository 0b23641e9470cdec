"""Runs and ablations that a report is made of, written without any training."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

from vrft_pl.runs import CompletionRecord, MetricsLogger, RunFolder
from vrft_pl.runs.ablation import (
    AblationFolder,
    AblationResults,
    Arm,
    Cell,
    Contrast,
    Cost,
    Curve,
    MetricInfo,
    Trial,
)

HOSTILE = (
    '<script>document.title = "hacked"</script></script><!-- <script> "quotes" \'and\' `ticks` & &amp; \\u003c '
    "<img src=x onerror=alert(1)> \x00\x07\x1b[31m\x7f\u0085 \u202eright to left\u202c \u2066iso\u2069 \u200b\ufeff "
    "\u2028line\u2029paragraph \ud83d half {{ 7 * 7 }} {% raw %} ]]> </style><style>body{display:none}</style>"
)
"""What a page must show as text and do nothing else with."""
NESTED = b"[" * 100_000
"""What a reader of JSON or YAML would go down into until it breaks."""
WIDTH, HEIGHT = 160, 120


def scene(seed: int) -> tuple[bytes, list[float]]:
    """Draw a picture with a box in it. Returns the file and the edges of the box, in pixels four times as small."""
    draw = random.Random(seed)
    image = Image.new("RGB", (WIDTH, HEIGHT), (draw.randint(150, 230), draw.randint(150, 230), draw.randint(150, 230)))
    canvas = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, r = draw.randint(0, WIDTH), draw.randint(0, HEIGHT), draw.randint(5, 18)
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=tuple(draw.randint(30, 220) for _ in range(3)))
    x, y = draw.randint(5, 80), draw.randint(5, 60)
    box = [x, y, x + draw.randint(25, 60), y + draw.randint(20, 45)]
    canvas.rectangle(box, fill=(200, 60, 50))
    file = io.BytesIO()
    image.save(file, "WEBP")
    return file.getvalue(), [4.0 * edge for edge in box]


def overlap(a: list[float], b: list[float]) -> float:
    """IoU of two boxes."""
    inner = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return inner / (area - inner)


def held_out(step: int, row: int, skill: float, seed: int, part: str = "val", picture: bool = True) -> CompletionRecord:
    """Answer one held-out sample as well as ``skill`` (0 to 1) allows."""
    _, box = scene(row)
    draw = random.Random(f"{step} {row} {seed} {skill}")
    answered = [edge + draw.gauss(0, 90 * (1 - skill) + 4) for edge in box]
    answered = [min(a, b) for a, b in zip(answered, [*answered[2:], 1e9, 1e9], strict=True)]
    iou = round(max(overlap(answered, box), 0.0), 4)
    unread = draw.random() < 0.2 * (1 - skill)
    numbers = ", ".join(f"{edge:.0f}" for edge in answered)
    text = (
        f"<think>The red thing is {draw.choice(['left', 'right', 'low', 'high'])}.</think><answer>[{numbers}]</answer>"
    )
    return CompletionRecord(
        step,
        0,
        row,
        part,
        f"scenes row {row}",
        f"Where is the red rectangle of scene {row}?",
        f"[{', '.join(f'{edge:.0f}' for edge in box)}]",
        "I can see no rectangle at all." if unread else text,
        "length" if unread else "stop",
        scores={"BoxIoU": 0.0 if unread else iou, "Format": float(not unread)},
        parse_failures={"BoxIoU": "no_answer"} if unread else {},
        pictures=(f"{row:032d}.webp",) if picture else (),
        size=(4 * WIDTH, 4 * HEIGHT),
        truth=({"shape": box, "label": "truth", "faint": False},),
        marks=None if unread else ({"shape": answered, "label": "", "faint": False},),
    )


def trained(step: int, group: int, size: int, skill: float, seed: int) -> list[CompletionRecord]:
    """One group of completions that was trained on."""
    found = []
    for i in range(size):
        record = held_out(
            step, 100 + group, min(max(skill + 0.1 * (i - size / 2), 0), 1), seed * 31 + i, "train", False
        )
        found.append(record)
    mean = sum(record.scores["BoxIoU"] for record in found) / size
    spread = math.sqrt(sum((record.scores["BoxIoU"] - mean) ** 2 for record in found) / size) + 1e-4
    rows = []
    for i, record in enumerate(found):
        advantage = round((record.scores["BoxIoU"] - mean) / spread, 4)
        rows.append(CompletionRecord(**(vars(record) | {"row": group * size + i, "advantage": advantage})))
    return rows


def write_run(
    path: Path, seed: int = 0, gain: float = 0.5, rows: int = 12, steps: int = 40, **config: object
) -> RunFolder:
    """Write what `vrft_pl fit` leaves of a run whose skill grows by ``gain``."""
    folder, draw = RunFolder(path), random.Random(seed)
    logger = MetricsLogger(path)
    for step in range(steps):
        skill = 0.3 + gain * step / steps
        noisy = {
            name: value + draw.gauss(0, 0.03)
            for name, value in (("train/reward", 1 + skill), ("train/kl", 0.1 * skill))
        }
        fixed = {
            "train/truncated": 0.0,
            "time/rollout": 0.3 + 0.05 * draw.random(),
            "train/dead_groups": 0.5 - 0.4 * skill,
        }
        logger.log_metrics(noisy | fixed | {"train/parse_failures/BoxIoU/no_answer": 0.2 * (1 - skill)}, step)
    logger.save()
    means = {}
    for step in (0, steps // 2, steps):
        records = [held_out(step, row, 0.3 + gain * step / steps, seed) for row in range(rows)]
        folder.append(folder.PREDICTIONS, records)
        means[step] = {f"val/val/{n}": sum(r.scores[n] for r in records) / rows for n in ("BoxIoU", "Format")}
    for step in range(0, steps, 10):
        folder.append(folder.COMPLETIONS, trained(step, step // 10, 4, 0.3 + gain * step / steps, seed))
    folder.keep_pictures({f"{row:032d}.webp": scene(row)[0] for row in range(rows)})
    folder.write(
        folder.SUMMARY,
        {"before": means[0], "after": means[steps], "seconds": 12.5, "cost": {"samples": 640.0, "flops": 2e12}},
    )
    folder.write(folder.CONSTANTS, {"scores": {"val/val/BoxIoU": 0.31}})
    values = {"seed_everything": seed, "run": {"folder": str(path)}, "model": {"gain": gain, **config}}
    folder.write_text(folder.CONFIG, json.dumps(values, ensure_ascii=True))
    start = {
        "time": "2026-01-01T12:00:00+00:00",
        "command": ["vrft_pl", "fit"],
        "seed": seed,
        "git": {"commit": "c0ffee" * 6},
    }
    folder.write(folder.MANIFEST, {"starts": [start]})
    return folder


TARGET, UNSEEN = "target/val/BoxIoU", "unseen/night/BoxIoU"
GAINS = {"base": 0.0, "sft": 0.35, "rft": 0.5}


def write_test(path: Path, skill: float, seed: int, part: str, rows: int) -> None:
    """Write what `vrft_pl test` leaves."""
    folder = RunFolder(path)
    records = [held_out(0, row, skill, seed, part) for row in range(rows)]
    folder.append(folder.PREDICTIONS, records)
    folder.keep_pictures({f"{row:032d}.webp": scene(row)[0] for row in range(rows)})
    folder.write(folder.SCORES, {f"test/{part}/BoxIoU": sum(r.scores["BoxIoU"] for r in records) / rows})


def write_ablation(path: Path, seeds: int = 3, sizes: tuple[int, ...] = (16, 64), rows: int = 8) -> AblationFolder:
    """Write an ablation of three arms, one cell of which failed."""
    folder, cells = AblationFolder(path), []
    for arm, gain in GAINS.items():
        for size in sizes if gain else (None,):
            for seed in range(seeds):
                name = f"cells/{arm}-{size}-{seed}"
                skill = 0.3 + gain * (0.7 if size == sizes[0] else 1.0)
                stages = (f"{name}/0",) if gain else ()
                if gain:
                    write_run(path / stages[0], seed, gain, rows, method=arm, shots=size)
                scores = {}
                for key, drop in ((TARGET, 0.0), (UNSEEN, 0.15)):
                    suite, part, _ = key.split("/")
                    write_test(path / name / suite, skill - drop, seed, part, rows)
                    scores[key] = round(skill - drop + 0.01 * seed, 4)
                tests = {suite: f"{name}/{suite}" for suite in ("target", "unseen")}
                cost = Cost(640 * bool(gain), 40 * bool(gain), 8e4 * gain, 9e4 * gain, 20 * gain, 3e12 * gain)
                cells.append(Cell(arm, size, seed, name, stages, tests, "done", None, scores, cost, {"lr": 1e-4}))
    cells.append(Cell("rft", sizes[-1], seeds, "cells/broken", state="failed", error="No space <b>left</b>."))
    pairs = (0.14, 0.16, 0.15)
    common = {"p": 0.004, "pairs": pairs, "bootstrap": (0.02, 0.28), "seeds_needed": 4}
    contrasts = (
        Contrast("unseen", "rft", "sft", UNSEEN, sizes[-1], difference=-0.02, low=-0.09, high=0.05, pairs=pairs),
        Contrast(
            "does RFT win?", "rft", "sft", TARGET, sizes[-1], True, 0.15, 0.1, 0.2, p_adjusted=0.008,
            sentence="On target, rft is 15.0 points above sft (95 % interval 10.0 to 20.0; 3 seeds).", **common,
        ),
    )  # fmt: skip
    curves = tuple(
        Curve(
            arm,
            TARGET,
            sizes,
            (0.3 + 0.7 * g, 0.3 + g),
            (0.28 + 0.7 * g, 0.28 + g),
            (0.32 + 0.7 * g, 0.32 + g),
            0.3 + g,
        )
        for arm, g in GAINS.items()
        if g and len(sizes) == 2
    )
    folder.write(
        AblationResults(
            "few-shot grounding",
            tuple(Arm(name) for name in GAINS),
            (
                MetricInfo(TARGET, "target", "val", "BoxIoU", "in_domain", 0.31),
                MetricInfo(UNSEEN, "unseen", "night", "BoxIoU", "out_of_domain", 0.28),
            ),
            tuple(cells),
            tuple(range(seeds)),
            sizes,
            search=(
                Trial("rft", 0, {"lr": 1e-4}, (0.6, 0.62), 0.61, True, True),
                Trial("rft", 1, {"lr": 1e-3}, (0.5, None), 0.5),
            ),
            contrasts=contrasts,
            curves=curves,
            verdict=("On target, rft is 15.0 points above sft (95 % interval 10.0 to 20.0; 3 seeds).",),
        )
    )
    return folder
