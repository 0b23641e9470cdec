"""The fewest floating-point operations of a step, and how fast this machine multiplies matrices."""

from __future__ import annotations

import statistics
import time

import torch

from bench.case import MERGE, PATCH, SIZES, Case

WINDOW = 4096
"""Side of the matrices that the rate is measured on."""


def floor_flops(case: Case, prompt_tokens: int) -> dict[str, float]:
    """Count the operations of each phase, with nothing computed twice within it.

    Sampling, reference and policy each need one forward pass over every picture and prompt once and every completion
    once; the backward pass of the policy needs two. Attention is counted where a token sees another, the output layer
    at the tokens that predict a completion token, and the last token of a completion, which predicts nothing, not at
    all. Norms, activations, softmax, optimizer and the processor count as nothing.

    Args:
        case: What is measured.
        prompt_tokens: ``S``.
    """
    size = SIZES[case.size]
    completions, fed = case.prompts * case.group, case.completion - 1
    head_dim = size.hidden // size.heads
    per_token = size.hidden * (2 * size.hidden + 2 * size.kv_heads * head_dim + 3 * size.intermediate)
    tokens = case.prompts * prompt_tokens + completions * fed
    # pairs of a token and one it sees
    pairs = case.prompts * prompt_tokens * (prompt_tokens + 1) / 2
    pairs += completions * (fed * prompt_tokens + fed * (fed + 1) / 2)
    text = size.layers * (2 * per_token * tokens + 4 * size.hidden * pairs)
    head = 2 * size.hidden * size.vocabulary * completions * case.completion
    patches = case.visual * MERGE**2
    width, merged = size.vision_width, size.vision_width * MERGE**2
    blocks = size.vision_depth * (2 * 12 * width**2 * patches + 4 * width * patches**2)
    merger = 2 * case.visual * (merged * merged + merged * size.hidden)
    embedding = 2 * patches * 3 * 2 * PATCH**2 * width
    forward = text + head + case.prompts * (blocks + merger + embedding)
    phases = {"rollout": forward, "update": 3 * forward - case.prompts * embedding}
    return phases | ({"reference": forward} if case.kl else {})


def matrix_rate(device: str, dtype: str) -> float:
    """Floating-point operations a second of a large matrix product, median of five."""
    a, b = (torch.randn(WINDOW, WINDOW, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    seconds = []
    for _ in range(6):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * WINDOW**3 / statistics.median(seconds[1:])
