"""Run everything that a CPU cannot show on one GPU, in under 8 minutes: a table of pass, fail and figures.

Exits with 1 when a check fails, with 2 where there is no GPU. Each check runs in a process of its own with a limit.

python tools/verify_gpu.py --json verified.json
python tools/verify_gpu.py --device cpu --checks 'shared prefix' QLoRA
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from verify.checks import CHECKS, Place, Skipped

BUDGET = 470.0
"""Seconds of all checks together."""


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    name: str
    result: str
    """``pass``, ``fail`` or ``skipped``."""
    seconds: float
    figures: dict[str, float]
    reason: str = ""


def run_here(name: str, place: Place, output: Path) -> None:
    """Run one check in this process and write what became of it."""
    start, figures, result, reason = time.perf_counter(), {}, "pass", ""
    try:
        figures = CHECKS[name].run(place)
    except Skipped as error:
        result, reason = "skipped", str(error)
    except Exception as error:  # whatever a check raises is its result
        result, reason = "fail", " ".join(f"{type(error).__name__}: {error}".split())[:300]
    made = Result(name, result, time.perf_counter() - start, figures, reason)
    output.write_text(json.dumps(asdict(made)))


def run_apart(name: str, device: str, vllm: str | None, limit: float) -> Result:
    """Run one check in a process of its own."""
    if device == "cpu" and not CHECKS[name].on_cpu:
        return Result(name, "skipped", 0.0, {}, "needs a GPU")
    if limit <= 0:
        return Result(name, "fail", 0.0, {}, "no time was left")
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "result.json"
        command = [sys.executable, __file__, "--device", device, "--here", name, scratch]
        command += ["--vllm", vllm] if vllm else []
        start = time.perf_counter()
        # a session of its own, so that what a check started ends with it
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            _, said = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Result(name, "fail", limit, {}, f"was not done after {limit:.0f} s")
        if not output.is_file():
            told = (said.strip().splitlines() or ["nothing"])[-1]
            reason = f"the process ended with {process.returncode}: {told}"
            return Result(name, "fail", time.perf_counter() - start, {}, reason)
        return Result(**json.loads(output.read_text()))


def table(results: list[Result]) -> str:
    """The results as Markdown."""
    lines = ["| check | result | seconds | figures |", "|---|---|---|---|"]
    for one in results:
        figures = ", ".join(f"{name} {value:.3g}" for name, value in one.figures.items())
        lines.append(f"| {one.name} | {one.result} | {one.seconds:.1f} | {figures or one.reason} |")
    return "\n".join(lines)


def main() -> int:
    """Run the checks, print the table, and say by the exit code whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu runs what has a form there")
    parser.add_argument("--checks", nargs="+", choices=list(CHECKS), default=list(CHECKS), metavar="NAME")
    parser.add_argument("--vllm", help="address of a server of vLLM on this card")
    parser.add_argument("--json", type=Path, help="write everything")
    parser.add_argument("--here", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("verify_gpu: expected a GPU, but there is none. `--device cpu` tries what a CPU can.", file=sys.stderr)
        return 2
    if args.here:
        name, folder = args.here
        work = Path(folder) / "work"
        work.mkdir()
        run_here(name, Place(args.device, work, args.vllm), Path(folder) / "result.json")
        return 0
    start, results = time.perf_counter(), []
    for name in args.checks:
        left = BUDGET - (time.perf_counter() - start)
        results.append(run_apart(name, args.device, args.vllm, min(left, CHECKS[name].limit)))
        print(f"{name}: {results[-1].result} {results[-1].reason}".rstrip(), file=sys.stderr)
    machine = torch.cuda.get_device_name() if args.device == "cuda" else "a CPU, which verifies nothing about GPUs"
    print(f"{machine}, torch {torch.__version__}\n\n{table(results)}")
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "results": [asdict(one) for one in results]}, indent=1))
    return int(any(one.result == "fail" for one in results))


if __name__ == "__main__":
    sys.exit(main())
