"""From raw measurements to JSON and a table."""

from __future__ import annotations

import statistics
from typing import Any

PHASES = ("rollout", "reward", "reference", "update")


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the runs of one side.

    Args:
        runs: What `measure.Clock.save` wrote, one for each process.

    Returns:
        Seconds a step (median, min, max over all steps of all processes), median seconds by phase, the largest peak of
        memory in bytes, and completion tokens a second.
    """
    steps = [step for run in runs for step in run["steps"]]
    seconds = [step["step"] for step in steps]
    median = statistics.median(seconds)
    return {
        "seconds": {"median": median, "min": min(seconds), "max": max(seconds)},
        "phases": {name: statistics.median(step.get(name, 0.0) for step in steps) for name in PHASES},
        "peak_bytes": max(run["peak_bytes"] for run in runs),
        "tokens_per_second": runs[0]["completion_tokens"] / median,
        "prompt_tokens": runs[0]["prompt_tokens"],
        "completion_tokens": runs[0]["completion_tokens"],
    }


def compare(ours: list[dict[str, Any]], peer: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare pair by pair: processes that ran one after the other.

    Returns:
        The peer's seconds over ours, our peak of memory over the peer's: each pair's, and their medians.
    """
    times, peaks = [], []
    for a, b in zip(ours, peer, strict=True):
        if (a["prompt_tokens"], a["completion_tokens"]) != (b["prompt_tokens"], b["completion_tokens"]):
            raise ValueError(f"Expected both sides to work on the same number of tokens, but got {a} and {b}.")
        times.append(summary([b])["seconds"]["median"] / summary([a])["seconds"]["median"])
        peaks.append(a["peak_bytes"] / b["peak_bytes"])
    return {
        "time_ratio": statistics.median(times),
        "time_ratios": times,
        "memory_ratio": statistics.median(peaks),
        "memory_ratios": peaks,
    }


def markdown(result: dict[str, Any]) -> str:
    """Write the table."""
    lines = [
        f"{result['machine']}; {result['rate'] / 1e9:.0f} GFLOP/s; median (min-max) of {result['pairs']} processes a "
        f"side in turn, {result['steps']} steps each.",
        "",
        "| case | side | s a step | rollout | reference | update | peak memory | tokens/s | TRL's time / ours "
        "| our memory / TRL's | distance from the floor |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in result["cases"]:
        for side in ("ours", "peer"):
            if side not in case:
                continue
            one = case[side]
            seconds, phases = one["seconds"], one["phases"]
            last = ["", "", ""]
            if side == "ours":
                last[2] = f"{case['floor_distance']:.2f}x of {case['floor_seconds']:.2f} s"
                if "peer" in case:
                    pairs = ", ".join(f"{ratio:.2f}" for ratio in case["time_ratios"])
                    last[:2] = [f"**{case['time_ratio']:.2f}** ({pairs})", f"**{case['memory_ratio']:.2f}**"]
            name = "vrft_pl" if side == "ours" else result["peer"]
            cells = [
                case["case"],
                name,
                f"{seconds['median']:.2f} ({seconds['min']:.2f}-{seconds['max']:.2f})",
                *(f"{phases[name]:.2f}" for name in ("rollout", "reference", "update")),
                f"{one['peak_bytes'] / 2**30:.2f} GiB",
                f"{one['tokens_per_second']:.0f}",
                *last,
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
