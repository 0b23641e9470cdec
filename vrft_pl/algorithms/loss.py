"""The clipped surrogate of GRPO and its relatives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from vrft_pl.algorithms.kl import KLEstimator, token_kl
from vrft_pl.types import Completions, Experience

Aggregation = Literal["sequence", "token", "constant"]


class LossOutput(NamedTuple):
    """A loss and what is logged beside it."""

    loss: Tensor
    """Scalar with a graph."""
    stats: dict[str, Tensor]
    """Scalars without a graph: ``kl`` and ``clip_fraction``, means over the tokens of this micro-batch."""


class Loss(ABC):
    """What a policy is trained on, given the log-probs of a micro-batch."""

    needs_reference: bool = False
    """Whether it compares with the frozen reference, which is then computed for every window."""
    corrects_sampler: bool = False
    """Whether it allows for a sampler that draws from another distribution than the policy's."""
    skips_dead_groups: bool = True
    """Whether a group without advantage has no gradient, and so needs no forward pass."""

    def token_mask(self, completions: Completions) -> Tensor:
        """Tokens that enter the loss and its denominators. Shape ``(N, T)``, bool."""
        return completions.mask

    @abstractmethod
    def __call__(self, logprobs: Tensor, experience: Experience) -> LossOutput:
        """Compute the loss of one micro-batch.

        Args:
            logprobs: Of the completion tokens under the policy that is trained. Shape ``(N, T)``.
            experience: The micro-batch, with the denominators of its optimizer step.

        Returns:
            The loss, scaled so that its mean over the micro-batches of a step and over ranks is the loss of the step.
        """


