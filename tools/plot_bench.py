"""Plot how the time of a step grows with completions and with the prompt, from what `bench_grpo.py --json` wrote.

python tools/bench_grpo.py --cases v64_g2 v64_g4 v64_g8 v64_g16 v16_g8 v144_g8 v256_g8 --json sweep.json
python tools/plot_bench.py sweep.json --output sweep.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from bench.case import Case
from bench_grpo import read_case

SIDES = {"peer": ("TRL", "tab:orange"), "ours": ("vrft_pl", "tab:blue")}


def main() -> None:
    """Write one picture with two panels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, nargs="+", help="measurements of several cases; m cases are left out")
    parser.add_argument("--visual", type=int, default=64, help="visual tokens of the left panel")
    parser.add_argument("--group", type=int, default=8, help="completions a prompt of the right panel")
    parser.add_argument("--output", type=Path, default=Path("sweep.png"))
    args = parser.parse_args()
    cases = [case for path in args.json for case in json.loads(path.read_text())["cases"]]
    rows = [(read_case(c["case"], "cpu", "float32", 0.04), c) for c in cases]
    rows = [(case, result) for case, result in rows if not case.micro]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    by_group = sorted((r for r in rows if r[0].visual == args.visual), key=lambda r: r[0].group)
    draw(left, by_group, [case.group for case, _ in by_group], f"completions a prompt ({args.visual} visual tokens)")
    by_prompt = sorted((r for r in rows if r[0].group == args.group), key=lambda r: r[0].visual)
    tokens = [result["ours"]["prompt_tokens"] for _, result in by_prompt]
    draw(right, by_prompt, tokens, f"prompt tokens ({args.group} completions a prompt)")
    figure.savefig(args.output, dpi=150)
    print(f"Wrote {args.output}")


def draw(axes: Any, rows: list[tuple[Case, dict[str, Any]]], x: list[int], label: str) -> None:
    """Draw median seconds of both sides."""
    for side, (name, color) in SIDES.items():
        if all(side in result for _, result in rows):
            axes.plot(x, [r[side]["seconds"]["median"] for _, r in rows], "o-", label=name, color=color)
    axes.set(xlabel=label, ylabel="seconds a step", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()


if __name__ == "__main__":
    main()
