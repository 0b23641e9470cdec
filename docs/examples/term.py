"""A second reading of what was sampled: the policy is held to what it thinks at another temperature."""

from vrft_pl.algorithms import LossOutput
from vrft_pl.modules import Term


class Steady(Term):
    """Squared difference of log-probs at the temperature of sampling and at another one, averaged over tokens."""

    def __init__(self, weight: float = 0.01, other: float = 0.5) -> None:
        self.weight, self.other = weight, other

    def __call__(self, policy, experience, own, temperature):
        cooler = policy.logprobs(experience.prompts, experience.completions, self.other * temperature)
        squares = (own.logprobs - cooler.logprobs) ** 2 * experience.loss_mask
        mean = squares.sum() / experience.num_tokens
        return LossOutput(self.weight * mean, {"unsteady": mean.detach()})
