"""How much memory will a device need?

The peak is what stays (weights, the copy of the reference, gradients, states of the optimizer) and the largest of what
comes in turns (sampling, the backward pass, the optimizer's step). The first are exact: they are counted from the
parameters, and the optimizer's states by a step of the configured optimizer on parameters without memory. The second
are extrapolated from this policy's own tensors for one short prompt; see `vrft_pl.check.activations`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vrft_pl.check.activations import Footprint, is_checkpointed, measure_footprint
from vrft_pl.check.findings import Finding, Level
from vrft_pl.check.signal import chosen_samples
from vrft_pl.check.subject import Subject
from vrft_pl.check.tokens import Length, measure_rows
from vrft_pl.modules import GRPOModule
from vrft_pl.modules.base import PolicyModule
from vrft_pl.policy.logprobs import CHUNK_BYTES, is_plain_head
from vrft_pl.rollout import LocalSampler

GIB = 2**30
CUDA_CONTEXT = GIB
"""What CUDA, its libraries and the gaps between allocations take."""
_DRAW_BYTES = 24
"""Bytes of each logit while a token is drawn: logits, probabilities and, in float64, their running sum."""
_CHUNKS = 4
"""Tensors of a chunk of logits that the output layer's backward pass holds at once."""


def check_memory(subject: Subject) -> list[Finding]:
    """Estimate the peak and compare it with the device."""
    samples, (lengths, _, _) = chosen_samples(subject), measure_rows(subject)
    staying = staying_bytes(subject)
    if not samples or not lengths:
        return [Finding("note", f"Without activations: {shown(staying)}.")]
    try:
        passing = passing_bytes(subject, measure_footprint(subject, samples[0]), lengths)
    except torch.OutOfMemoryError as error:
        return [Finding("error", f"One prompt runs out of memory: {str(error).splitlines()[0]}")]
    total = sum(staying.values()) + max(passing.values()) + CUDA_CONTEXT * subject.plan.gpu
    plan = subject.plan
    terms = f"{shown(staying)}; in turns {shown(passing)}" + ("; CUDA 1.00" if plan.gpu else "")
    where = f"{plan.devices} x {'GPU' if plan.gpu else 'CPU'}, {plan.strategy_name}, {plan.precision}"
    note = Finding("note", f"About {total / GIB:.2f} GiB a device ({where}), within a factor of 2: {terms}.")
    limit = device_bytes(subject)
    if limit is None:
        return [note, Finding("note", "This machine has no such GPU to compare with: set `check.device_memory`.")]
    if total <= 0.85 * limit:
        return [note]
    level: Level = "error" if total > limit else "warning"
    what = f"The run needs about {total / GIB:.1f} GiB of the {limit / GIB:.1f} GiB that a device has."
    return [Finding(level, f"{what} {remedy(subject, staying, passing)}"), note]


def staying_bytes(subject: Subject) -> dict[str, int]:
    """Bytes a device that stay all the time, by what they are."""
    plan, policy = subject.plan, subject.policy
    trained = [p for p in policy.parameters() if p.requires_grad]
    weights = sum(p.numel() * weight_bytes(p, plan.precision, plan.shards.master) for p in policy.parameters())
    gradients = sum(p.numel() * weight_bytes(p, plan.precision, plan.shards.master) for p in trained)
    states = optimizer_bytes(subject.module, trained, plan.precision, plan.shards.master)
    if plan.shards.master:
        states += sum(4 * p.numel() for p in trained)
    terms = {
        "weights": weights // plan.shards.weights,
        "gradients": gradients // plan.shards.gradients,
        "optimizer": 0 if plan.shards.offloaded else states // plan.shards.optimizer,
    }
    reference = getattr(subject.module, "reference", None)
    if reference is not None and reference.holds_weights:
        terms["reference"] = weights  # the copy is no part of what a strategy shards
    return terms


def weight_bytes(parameter: torch.Tensor, precision: str, master: bool) -> int:
    """Bytes of one weight as the precision and the strategy keep it."""
    half = parameter.is_floating_point() and (precision in ("bf16-true", "16-true") or master)
    return min(2, parameter.element_size()) if half else parameter.element_size()


def optimizer_bytes(module: PolicyModule, trained: list[nn.Parameter], precision: str, master: bool = False) -> int:
    """Bytes of the states of the module's optimizer, by a step on parameters that have no memory.

    One that needs real numbers is tried on one parameter of each shape; one that needs its own device is taken to keep
    two float32 values a weight.
    """
    half = precision in ("bf16-true", "16-true") and not master
    copies = [
        nn.Parameter(
            torch.empty_like(p, dtype=torch.float32 if master else torch.bfloat16 if half else p.dtype, device="meta")
        )
        for p in trained
    ]
    try:
        return step_bytes(module, copies)
    except (RuntimeError, NotImplementedError):
        pass
    shapes = Counter((copy.shape, copy.dtype) for copy in copies)
    try:
        return sum(
            n * step_bytes(module, [nn.Parameter(torch.zeros(shape, dtype=dtype))])
            for (shape, dtype), n in shapes.items()
        )
    except (RuntimeError, NotImplementedError):
        return sum(8 * copy.numel() for copy in copies)


