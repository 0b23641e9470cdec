"""What a forward pass keeps for the backward pass, and what decoding keeps for each token.

Two forward passes of one prompt, with a short and a longer completion, are run in eval mode, where nothing is
recomputed, and the bytes that autograd keeps are counted. Attention kernels that do not write their scores down keep
memory in proportion to tokens, so that the difference of the passes is the price of a completion token and what remains
that of the prompt, its pictures included.

With ``gradient_checkpointing`` a pass keeps the input of each layer instead, and one layer at a time in full. Attention
that writes its scores down (``eager``) needs more than this says.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vrft_pl.check.subject import Subject
from vrft_pl.policy import VLM
from vrft_pl.rollout.decoding import prefill
from vrft_pl.types import Completions, Prompts, Sample

_SHORT, _LONG = 4, 36
"""Tokens of the two completions."""
_GROWTH = 1.5
"""Room of a growing cache, against what it holds: it doubles when it is full."""


@dataclass(frozen=True)
class Footprint:
    """Bytes of one prompt and one token of this policy."""

    prompt_tokens: int
    """Of the prompt that was measured."""
    prompt: int
    """Kept of the prompt, its pictures included."""
    token: float
    """Kept of a completion token."""
    cache: float
    """Keys and values of a token."""
    inputs: int
    """Tokens and patches of the prompt."""
    layers: int
    """Of the language model."""
    hidden: int
    """Width of the language model."""
    checkpointed: bool
    """Whether layers are computed again in the backward pass."""

    def training(self, prompts: int, group_size: int, longest: int, written: int, shared: bool, width: int) -> int:
        """Bytes that a micro-batch keeps.

        Args:
            prompts: ``P`` of the micro-batch.
            group_size: ``G``.
            longest: Tokens of the longest prompt.
            written: Tokens of a completion.
            shared: Whether each prompt is computed once for its group.
            width: Bytes of an activation, where layers are computed again.
        """
        repeats = 1 if shared else group_size
        whole = prompts * (repeats * self.prompt * longest / self.prompt_tokens + group_size * self.token * written)
        if self.checkpointed:
            tokens = prompts * (repeats * longest + group_size * written)
            whole = whole / self.layers + self.layers * tokens * self.hidden * width
        return int(whole + prompts * repeats * self.inputs * longest / self.prompt_tokens)

    def sampling(self, prompts: int, group_size: int, longest: int, written: int, shared: bool) -> int:
        """Bytes of the cache and of one layer's prefill; as `training`, for the prompts decoded together."""
        repeats = 1 if shared else group_size
        cache = self.cache * prompts * (repeats * longest + _GROWTH * group_size * written)
        return int(cache + prompts * (self.prompt / self.layers + self.inputs) * longest / self.prompt_tokens)


def measure_footprint(subject: Subject, sample: Sample) -> Footprint:
    """Measure a policy by one sample."""
    policy = subject.policy
    modes = {module: module.training for module in policy.modules()}
    policy.eval()
    with subject.precision():
        prompts = policy.encode([sample])
        short, long = (kept_bytes(policy, prompts, some_tokens(policy, n)) for n in (_SHORT, _LONG))
        with torch.no_grad():
            layers = prefill(policy, prompts).cache.layers
    for module, training in modes.items():
        module.training = training
    token = max(0.0, (long - short) / (_LONG - _SHORT))
    config = policy.hf_model.config.get_text_config()
    return Footprint(
        prompt_tokens=prompts.items[0].num_tokens,
        prompt=max(0, int(short - _SHORT * token)),
        token=token,
        cache=sum(layer.keys.nbytes + layer.values.nbytes for layer in layers) / prompts.items[0].num_tokens,
        inputs=sum(value.nbytes for value in prompts.items[0].inputs.values()),
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        checkpointed=is_checkpointed(policy),
    )


def is_checkpointed(policy: VLM) -> bool:
    """Whether layers are computed again in the backward pass."""
    return any(getattr(module, "gradient_checkpointing", False) for module in policy.hf_model.modules())


def some_tokens(policy: VLM, count: int) -> Completions:
    """A completion of tokens that are no media."""
    token = next(
        i for i in range(policy.hf_model.config.get_text_config().vocab_size) if i not in policy.banned_token_ids
    )
    ids = torch.full((1, count), token, device=policy.device)
    return Completions(ids, torch.ones_like(ids, dtype=torch.bool), None, ("",), ("length",), (None,))


def kept_bytes(policy: VLM, prompts: Prompts, completions: Completions) -> int:
    """Bytes that autograd keeps for the backward pass, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in policy.parameters()}
    kept: dict[int, int] = {}

    def count(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return value

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(count, lambda value: value):
        result = policy.plain_logprobs(prompts, completions)
    del result  # until here what is kept has addresses of its own
    return sum(kept.values())
