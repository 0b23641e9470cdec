"""What the losses of GRPO's family share: denominators, divergence, entropy, and which tokens count."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from vrft_pl.algorithms.entropy import least_sure
from vrft_pl.algorithms.kl import KLEstimator, token_kl
from vrft_pl.algorithms.loss import Loss, LossOutput
from vrft_pl.types import Completions, Experience

Aggregation = Literal["sequence", "token", "constant"]


class TokenLoss(NamedTuple):
    """The surrogate at each token."""

    values: Tensor
    """To be minimised, with a graph. Shape ``(N, T)``; whatever it likes where the mask is False."""
    stats: dict[str, Tensor]
    """See `LossOutput`."""


class SurrogateLoss(Loss):
    """A policy-gradient loss that differs from its relatives in its `surrogate` alone.

    Denominators are those of the whole optimizer step, so that k micro-batches, on any number of ranks, have the
    gradient of one large batch.

    Args:
        aggregation: ``sequence`` averages tokens within a completion, then completions (GRPO and both papers);
            ``token`` averages all tokens of the step (DAPO, https://arxiv.org/abs/2503.14476, eq. 8); ``constant``
            divides the sum by completions times ``max_tokens`` (Dr. GRPO, https://arxiv.org/abs/2503.20783).
        kl_coefficient: Weight of the KL divergence from the reference; 0 needs no reference.
        kl_estimator: How the divergence is estimated; see `token_kl` for what its gradient is.
        kl_correction: Weigh the estimate by the ratio to the policy that sampled, gradient and all: that of the
            divergence itself then, also off policy (DeepSeek-V3.2, https://arxiv.org/abs/2512.02556, eq. 7).
        mask_truncated: Leave completions cut at the token limit out of the loss.
        count_truncated: Keep them in its denominators all the same, so that the others weigh what they would have.
        max_tokens: Length that ``constant`` divides by. Defaults to the sampler's limit.
        importance_cap: Weight each token by its probability under the policy over that under the sampler, capped here
            (truncated importance sampling). Needed when the sampler draws from another distribution, as with top-k,
            top-p or an engine of other numerics.
        entropy_coefficient: Weight of the entropy of the next-token distribution, which is raised, aggregated as the
            loss is.
        entropy_share: Share of the sampled tokens that the surrogate trains, those that the policy was least sure of
            (0.2 in https://arxiv.org/abs/2506.01939); denominators count all of them. Below 1 the policy reads what it
            sampled once more.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        aggregation: Aggregation = "sequence",
        kl_coefficient: float = 0.0,
        kl_estimator: KLEstimator = "k3",
        kl_correction: bool = False,
        mask_truncated: bool = False,
        count_truncated: bool = False,
        max_tokens: int | None = None,
        importance_cap: float | None = None,
        entropy_coefficient: float = 0.0,
        entropy_share: float = 1.0,
    ) -> None:
        check_aggregation(aggregation)
        if not 0 <= kl_coefficient < float("inf"):
            raise ValueError(f"Expected `kl_coefficient` to be 0 or more, but got {kl_coefficient}.")
        if kl_estimator not in get_args(KLEstimator):
            raise ValueError(f"Expected `kl_estimator` to be one of {get_args(KLEstimator)}, but got {kl_estimator!r}.")
        if kl_coefficient and kl_estimator == "k1" and not kl_correction:
            raise ValueError(
                "Expected `kl_estimator` to be k2 or k3, but got 'k1', whose gradient is 0 on average: it would hold "
                "the policy to nothing. Set `kl_correction: true`, or put k1 into the reward by `KLPenalty`."
            )
        if count_truncated and not mask_truncated:
            raise ValueError("Expected `count_truncated` with `mask_truncated`, without which they count anyway.")
        if max_tokens is not None and max_tokens < 1:
            raise ValueError(f"Expected `max_tokens` to be at least 1 token, but got {max_tokens}.")
        if importance_cap is not None and not importance_cap > 0:
            raise ValueError(f"Expected `importance_cap` to be above 0, but got {importance_cap}.")
        if not 0 <= entropy_coefficient < float("inf"):
            raise ValueError(f"Expected `entropy_coefficient` to be 0 or more, but got {entropy_coefficient}.")
        if not 0 < entropy_share <= 1:
            raise ValueError(f"Expected `entropy_share` to be in (0, 1], but got {entropy_share}.")
        self.aggregation, self.max_tokens, self.importance_cap = aggregation, max_tokens, importance_cap
        self.kl_coefficient, self.kl_estimator, self.kl_correction = kl_coefficient, kl_estimator, kl_correction
        self.mask_truncated, self.count_truncated = mask_truncated, count_truncated
        self.entropy_coefficient, self.entropy_share = entropy_coefficient, entropy_share

    @abstractmethod
    def surrogate(self, logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> TokenLoss:
        """What each token is worth.

        Args:
            logprobs: Under the policy that is trained; 0 where the mask is False. Shape ``(N, T)``.
            old: Under the policy that sampled, without a graph; likewise.
            advantages: Shape ``(N, 1)``.
            mask: Tokens that enter the loss and its denominators. Shape ``(N, T)``, bool.
        """

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
        """Whether the surrogate is all there is: a KL or entropy term has a gradient in every group."""
        return not self.needs_reference and not self.entropy_coefficient

    @property
    def weighs_tokens(self) -> bool:  # type: ignore[override]
        """Whether tokens are chosen by their entropy."""
        return self.entropy_share < 1

    def token_weights(self, entropy: Tensor, mask: Tensor) -> Tensor | None:
        """True at the tokens that the policy was least sure of; see `Loss`."""
        return least_sure(entropy, mask, self.entropy_share) if self.weighs_tokens else None

    def token_mask(self, completions: Completions) -> Tensor:
        """All tokens of a completion, or none of one that was cut where it is not even counted."""
        if not self.mask_truncated or self.count_truncated:
            return completions.mask
        return completions.mask & ~completions.truncated[:, None]

    def __call__(self, logprobs: Tensor, experience: Experience) -> LossOutput:
        """Compute the loss of one micro-batch; see `Loss`."""
        mask = experience.loss_mask
        # before any arithmetic: the gradient of an infinity in the padding is NaN even where the mask makes it 0
        logprobs = logprobs.masked_fill(~mask, 0.0)
        old = logprobs.detach() if experience.old_logprobs is None else experience.old_logprobs.masked_fill(~mask, 0.0)
        values, stats = self.surrogate(logprobs, old, experience.advantages[:, None], mask)
        if self.importance_cap is not None and experience.completions.logprobs is not None:
            values = values * (old - experience.completions.logprobs).exp().clamp(max=self.importance_cap)
        if experience.token_weights is not None:
            values = values * experience.token_weights
        if experience.reference_logprobs is not None:
            kl = token_kl(logprobs, experience.reference_logprobs.masked_fill(~mask, 0.0), self.kl_estimator)
            if self.kl_correction:
                kl = kl * (logprobs - old).exp()
            values = values + self.kl_coefficient * kl if self.kl_coefficient else values
            stats["kl"] = mean_over(kl.detach(), mask)
        if self.entropy_coefficient:
            assert experience.entropy is not None
            values = values - self.entropy_coefficient * experience.entropy.masked_fill(~mask, 0.0)
        if self.mask_truncated:
            values = values.masked_fill(experience.completions.truncated[:, None], 0.0)
        return LossOutput(aggregated(values, experience, self.aggregation, self.max_tokens), stats)


def aggregated(values: Tensor, experience: Experience, aggregation: Aggregation, max_tokens: int | None) -> Tensor:
    """The loss of a micro-batch from what is to be minimised at each token.

    Args:
        values: Shape ``(N, T)``; whatever it likes where the experience's ``loss_mask`` is False.
        experience: With the denominators of its optimizer step.
        aggregation: See `SurrogateLoss`.
        max_tokens: Likewise.
    """
    mask = experience.loss_mask
    values = values.masked_fill(~mask, 0.0)
    match aggregation:
        case "sequence":
            per_sequence = values.sum(dim=1) / mask.sum(dim=1).clamp(min=1)
            return per_sequence.sum() / max(experience.num_sequences, 1e-9)
        case "token":
            return values.sum() / max(experience.num_tokens, 1e-9)
        case "constant":
            length = max_tokens or experience.max_tokens
            assert length is not None
            return values.sum() / max(experience.num_sequences * length, 1e-9)


def check_aggregation(aggregation: str) -> None:
    """Raise `ValueError` for an aggregation that there is not."""
    if aggregation not in get_args(Aggregation):
        raise ValueError(f"Expected `aggregation` to be one of {get_args(Aggregation)}, but got {aggregation!r}.")


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of a mask; 0 where it is empty."""
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