def step_bytes(module: PolicyModule, parameters: list[nn.Parameter]) -> int:
    """Bytes of the states after one step."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer: Any = module.optimizer(parameters)
    optimizer.step()
    values = [value for state in optimizer.state.values() for value in state.values()]
    return sum(value.nbytes for value in values if isinstance(value, torch.Tensor))


def passing_bytes(subject: Subject, footprint: Footprint, lengths: Sequence[Length]) -> dict[str, int]:
    """Bytes a device that come in turns, by when."""
    plan, module, policy = subject.plan, subject.module, subject.policy
    per_step = subject.task.batch_size
    longest, written = longest_row(subject, lengths)
    width = 2 if "16" in plan.precision else 4
    trained = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    head = policy.hf_model.get_output_embeddings()
    vocabulary = policy.hf_model.config.get_text_config().vocab_size
    tokens = per_step * subject.group_size * written
    logits = _CHUNKS * CHUNK_BYTES["cuda" if plan.gpu else "cpu"] if is_plain_head(head) else 12 * tokens * vocabulary
    logits = min(logits, 16 * tokens * vocabulary)
    if head is not None and any(p.requires_grad for p in head.parameters()):
        logits += 4 * sum(p.numel() for p in head.parameters())
    shared = policy.may("sharing")
    passing = {"backward": footprint.training(per_step, subject.group_size, longest, written, shared, width) + logits}
    passing["optimizer step"] = 4 * trained // plan.shards.optimizer if plan.gpu else 0
    most = module.sampler.max_rows if isinstance(module.sampler, LocalSampler) else None
    drawn = {"evaluation": (subject.task.eval_batch_size, 1, module.eval_params.max_tokens)}
    if isinstance(module, GRPOModule):
        prompts = per_step * (module.window or plan.accumulate)
        drawn["sampling"] = (prompts, module.group_size, module.params.max_tokens)
    for when, (prompts, group_size, limit) in drawn.items():
        together = prompts if most is None else min(prompts, max(1, most // group_size))
        cache = footprint.sampling(together, group_size, longest, limit, shared)
        passing[when] = cache + _DRAW_BYTES * together * group_size * vocabulary
    return passing


def longest_row(subject: Subject, lengths: Sequence[Length]) -> tuple[int, int]:
    """Most tokens of a training prompt, and of what is written to it."""
    trained = [length for length in lengths if length.row.part.split == "train"] or lengths
    grpo = isinstance(subject.module, GRPOModule)
    written = subject.params.max_tokens if grpo else max(length.target for length in trained)
    return max(length.prompt for length in trained), written


def device_bytes(subject: Subject) -> int | None:
    """Memory of a device of the run; ``None`` where it has GPUs and this machine none."""
    if subject.options.device_memory is not None:
        return int(subject.options.device_memory * GIB)
    if subject.plan.gpu:
        return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    own = limit.read_text().strip() if limit.is_file() else "max"
    return min(memory, int(own)) if own.isdigit() else memory


def remedy(subject: Subject, staying: dict[str, int], passing: dict[str, int]) -> str:
    """What to change, for the largest term."""
    terms = {**staying, max(passing, key=lambda name: passing[name]): max(passing.values())}
    largest = max(terms, key=lambda name: terms[name])
    policy = subject.policy
    lora = [] if policy.has_adapter else ["`lora`"]
    zero2, zero3 = (
        [] if subject.refusal(name) else [f"`strategy: {name}` on more devices"]
        for name in ("deepspeed_stage_2", "deepspeed_stage_3")
    )
    advice = {
        "weights": ["`dtype: bfloat16`", *zero3, "a smaller model"],
        "gradients": [*lora, *(zero2 or ["a smaller model"])],
        "optimizer": [*lora, *(zero2 or ["a smaller model"])],
        "optimizer step": [*lora, *(zero2 or ["a smaller model"])],
        "reference": ["`lora`, whose reference is the policy itself", "`kl_coefficient: 0`"],
        "backward": [
            *([] if is_checkpointed(policy) else ["`gradient_checkpointing: true`"]),
            "a smaller `batch_size` with more `accumulate_grad_batches`",
            "fewer `max_tokens` or `max_pixels`",
        ],
        "evaluation": ["a smaller `eval_batch_size`", "fewer `max_tokens` or `max_pixels`"],
        "sampling": ["fewer `max_rows` of the sampler", "fewer `max_tokens` or `max_pixels`"],
    }[largest]
    return f"Most is {largest}. Try {', or '.join(advice)}."


def shown(terms: dict[str, int]) -> str:
    """Terms in GiB."""
    return ", ".join(f"{name} {size / GIB:.2f}" for name, size in terms.items())