class GRPOLoss(Loss):
    """Clipped policy-gradient loss (https://arxiv.org/abs/2402.03300, eq. 3), with a choice of relatives.

    Denominators are those of the whole optimizer step, so that k micro-batches, on any number of ranks, have the
    gradient of one large batch.

    Args:
        aggregation: ``sequence`` averages tokens within a completion, then completions (GRPO and both papers);
            ``token`` averages all tokens of the step (DAPO, https://arxiv.org/abs/2503.14476, eq. 8); ``constant``
            divides the sum by completions times ``max_tokens`` (Dr. GRPO, https://arxiv.org/abs/2503.20783).
        clip_low: The ratio is clipped at ``1 - clip_low``.
        clip_high: The ratio is clipped at ``1 + clip_high`` (DAPO's clip-higher uses 0.28).
        sequence_ratio: Use one ratio per completion, the geometric mean over its tokens (GSPO,
            https://arxiv.org/abs/2507.18071, eq. 7). Its clip range is far narrower, about 3e-4.
        kl_coefficient: Weight of the KL divergence from the reference; 0 needs no reference.
        kl_estimator: How the divergence is estimated.
        mask_truncated: Leave completions cut at the token limit out of the loss.
        max_tokens: Length that ``constant`` divides by. Defaults to the sampler's limit.
        importance_cap: Weight each token by its probability under the policy over that under the sampler, capped here
            (truncated importance sampling). Needed when the sampler draws from another distribution, as with top-k,
            top-p or an engine of other numerics.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        aggregation: Aggregation = "sequence",
        clip_low: float = 0.2,
        clip_high: float = 0.2,
        sequence_ratio: bool = False,
        kl_coefficient: float = 0.0,
        kl_estimator: KLEstimator = "k3",
        mask_truncated: bool = False,
        max_tokens: int | None = None,
        importance_cap: float | None = None,
    ) -> None:
        if aggregation not in get_args(Aggregation):
            raise ValueError(f"Expected `aggregation` to be one of {get_args(Aggregation)}, but got {aggregation!r}.")
        if not 0 < clip_low <= 1:
            raise ValueError(f"Expected `clip_low` to be in (0, 1], but got {clip_low}.")
        if not clip_high > 0:
            raise ValueError(f"Expected `clip_high` to be above 0, but got {clip_high}.")
        if not 0 <= kl_coefficient < float("inf"):
            raise ValueError(f"Expected `kl_coefficient` to be 0 or more, but got {kl_coefficient}.")
        if kl_estimator not in get_args(KLEstimator):
            raise ValueError(f"Expected `kl_estimator` to be one of {get_args(KLEstimator)}, but got {kl_estimator!r}.")
        if max_tokens is not None and max_tokens < 1:
            raise ValueError(f"Expected `max_tokens` to be at least 1 token, but got {max_tokens}.")
        if importance_cap is not None and not importance_cap > 0:
            raise ValueError(f"Expected `importance_cap` to be above 0, but got {importance_cap}.")
        self.aggregation, self.sequence_ratio, self.max_tokens = aggregation, sequence_ratio, max_tokens
        self.clip_low, self.clip_high = clip_low, clip_high
        self.kl_coefficient, self.kl_estimator = kl_coefficient, kl_estimator
        self.mask_truncated, self.importance_cap = mask_truncated, importance_cap

    @property
    def needs_reference(self) -> bool:  # type: ignore[override]
        """Whether there is a KL term."""
        return self.kl_coefficient > 0

    @property
    def corrects_sampler(self) -> bool:  # type: ignore[override]
        """Whether importance weights are on."""
        return self.importance_cap is not None

    @property
    def skips_dead_groups(self) -> bool:  # type: ignore[override]
        """Whether the surrogate is all there is: a KL term has a gradient in every group."""
        return not self.needs_reference

    def token_mask(self, completions: Completions) -> Tensor:
        """All tokens of a completion, or none of one that was cut where ``mask_truncated`` is set."""
        if not self.mask_truncated:
            return completions.mask
        return completions.mask & ~completions.truncated[:, None]

    def __call__(self, logprobs: Tensor, experience: Experience) -> LossOutput:
        """Compute the loss of one micro-batch; see `Loss`."""
        mask = experience.loss_mask
        # before any arithmetic: the gradient of an infinity in the padding is NaN even where the mask makes it 0
        logprobs = logprobs.masked_fill(~mask, 0.0)
        old = logprobs.detach() if experience.old_logprobs is None else experience.old_logprobs.masked_fill(~mask, 0.0)
        ratio = self._ratio(logprobs - old, mask)
        advantages = experience.advantages[:, None]
        clipped = ratio.clamp(1 - self.clip_low, 1 + self.clip_high)
        token_loss = -torch.minimum(ratio * advantages, clipped * advantages)
        if self.importance_cap is not None and experience.completions.logprobs is not None:
            token_loss = token_loss * (old - experience.completions.logprobs).exp().clamp(max=self.importance_cap)
        with torch.no_grad():
            binding = torch.where(advantages > 0, ratio > 1 + self.clip_high, ratio < 1 - self.clip_low)
            stats = {"clip_fraction": _mean((binding & (advantages != 0)).float(), mask)}
        if experience.reference_logprobs is not None:
            kl = token_kl(logprobs, experience.reference_logprobs.masked_fill(~mask, 0.0), self.kl_estimator)
            token_loss = token_loss + self.kl_coefficient * kl
            stats["kl"] = _mean(kl.detach(), mask)
        return LossOutput(self._aggregate(token_loss, experience), stats)

    def _ratio(self, difference: Tensor, mask: Tensor) -> Tensor:
        """Policy over old policy, at each token or one a completion. Shape ``(N, T)``."""
        if self.sequence_ratio:
            lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
            difference = (difference.sum(dim=1, keepdim=True) / lengths).expand_as(difference)
        return difference.exp()

    def _aggregate(self, token_loss: Tensor, experience: Experience) -> Tensor:
        mask = experience.loss_mask
        token_loss = token_loss.masked_fill(~mask, 0.0)
        match self.aggregation:
            case "sequence":
                per_sequence = token_loss.sum(dim=1) / mask.sum(dim=1).clamp(min=1)
                return per_sequence.sum() / max(experience.num_sequences, 1e-9)
            case "token":
                return token_loss.sum() / max(experience.num_tokens, 1e-9)
            case "constant":
                length = self.max_tokens or experience.max_tokens
                assert length is not None
                return token_loss.sum() / max(experience.num_sequences * length, 1e-9)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of a mask; 0 where it is empty."""
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
