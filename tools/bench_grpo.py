"""Time one GRPO step of vrft_pl and of TRL on the same weights, pictures, lengths and optimizer.

Each side runs in processes of its own, one after the other, in pairs. Needs `pip install -e '.[bench]'` for the peer.

python tools/bench_grpo.py --json bench.json
python tools/bench_grpo.py --peer none --cases v64_g2 v64_g4 v64_g8 v64_g16
python tools/bench_grpo.py --device cuda --cases v1024_g8_t256_2b
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from bench.case import SIZES, Case, build_inputs
from bench.floor import floor_flops, matrix_rate
from bench.report import compare, markdown, summary

DEFAULT_CASES = ["v64_g8", "v256_g8", "v256_g16"]
CASE = re.compile(r"v(\d+)_g(\d+)(?:_t(\d+))?(?:_p(\d+))?(?:_m(\d+))?(?:_(\w+))?$")
WORKERS = {"ours": "ours.py", "trl": "trl_peer.py"}


def read_case(name: str, device: str, dtype: str, kl: float) -> Case:
    """Read the name of a case, such as ``v256_g8_t128_p2``: visual tokens, completions, their length, prompts.

    Raises:
        ValueError: If it is no such name.
    """
    match = CASE.match(name)
    if match is None or (match[6] or "25m") not in SIZES:
        raise ValueError(f"Expected a case such as `v256_g8_t64_p4_m1_25m`, but got {name!r}. Sizes are {list(SIZES)}.")
    numbers = dict(zip(("completion", "prompts", "micro"), match.groups()[2:5], strict=True))
    given = {key: int(value) for key, value in numbers.items() if value}
    return Case(int(match[1]), int(match[2]), **given, size=match[6] or "25m", device=device, dtype=dtype, kl=kl)


def run_side(side: str, folder: Path, steps: int, warmup: int) -> dict[str, Any]:
    """Measure one process.

    Raises:
        RuntimeError: If it fails, with the end of what it printed.
    """
    output = folder / f"{side}.json"
    worker = Path(__file__).parent / "bench" / WORKERS[side]
    command = [sys.executable, str(worker), str(folder), str(steps), str(warmup), str(output)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{process.stderr[-3000:]}")
    return json.loads(output.read_text())


def run_case(case: Case, peer: str, pairs: int, steps: int, warmup: int, rate: float) -> dict[str, Any]:
    """Measure both sides of one case in turn."""
    sides = ["ours"] if peer == "none" else ["ours", peer]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as scratch:
        build_inputs(case, Path(scratch))
        for pair in range(pairs):
            for side in sides:
                runs[side].append(run_side(side, Path(scratch), steps, warmup))
                seconds = summary(runs[side][-1:])["seconds"]["median"]
                print(f"{case.name}, pair {pair + 1} of {pairs}, {side}: {seconds:.2f} s a step", file=sys.stderr)
    result: dict[str, Any] = {"case": case.name, "ours": summary(runs["ours"])}
    if peer != "none":
        result |= {"peer": summary(runs[peer]), **compare(runs["ours"], runs[peer])}
    flops = floor_flops(case, result["ours"]["prompt_tokens"])
    result["floor_flops"], result["floor_seconds"] = flops, sum(flops.values()) / rate
    result["floor_distance"] = result["ours"]["seconds"]["median"] / result["floor_seconds"]
    return result


def main() -> None:
    """Measure the cases, print the table, write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=DEFAULT_CASES, help="vVISUAL_gG[_tT][_pP][_mMICRO][_SIZE]")
    parser.add_argument("--peer", choices=["trl", "none"], default="trl", help="who is compared with")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="default: float32 on a CPU, else bfloat16")
    parser.add_argument("--kl", type=float, default=0.04, help="KL coefficient; 0 leaves the reference out")
    parser.add_argument("--pairs", type=int, default=3, help="processes of each side")
    parser.add_argument("--steps", type=int, default=1, help="measured steps of each process")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them, the first of which are slow")
    parser.add_argument("--json", type=Path, help="write everything measured")
    parser.add_argument("--markdown", type=Path, help="write the table")
    args = parser.parse_args()
    dtype = args.dtype or ("float32" if args.device == "cpu" else "bfloat16")
    try:
        cases = [read_case(name, args.device, dtype, args.kl) for name in args.cases]
    except ValueError as error:
        parser.error(str(error))
    rate = matrix_rate(args.device, dtype)
    chip = torch.cuda.get_device_name() if args.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    peer = "none" if args.peer == "none" else f"TRL {version('trl')}"
    result: dict[str, Any] = {
        "machine": f"{chip}, {platform.machine()}, torch {version('torch')}, transformers {version('transformers')}",
        "rate": rate,
        "peer": peer,
        "pairs": args.pairs,
        "steps": args.steps,
        "cases": [],
    }
    for case in cases:
        result["cases"].append(run_case(case, args.peer, args.pairs, args.steps, args.warmup, rate))
        if args.json:
            args.json.write_text(json.dumps(result, indent=1))
    print(markdown(result))
    if args.markdown:
        args.markdown.write_text(markdown(result))


if __name__ == "__main__":
    main()
