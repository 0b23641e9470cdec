"""What training and writing cost: samples, tokens, floating-point operations, seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from vrft_pl.distributed import whole_size
from vrft_pl.policy.vlm import VLM
from vrft_pl.types import Prompts


@dataclass(frozen=True)
class Cost:
    """What something took; costs are added up."""

    samples: int = 0
    """Prompts that were trained on, or answered to train on; each as often as it was."""
    completions: int = 0
    """Completions that were sampled."""
    optimizer_steps: int = 0
    """Steps of the optimizer."""
    generated_tokens: int = 0
    """Tokens of sampled completions, end tokens included."""
    trained_tokens: int = 0
    """Target tokens that went through the loss, each as often as it did."""
    flops: float = 0.0
    """Floating-point operations as `Flops` counts them."""
    seconds: float = 0.0
    """By the clock, of one process."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class PassTokens:
    """Tokens of one pass through the model, padding left out."""

    prompt: int
    """Of the prompts, pictures included; a prompt that its group shares counts once."""
    picture: int
    """Those of the prompts whose pictures the vision tower looks at in this pass."""
    completion: int
    """Of the completions."""

    @staticmethod
    def of(policy: VLM, prompts: Prompts, mask: Tensor, looked: bool = True, shared: bool = False) -> PassTokens:
        """Count the tokens of a pass.

        Args:
            policy: The policy.
            prompts: Length ``P``.
            mask: True at the tokens of each completion. Shape ``(N, T)``.
            looked: Whether what a frozen tower sees in a picture, if that is known, was computed before this pass.
            shared: Whether each prompt is computed once, and not once for each of its completions.
        """
        media = torch.tensor(policy.banned_token_ids, dtype=torch.long)
        looking = [prompt for prompt in prompts if prompt.features is None or not looked]
        pictures = sum(int(torch.isin(prompt.inputs["input_ids"].cpu(), media).sum()) for prompt in looking)
        times = 1 if shared else len(mask) // len(prompts)
        return PassTokens(times * sum(prompt.num_tokens for prompt in prompts), times * pictures, int(mask.sum()))


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of passes: 2 N a token forward and 4 N backward, N being the parameters it meets.

    That is the estimate of https://arxiv.org/abs/2001.08361 (sec. 2.1), which leaves out attention scores and input
    embeddings. Here the output layer counts at completion tokens alone, vision tower and projector count at tokens that
    stand for pictures (a tower that sees more patches than the language model reads tokens does more), and frozen
    parameters take 2 N backward, or nothing where no gradient passes them. What is computed twice to save memory counts
    once, and of a mixture of experts all experts count.
    """

    parameters: Mapping[str, tuple[int, int]]
    """Trainable and all parameters of each part, and of the output layer (``head``)."""

    @staticmethod
    def of(policy: VLM) -> Flops:
        """Count the parameters of a policy."""
        table, model = policy.parameter_table(), policy.hf_model
        embedding, head = (
            getattr(layer(), "weight", None) for layer in (model.get_input_embeddings, model.get_output_embeddings)
        )
        tied = {id(weight): weight for weight in (embedding, head) if weight is not None}
        trainable, total = table["language"]
        for weight in tied.values():
            trainable, total = trainable - whole_size(weight) * weight.requires_grad, total - whole_size(weight)
        last = (0, 0) if head is None else (whole_size(head) * head.requires_grad, whole_size(head))
        return Flops({**table, "language": (trainable, total), "head": last})

    def forward(self, tokens: PassTokens) -> float:
        """Operations of a forward pass."""
        return 2.0 * sum(total * self._met(part, tokens) for part, (_, total) in self.parameters.items())

    def backward(self, tokens: PassTokens) -> float:
        """Operations of a backward pass."""
        passed = [part for part, (trainable, _) in self.parameters.items() if trainable or part in ("language", "head")]
        return 2.0 * sum(sum(self.parameters[part]) * self._met(part, tokens) for part in passed)

    @staticmethod
    def _met(part: str, tokens: PassTokens) -> int:
        """Tokens that meet the parameters of a part."""
        whole = {"language": tokens.prompt + tokens.completion, "head": tokens.completion}
        return whole.get(part, tokens.picture)


def cost_of_writing(policy: VLM, prompts: Prompts, mask: Tensor) -> Cost:
    """What completions took that were written to prompts, each prompt computed once.

    Args:
        policy: Wrote them.
        prompts: Length ``P``.
        mask: True at the tokens of each completion. Shape ``(N, T)``.
    """
    tokens = PassTokens.of(policy, prompts, mask, looked=False, shared=True)
    return Cost(
        samples=len(prompts),
        completions=len(mask),
        generated_tokens=tokens.completion,
        flops=Flops.of(policy).forward(tokens),
    )


def cost_of_reading(policy: VLM, prompts: Prompts, mask: Tensor, times: int = 1) -> Cost:
    """What passes took that score completions and train nothing.

    Args:
        policy: Reads them, or its reference does.
        prompts: Length ``P``.
        mask: True at the tokens of each completion. Shape ``(N, T)``.
        times: Passes.
    """
    return Cost(flops=times * Flops.of(policy).forward(tokens_read(policy, prompts, mask)))


def tokens_read(policy: VLM, prompts: Prompts, mask: Tensor) -> PassTokens:
    """Tokens of a pass that scores completions, as the policy computes it."""
    shared = len(mask) > len(prompts) and policy.may("sharing")
    return PassTokens.of(policy, prompts, mask, shared=shared)
