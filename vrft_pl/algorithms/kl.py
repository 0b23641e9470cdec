"""Estimators of the KL divergence from a reference, after Schulman (http://joschu.net/blog/kl-approx.html)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

KLEstimator = Literal["k1", "k2", "k3"]


def token_kl(logprobs: Tensor, reference_logprobs: Tensor, estimator: KLEstimator = "k3") -> Tensor:
    """Estimate KL(policy || reference) at tokens that the policy sampled.

    With ``d = reference_logprobs - logprobs``: k1 is ``-d`` (unbiased, may be negative), k2 is ``d^2 / 2`` (biased, not
    negative), k3 is ``exp(d) - d - 1`` (unbiased and not negative; GRPO's, https://arxiv.org/abs/2402.03300, eq. 4).

    What is descended is another matter, for tokens are drawn from what is trained. On policy the gradient of k2 is that
    of the divergence, that of k3 is that of the other direction, KL(reference || policy), and that of k1 is 0 on
    average. Weighed by the ratio to the policy that sampled, k1 and k3 have that of the divergence, also off policy
    (https://arxiv.org/abs/2512.02556, eq. 7).

    Args:
        logprobs: Under the policy. Any shape.
        reference_logprobs: Under the reference. Same shape.
        estimator: Which estimator.

    Returns:
        The estimate at each token, of the same shape; exactly 0 where both agree.

    Raises:
        ValueError: If the estimator is unknown.
    """
    difference = reference_logprobs - logprobs
    match estimator:
        case "k1":
            return -difference
        case "k2":
            return difference.square() / 2
        case "k3":
            return difference.expm1() - difference
        case _:
            raise ValueError(f"Expected `kl_estimator` to be k1, k2 or k3, but got {estimator!r}.")
