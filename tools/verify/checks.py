"""Each check is a function of a place to run in that returns figures, or raises what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from bench.case import Case, build_inputs

from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.probes import PICTURED
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import Completions, Prompts

ROOT = Path(__file__).parents[2]
Figures = dict[str, float]
GREEDY = SamplingParams(max_tokens=48, temperature=0.0)
FIT = """fit --config configs/quickstart.yaml --run.wandb off --trainer.max_steps 2 --trainer.limit_val_batches 0
--trainer.limit_test_batches 0 --trainer.enable_progress_bar false --data.init_args.batch_size 4
--trainer.log_every_n_steps 1"""


class Skipped(Exception):
    """Why this machine can't be asked."""


@dataclass(frozen=True)
class Place:
    """Where a check runs."""

    device: str
    """``cuda`` or ``cpu``."""
    folder: Path
    """An empty one."""
    vllm: str | None = None
    """Address of a server of vLLM on this card."""


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    run: Callable[[Place], Figures]
    limit: float
    """Most seconds."""
    on_cpu: bool = True
    """Whether it says something on a CPU too."""


def checkpoint(place: Place) -> str:
    """A random Qwen2-VL of 25 M parameters, wide enough for blocks of four-bit weights."""
    build_inputs(Case(visual=16, group=2), place.folder)
    return str(place.folder / "checkpoint")


def flexible_checkpoint(folder: Path) -> str:
    """A tiny random InternVL, as the tests build it: the Qwen-VLs of transformers have no FlexAttention."""
    sys.path.append(str(ROOT / "tests"))
    return str(import_module("families").build_internvl(folder))


def policy(place: Place, name: str = "tiny", **options: Any) -> VLM:
    """A policy with weights on the device."""
    return VLM(name, **options).load().to(place.device)


def greedy(model: VLM, capture: bool, group: int = 8) -> tuple[Prompts, Completions, float]:
    """Greedy completions of a few questions, and tokens a second; the first round is left out."""
    sampler = LocalSampler(capture=capture)
    prompts = model.encode(PICTURED)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        completions = sampler.generate(model, prompts, group, GREEDY, range(len(prompts)))
        if completions.ids.is_cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return prompts, completions, completions.mask.sum().item() / seconds


def gap(model: VLM, other: VLM, prompts: Prompts, completions: Completions) -> float:
    """Largest difference of log-probs of two policies."""
    found = []
    for one in (model, other):
        with one.evaluating():
            found.append(one.logprobs(prompts, completions).logprobs.float())
    return float((found[0] - found[1]).abs().max())


def at_most(what: str, value: float, bound: float) -> float:
    """A figure that has a bound.

    Raises:
        ValueError: If it is above.
    """
    if not value <= bound:
        raise ValueError(f"Expected {what} of at most {bound:g}, but got {value:.3g}.")
    return value


def captured_decoding(place: Place) -> Figures:
    """Greedy tokens of captured steps are those of plain ones."""
    model = policy(place)
    _, plain, slow = greedy(model, capture=False)
    _, captured, fast = greedy(model, capture=True)
    if not torch.equal(plain.ids, captured.ids):
        raise ValueError("Expected captured decoding to write the tokens of plain decoding, but they differ.")
    return {"plain tokens/s": slow, "captured tokens/s": fast}


def shared_prefix(place: Place) -> Figures:
    """One row a group has the log-probs of one row a completion."""
    model, plain = policy(place), policy(place, shared_prefix=False)
    prompts, completions, _ = greedy(model, capture=False)
    return {"gap": at_most("a gap", gap(model, plain, prompts, completions), 1e-3)}


def flex_attention(place: Place) -> Figures:
    """FlexAttention over rows of groups has the log-probs of the plain way."""
    folder = flexible_checkpoint(place.folder / "checkpoint")
    model, plain = policy(place, folder, attention="flex_attention"), policy(place, folder, shared_prefix=False)
    prompts, completions, _ = greedy(plain, capture=False)
    return {"gap": at_most("a gap", gap(model, plain, prompts, completions), 2e-3)}


