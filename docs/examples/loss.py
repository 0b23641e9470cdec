"""REINFORCE without clipping (https://arxiv.org/abs/2402.14740, eq. 3)."""

from vrft_pl.algorithms import Loss, LossOutput


class Reinforce(Loss):
    """Log-probs times advantages, averaged over the tokens of the step."""

    def __call__(self, logprobs, experience):
        weighted = logprobs * experience.advantages[:, None] * experience.loss_mask
        return LossOutput(-weighted.sum() / experience.num_tokens, {"weighted": weighted.detach().sum()})
