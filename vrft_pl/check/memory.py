"""How much of a device's memory is taken all the time?

What stays is exact: weights, the copy of the reference and gradients are counted from the parameters, and the
optimizer's states by a step of the configured optimizer on parameters without memory. What comes and goes, sampling and
activations, is measured: see `vrft_pl.check.speed`.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vrft_pl.check.findings import Finding
from vrft_pl.check.subject import Subject
from vrft_pl.check.tokens import measure_rows
from vrft_pl.check.transient import Shape, Work, smallest_card, transient_bytes
from vrft_pl.distributed import can_be_whole
from vrft_pl.modules.base import PolicyModule
from vrft_pl.policy.quantized import quantization_bytes

GIB = 2**30
SAMPLING = "the policy whole while it samples"
"""What comes for a while, beside the names of what stays."""
MOST_ROWS = 1024
"""Completions that are written at once by a sampler that does not say how many."""


def check_memory(subject: Subject) -> list[Finding]:
    """Compare what stays with the device."""
    section, staying, gathered = subject.section, staying_bytes(subject), gathered_bytes(subject)
    total, limit = sum(staying.values()), device_bytes(subject)
    where = f"{section.devices} x {'GPU' if section.gpu else 'CPU'}, {section.strategy_name}, {section.precision}"
    what = f"{total / GIB:.2f} GiB stay on a device ({where}): {shown(staying)}"
    if "optimizer" not in staying:
        what += "; the optimizer takes no step on a CPU, so that its states are not counted"
    if gathered:
        what += f". While completions are written the policy is whole on it, {gathered / GIB:.2f} GiB more"
    if section.gpu:
        what += f". {card_sentence(subject, total)}"
    if limit is None:
        return [Finding("note", f"{what}. This machine has no such GPU to compare with: set `check.device_memory`.")]
    left = (limit - total - gathered) / GIB
    if left < 0:
        rest = f", and {gathered / GIB:.2f} more of the policy while it samples," if gathered else ""
        told = f"The {total / GIB:.2f} GiB that stay{rest} do not fit into the {limit / GIB:.2f} GiB of a device"
        terms = staying | {SAMPLING: gathered}
        return [Finding("error", f"{told}. {remedy(subject, terms)}"), Finding("note", f"{what}.")]
    return [Finding("note", f"{what}. They leave {left:.2f} of {limit / GIB:.2f} GiB for sampling and activations.")]


def staying_bytes(subject: Subject) -> dict[str, int]:
    """Bytes a device that stay all the time, by what they are."""
    section, policy = subject.section, subject.policy
    shards = section.shards
    trained = [p for p in policy.parameters() if p.requires_grad]
    weights = policy_bytes(subject)
    gradients = sum(p.numel() * weight_bytes(p, section.precision, shards.master) for p in trained)
    terms = {"weights": weights // shards.weights, "gradients": gradients // shards.gradients}
    states = optimizer_bytes(subject.module, trained, section.precision, shards.master)
    if states is not None:
        masters = sum(4 * p.numel() for p in trained) if shards.master else 0
        terms["optimizer"] = 0 if shards.offloaded else (states + masters) // shards.optimizer
    reference = subject.module.reference
    if reference is not None and reference.holds_weights:
        # Lightning's FSDP1 spreads what is in the module, and the copy is not
        terms["reference"] = weights // shards.weights if can_be_whole(section.strategy) else weights
    return terms


def gathered_bytes(subject: Subject) -> int:
    """Bytes a device of the other ranks' weights of the policy, which it has while completions are written."""
    held_out = subject.task.validates and bool(subject.trainer.limit_val_batches)
    if not (subject.module.trains_on_samples or held_out) or subject.section.shards.weights == 1:
        return 0
    whole = policy_bytes(subject)
    return whole - whole // subject.section.shards.weights


def policy_bytes(subject: Subject) -> int:
    """Bytes of the policy's weights, those of all devices together."""
    precision, master = subject.section.precision, subject.section.shards.master
    weights = sum(p.numel() * weight_bytes(p, precision, master) for p in subject.policy.parameters())
    return weights + quantization_bytes(subject.policy)


