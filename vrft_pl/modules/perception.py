"""The policy should think otherwise where it can't see."""

from __future__ import annotations

from vrft_pl.algorithms import LossOutput, aggregated, token_kl
from vrft_pl.algorithms.surrogate import Aggregation, check_aggregation, mean_over
from vrft_pl.data.distorted import masked
from vrft_pl.modules.terms import Term
from vrft_pl.policy import VLM
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.types import Experience

MOST_PIXELS = 1 << 16
"""Side of a patch that is larger than any picture."""


class PerceptionTerm(Term):
    """Raises the divergence between the policy with the picture and with most of its patches taken out (PAPO).

    Perception-Aware Policy Optimization (https://arxiv.org/abs/2507.06448): ``-coefficient * KL + entropy * H +
    masked_entropy * H_masked`` is added to the loss, with KL estimated by k3 at the sampled tokens as there, and the
    gradient going through both passes. The entropies, its double entropy loss, hold the divergence back from being
    raised by a policy that says anything; without them long runs collapsed there. Deviations: entropies are those of
    the whole distribution; patches are drawn by the row and by what was written, so that a resumed run and one on more
    processes take out the same. A second pass of prompts and completions, forward and backward, is what it costs; the
    numbers of `CostMeter` leave it out.

    Args:
        coefficient: Weight of the divergence (0.01 in PAPO with GRPO).
        entropy: Weight of the entropy given the picture, which is lowered.
        masked_entropy: Weight of the entropy given the masked picture, likewise.
        share: Share of the patches that are taken out.
        patch: Side of a patch in pixels of the picture as it is stored.
        aggregation: How tokens are averaged, as in the loss.
        max_tokens: See `SurrogateLoss`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        coefficient: float = 0.01,
        entropy: float = 0.0,
        masked_entropy: float = 0.0,
        share: float = 0.6,
        patch: int = 14,
        aggregation: Aggregation = "sequence",
        max_tokens: int | None = None,
    ) -> None:
        for name, value in {"coefficient": coefficient, "entropy": entropy, "masked_entropy": masked_entropy}.items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"Expected `{name}` to be 0 or more, but got {value}.")
        if not 0 < share <= 1:
            raise ValueError(f"Expected `share` to be above 0 and at most 1, but got {share}.")
        if not 1 <= patch <= MOST_PIXELS:
            raise ValueError(f"Expected `patch` to be from 1 to {MOST_PIXELS} pixels, but got {patch}.")
        if max_tokens is not None and max_tokens < 1:
            raise ValueError(f"Expected `max_tokens` to be at least 1 token, but got {max_tokens}.")
        check_aggregation(aggregation)
        self.coefficient, self.entropy, self.masked_entropy = coefficient, entropy, masked_entropy
        self.share, self.patch, self.aggregation, self.max_tokens = share, patch, aggregation, max_tokens

    def __call__(self, policy: VLM, experience: Experience, own: TokenLogprobs, temperature: float) -> LossOutput:
        """Compute the term; see `Term`."""
        blurred = self.blind(policy, experience, temperature)
        mask = experience.loss_mask
        seen, unseen = (logprobs.masked_fill(~mask, 0.0) for logprobs in (own.logprobs, blurred.logprobs))
        divergence = token_kl(seen, unseen)
        entropies = self.entropy * own.entropy + self.masked_entropy * blurred.entropy
        values = entropies.masked_fill(~mask, 0.0) - self.coefficient * divergence
        stats = {"perception": divergence, "masked_entropy": blurred.entropy}
        return LossOutput(
            aggregated(values, experience, self.aggregation, self.max_tokens),
            {name: mean_over(value.detach(), mask) for name, value in stats.items()},
        )

    def blind(self, policy: VLM, experience: Experience, temperature: float) -> TokenLogprobs:
        """What the policy thinks of the completions where most of the picture is missing. Each of shape ``(N, T)``."""
        size, texts = experience.group_size, experience.completions.texts
        written = [texts[i * size : (i + 1) * size] for i in range(len(experience))]
        hidden = [
            masked(sample, self.share, self.patch, "mask", *own)
            for sample, own in zip(experience.samples, written, strict=True)
        ]
        return policy.logprobs(policy.encode(hidden), experience.completions, temperature)
