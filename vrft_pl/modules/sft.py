"""Supervised fine-tuning: the stage before GRPO, and what GRPO is compared with."""

from __future__ import annotations

from torch import Tensor

from vrft_pl.modules.base import PolicyModule
from vrft_pl.types import Sample


class SFTModule(PolicyModule):
    """Imitates the ground truth, written in the style the sample asks for (ANS-SFT or CoT-SFT of Reason-RFT).

    Arguments are those of `PolicyModule`.
    """

    def training_step(self, samples: list[Sample], batch_idx: int) -> Tensor:
        """Mean negative log-likelihood of the target tokens, the end of the turn included."""
        prompts = self.policy.encode(samples)
        targets = self.policy.encode_targets(samples, prompts)
        logprobs, entropy = self.policy.logprobs(prompts, targets)
        tokens = targets.mask.sum()
        loss = -logprobs.sum() / tokens
        self.log("train/loss", loss, prog_bar=True, batch_size=len(samples))
        self.log("train/entropy", entropy.sum() / tokens, batch_size=len(samples))
        self.log("train/completion_tokens", tokens / len(samples), batch_size=len(samples))
        return loss