def card_sentence(subject: Subject, staying: int) -> str:
    """Name the smallest card for what stays and what comes and goes."""
    if (work := heaviest_work(subject)) is None:
        return "No row can be read, so that no card is named"
    policy, section = subject.policy, subject.section
    config = policy.hf_model.config
    terms = transient_bytes(
        Shape.of(config.get_text_config()),
        None if policy.sees_alike or getattr(config, "vision_config", None) is None else Shape.of(config.vision_config),
        work,
        width=2 if "16" in section.precision else 4,
        checkpointing=policy.weights.gradient_checkpointing,
        adapters=policy.has_adapter,
        gathered=gathered_bytes(subject),
    )
    card = smallest_card(staying + sum(terms.values()))
    named = "no common card holds" if card is None else f"a card of {card} GB is the smallest that holds"
    return f"By formula, not measured, a step takes {shown(terms)} more: {named} both"


def heaviest_work(subject: Subject) -> Work | None:
    """What a step does with the longest rows; ``None`` where none can be read."""
    lengths, *_ = measure_rows(subject)
    if not lengths:
        return None
    module, prompts = subject.module, subject.task.batch_size
    longest = max(length.prompt for length in lengths)
    if not module.trains_on_samples:
        return Work(longest, max(length.target for length in lengths), prompts=prompts)
    window = module.window or subject.trainer.accumulate_grad_batches
    rows = min(window * prompts * module.group_size, getattr(module.sampler, "max_rows", MOST_ROWS))
    return Work(longest, module.params.max_tokens, module.group_size, prompts, max(rows, module.group_size))


def weight_bytes(parameter: torch.Tensor, precision: str, master: bool) -> int:
    """Bytes of one weight as the precision and the strategy keep it."""
    half = parameter.is_floating_point() and (precision in ("bf16-true", "16-true") or master)
    return min(2, parameter.element_size()) if half else parameter.element_size()


def optimizer_bytes(
    module: PolicyModule, trained: list[nn.Parameter], precision: str, master: bool = False
) -> int | None:
    """Bytes of the states of the module's optimizer, by a step on parameters that have no memory.

    One that needs real numbers is tried on one parameter of each shape; one that needs its own device has ``None``.
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
        return None


def step_bytes(module: PolicyModule, parameters: list[nn.Parameter]) -> int:
    """Bytes of the states after one step."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer: Any = module.optimizer(parameters)
    optimizer.step()
    values = [value for state in optimizer.state.values() for value in state.values()]
    return sum(value.nbytes for value in values if isinstance(value, torch.Tensor))


def device_bytes(subject: Subject) -> int | None:
    """Memory of a device of the run; ``None`` where it has GPUs and this machine none."""
    if subject.options.device_memory is not None:
        return int(subject.options.device_memory * GIB)
    if subject.section.gpu:
        return torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    own = limit.read_text().strip() if limit.is_file() else "max"
    return min(memory, int(own)) if own.isdigit() else memory


def remedy(subject: Subject, staying: dict[str, int]) -> str:
    """What to change, for the largest term."""
    largest = max(staying, key=lambda name: staying[name])
    lora = [] if subject.policy.has_adapter else ["`lora`"]
    zero2, zero3 = (
        [f"`strategy: {name}` on more devices"] if subject.section.gpu and not subject.refusal(name) else []
        for name in ("deepspeed_stage_2", "deepspeed_stage_3")
    )
    advice = {
        "weights": ["`dtype: bfloat16`", *zero3, "a smaller model"],
        "gradients": [*lora, *zero2, "a smaller model"],
        "optimizer": [*lora, *zero2, "a smaller model"],
        "reference": ["`lora`, whose reference is the policy itself", "`kl_coefficient: 0`"],
        SAMPLING: ["`dtype: bfloat16`", "a smaller model"],
    }[largest]
    return f"Most is {largest}. Try {', or '.join(advice)}."


def shown(terms: dict[str, int]) -> str:
    """Terms in GiB."""
    return ", ".join(f"{name} {size / GIB:.2f}" for name, size in terms.items())
