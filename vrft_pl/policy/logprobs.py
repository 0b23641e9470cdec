"""Log-probabilities of given tokens, in chunks: no ``(M, V)`` tensor in float32 outlives its chunk.

``M`` counts tokens of all completions, one after the other; the other axes are those of `vrft_pl.types`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vrft_pl.distributed import is_sharded

CHUNK_BYTES = {"cpu": 2**24, "cuda": 2**28}
"""Most bytes of one chunk's logits in float32, by type of device: what stays in a cache, and what fills a GPU."""
IMPOSSIBLE = -1e30
"""Logit of a token that can't be drawn. Not minus infinity, whose product with its probability 0 is no number."""


class TokenLogprobs(NamedTuple):
    """What the policy thinks of given completion tokens."""

    logprobs: Tensor
    """Shape ``(N, T)`` or ``(M,)``, float32; 0 at padding."""
    entropy: Tensor
    """Entropy of the next-token distribution in nats. Same shape, float32; 0 at padding."""


def logprobs_of_logits(logits: Tensor, ids: Tensor) -> TokenLogprobs:
    """Read log-probs off logits that exist already.

    Args:
        logits: Of the distribution that is trained, in float32. Shape ``(..., V)``.
        ids: Tokens. Shape ``(...)``.
    """
    log_all = logits.log_softmax(dim=-1)
    return TokenLogprobs(log_all.gather(-1, ids[..., None]).squeeze(-1), _Entropy.apply(log_all))


class _Entropy(torch.autograd.Function):
    """Entropy from all log-probs, of which the softmax keeps as much for its own gradient: nothing else is kept."""

    @staticmethod
    def forward(ctx: Any, log_all: Tensor) -> Tensor:
        ctx.save_for_backward(log_all)
        return torch.special.entr(log_all.exp()).sum(dim=-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        probabilities = ctx.saved_tensors[0].exp()
        return grad[..., None] * (torch.special.entr(probabilities) - probabilities)


def is_plain_head(head: nn.Module | None) -> bool:
    """Whether an output layer is a matrix that lies whole on this device, so that it can be applied chunk by chunk."""
    return type(head) is nn.Linear and not is_sharded([head.weight])


def logprobs_of_hidden(
    head: nn.Linear, hidden: Tensor, ids: Tensor, banned: Tensor, temperature: float, chunk_bytes: int | None = None
) -> TokenLogprobs:
    """Apply an output layer and read log-probs off it, chunk by chunk.

    The backward pass computes each chunk of logits again, so that memory is one chunk however many tokens there are.

    Args:
        head: The output layer.
        hidden: Last hidden states, each of the token before the one it predicts. Shape ``(M, H)``.
        ids: Tokens. Shape ``(M,)``.
        banned: Tokens that can't be drawn.
        temperature: Of the softmax.
        chunk_bytes: Most bytes of a chunk of logits. Defaults to `CHUNK_BYTES`.
    """
    device = hidden.device.type
    rows = (chunk_bytes or CHUNK_BYTES.get(device, CHUNK_BYTES["cuda"])) // (4 * head.out_features)
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
    arguments = hidden, head.weight, head.bias, ids, banned, temperature, max(1, rows), dtype
    # the dtype is settled: autocast would round the sums below as well
    with torch.autocast(device, enabled=False):
        logprobs, entropy = _LinearLogprobs.apply(*arguments)
    return TokenLogprobs(logprobs, entropy)


def _chunk_logits(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, banned: Tensor, temperature: float, dtype: torch.dtype
) -> Tensor:
    """Logits of the distribution that is trained, in float32. Shape ``(chunk, V)``."""
    bias = None if bias is None else bias.to(dtype)
    logits = torch.nn.functional.linear(hidden.to(dtype), weight.to(dtype), bias).float()
    if temperature != 1:
        logits /= temperature
    if banned.numel():
        logits[:, banned] = IMPOSSIBLE
    return logits


class _LinearLogprobs(torch.autograd.Function):
    """``log_softmax(hidden @ weight.T + bias)[ids]`` and the entropy of each row, without keeping the logits.

    What a loss does not use has no gradient, and costs nothing.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ids: Tensor,
        banned: Tensor,
        temperature: float,
        rows: int,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        num_tokens = hidden.shape[0]
        logprobs, entropy, normaliser = (hidden.new_empty(num_tokens, dtype=torch.float32) for _ in range(3))
        for first in range(0, num_tokens, rows):
            part = slice(first, first + rows)
            logits = _chunk_logits(hidden[part], weight, bias, banned, temperature, dtype)
            picked = logits.gather(1, ids[part, None]).squeeze(1)
            top = logits.amax(dim=1, keepdim=True)
            powers = (logits - top).exp_()
            total = powers.sum(dim=1)
            normaliser[part] = total.log() + top.squeeze(1)
            logprobs[part] = picked - normaliser[part]
            entropy[part] = normaliser[part] - torch.linalg.vecdot(powers, logits) / total
        ctx.save_for_backward(hidden, weight, bias, ids, banned, normaliser, entropy)
        ctx.temperature, ctx.rows, ctx.dtype = temperature, rows, dtype
        ctx.set_materialize_grads(False)
        return logprobs, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_entropy: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, ids, banned, normaliser, entropy = ctx.saved_tensors
        grad = torch.zeros_like(normaliser) if grad is None else grad
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        d_hidden = torch.empty_like(hidden) if wants_hidden else None
        # sums over many chunks, in single precision whatever the weights are
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        d_bias = torch.zeros_like(bias, dtype=torch.float32) if wants_bias else None
        for first in range(0, hidden.shape[0], ctx.rows):
            part = slice(first, first + ctx.rows)
            d_logits = _chunk_logits(hidden[part], weight, bias, banned, ctx.temperature, ctx.dtype)
            scale = grad[part, None].float() / ctx.temperature
            d_logits.sub_(normaliser[part, None])
            if grad_entropy is None:
                d_logits.exp_().mul_(-scale)
            else:
                probabilities, of_entropy = d_logits.exp(), grad_entropy[part, None].float() / ctx.temperature
                d_logits.add_(entropy[part, None]).mul_(-of_entropy).sub_(scale).mul_(probabilities)
            d_logits.scatter_add_(1, ids[part, None], scale)
            cast = d_logits.to(ctx.dtype)
            if d_hidden is not None:
                d_hidden[part] = (cast @ weight.to(ctx.dtype)).to(hidden.dtype)
            if d_weight is not None:
                d_weight += cast.T @ hidden[part].to(ctx.dtype)
            if d_bias is not None:
                d_bias += d_logits.sum(dim=0)
        d_weight = None if d_weight is None else d_weight.to(weight.dtype)
        d_bias = None if d_bias is None else d_bias.to(bias.dtype)
        return d_hidden, d_weight, d_bias, None, None, None, None, None