def bfloat16(place: Place) -> Figures:
    """Half precision is near single precision, and rows of groups near plain rows in it."""
    half, plain = policy(place, dtype="bfloat16"), policy(place, dtype="bfloat16", shared_prefix=False)
    prompts, completions, _ = greedy(plain, capture=False)
    sharing = at_most("a gap of sharing", gap(half, plain, prompts, completions), 0.25)
    whole = policy(place, dtype="float32")
    with whole.evaluating(), plain.evaluating():
        single = whole.logprobs(whole.encode(PICTURED), completions).logprobs
        rounded = plain.logprobs(prompts, completions).logprobs
    mean = float((single - rounded).abs().sum() / completions.mask.sum())
    return {"gap of sharing": sharing, "mean gap to float32": at_most("a mean gap to float32", mean, 0.1)}


def qlora(place: Place) -> Figures:
    """An adapter on four bits: gradients, and an export that is the policy."""
    if find_spec("bitsandbytes") is None:
        raise Skipped("bitsandbytes is not installed")
    model = policy(place, checkpoint(place), lora=LoRA(8, quantize="nf4"), max_pixels=16 * 28 * 28)
    prompts, completions, _ = greedy(model, capture=False, group=2)
    model.logprobs(prompts, completions).logprobs.sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.grad is not None:
                parameter.add_(parameter.grad / parameter.grad.norm().clamp(min=1e-9), alpha=0.02)
    model.export(place.folder / "whole")
    whole = policy(place, str(place.folder / "whole"), max_pixels=16 * 28 * 28)
    return {"gap of the export": at_most("a gap of the export", gap(model, whole, prompts, completions), 2e-3)}


def fit(place: Place, *options: str) -> Figures:
    """Two steps of GRPO by the command.

    Raises:
        RuntimeError: With the last line of what it said, if it fails.
    """
    accelerator = "gpu" if place.device == "cuda" else "cpu"
    command = [sys.executable, "-m", "vrft_pl", *FIT.split(), "--run.folder", str(place.folder / "run"), *options]
    command += ["--trainer.accelerator", accelerator, "--trainer.devices", "1"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else f"`fit` ended with {done.returncode}.")
    return {"seconds of fit": time.perf_counter() - start}


def fit_with(*options: str) -> Callable[[Place], Figures]:
    """The check that `fit` runs with some options."""
    return lambda place: fit(place, *options)


def strategy(name: str, precision: str = "bf16-true") -> Check:
    """The check that `fit` runs under a strategy, for which one card is enough to see that it runs."""
    return Check(fit_with("--trainer.strategy", name, "--trainer.precision", precision), 90, on_cpu=False)


def vllm(place: Place) -> Figures:
    """Two steps with completions of a server on the same card, which the sampler compares with the trainer itself."""
    if find_spec("vllm") is None:
        raise Skipped("vLLM is not installed")
    if place.vllm is None:
        raise Skipped("no server was named by `--vllm`; vrft_pl/rollout/README.md says how to start one")
    sampler = {"class_path": "vrft_pl.rollout.VLLMSampler", "init_args": {"servers": [place.vllm], "colocated": True}}
    return fit(place, "--model.init_args.sampler", json.dumps(sampler))


def bench(place: Place) -> Figures:
    """A step of `tools/bench_grpo.py`: 2 B parameters on a card, 25 M on a CPU."""
    case = "v256_g8_t128_2b" if place.device == "cuda" else "v4_g2_t4_p1"
    output = place.folder / "bench.json"
    command = [sys.executable, "tools/bench_grpo.py", "--device", place.device, "--peer", "none", "--cases", case]
    command += ["--pairs", "1", "--warmup", "1", "--json", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    ours = json.loads(output.read_text())["cases"][0]["ours"]
    return {"s a step": ours["seconds"]["median"], "peak GiB": ours["peak_bytes"] / 2**30}


CHECKS = {
    "captured decoding": Check(captured_decoding, 60, on_cpu=False),
    "shared prefix": Check(shared_prefix, 60),
    "FlexAttention": Check(flex_attention, 120, on_cpu=False),
    "bfloat16": Check(bfloat16, 60),
    "QLoRA": Check(qlora, 90),
    "GRPO": Check(fit_with(), 90),
    "ZeRO-2 with offload": strategy("deepspeed_stage_2_offload"),
    "ZeRO-3 with offload": strategy("deepspeed_stage_3_offload"),
    "FSDP2": strategy("fsdp2", "32-true"),
    "vLLM on the same card": Check(vllm, 120),
    "a step of bench_grpo": Check(bench, 240),
}
"""By name."""
