"""Supervised fine-tuning: the stage before GRPO, and what GRPO is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vrft_pl.data import SampleData
from vrft_pl.data.resumable import ResumableLoader
from vrft_pl.data.samples import Samples
from vrft_pl.modules.base import PolicyModule
from vrft_pl.policy import VLM
from vrft_pl.policy.encoding import check_target
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.verdicts import Way
from vrft_pl.types import Demonstrations, Opaque, Sample


class DemonstrationLoader(ResumableLoader):
    """Encodes the micro-batches of one optimizer step together, so that each knows the tokens of the whole step.

    Args:
        samples: Yields micro-batches of Samples.
        encode: Encodes questions and targets.
        step_batches: Micro-batches of one optimizer step (``accumulate_grad_batches``).
        mean_over_ranks: Averages a tensor over the ranks of a distributed run.
    """

    def __init__(
        self,
        samples: DataLoader,
        encode: Callable[[list[Sample]], Demonstrations],
        step_batches: int = 1,
        mean_over_ranks: Callable[[Tensor], Tensor] = lambda value: value,
    ) -> None:
        super().__init__(samples)
        self.encode, self.step_batches, self.mean_over_ranks = encode, step_batches, mean_over_ranks

    def __iter__(self) -> Iterator[Opaque[Demonstrations]]:
        """Start an epoch, or go on where a loaded state stopped."""
        self._start()
        self._loaded = None
        offset = self.position % self.step_batches
        batches = islice(self.samples, self.position - offset, self.end)
        start = time.perf_counter()
        while step := [self.encode(batch) for batch in islice(batches, self.step_batches)]:
            seconds = {"encode": time.perf_counter() - start}
            counting = [self.counts(self.position - offset + i) for i in range(len(step))]
            counted = sum(int(step[i].targets.mask.sum()) for i in range(len(step)) if counting[i])
            num_tokens = self.mean_over_ranks(torch.tensor(counted / self.step_batches)).item()
            for batch, counts in list(zip(step, counting, strict=True))[offset:]:
                self.position += 1
                share = num_tokens if counts else float("inf")  # of which its tokens are a part of 0
                yield Opaque(replace(batch, num_tokens=share, seconds=seconds))
            offset, start = 0, time.perf_counter()


class SFTModule(PolicyModule):
    """Imitates the ground truth, written in the style the sample asks for (ANS-SFT or CoT-SFT of Reason-RFT).

    Args:
        policy: The vision-language model that is trained.
        pack_tokens: Put the samples of a micro-batch side by side into rows of at most so many tokens, pictures
            included, none of which sees another: the same loss with less padding. A longer sample gets a row of its
            own. A model that a comparison shows to differ when packed is trained unpacked, with a warning. Defaults to
            one sample a row.
        ban_media_tokens: Leave tokens that stand for pictures, sound and film out of the softmax of the loss, as they
            are out of what is sampled. By default the loss is that of transformers, which leaves out none.
        **kwargs: Those of `PolicyModule`.

    Raises:
        ValueError: If ``pack_tokens`` is not positive.
    """

    imitates = True

    def __init__(
        self, policy: VLM, pack_tokens: int | None = None, ban_media_tokens: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(policy, **kwargs)
        if pack_tokens is not None and pack_tokens < 1:
            raise ValueError(f"Expected `pack_tokens` to be at least 1 token, but got {pack_tokens}.")
        self.pack_tokens, self.ban_media_tokens = pack_tokens, ban_media_tokens

    def on_fit_start(self) -> None:
        """Check before any step that the target of every training row can be written.

        Rows that are made on the spot, or read from a stream, are checked when their turn comes.

        Raises:
            InputError: If one can't, naming the first such row; whatever ``on_bad_row`` says, for a row that supervised
                training alone left out would make it train on other data than reinforcement.
        """
        task = getattr(self.trainer, "datamodule", None)
        for part in task.datasets("train").values() if isinstance(task, SampleData) else ():
            if isinstance(part, Samples) and part.rows is not None:
                for i in range(len(part)):
                    check_target(self.policy.codec.processor, part.read(i))
        super().on_fit_start()

    @property
    def ways(self) -> tuple[Way, ...]:
        """Packing too, where it is asked for."""
        return (*super().ways, *(("packing",) if self.pack_tokens is not None else ()))

    def wrap_train_loader(self, loader: DataLoader) -> DemonstrationLoader:
        """Turn the loader of Samples into a loader of Demonstrations."""
        steps = self.trainer.accumulate_grad_batches
        return self.resumed(DemonstrationLoader(loader, self.demonstrate, steps, mean_over_ranks=self.mean_over_ranks))

    def demonstrate(self, samples: list[Sample]) -> Demonstrations:
        """Encode questions and the targets that belong to them."""
        prompts = self.policy.encode(samples)
        return Demonstrations(tuple(samples), prompts, self.policy.encode_targets(samples, prompts))

    def logprobs(self, batch: Demonstrations) -> TokenLogprobs:
        """Log-probability of each target token, samples packed where that is asked for and the policy can."""
        with nullcontext() if self.ban_media_tokens else self.policy.whole_vocabulary():
            return self._logprobs(batch)

    def _logprobs(self, batch: Demonstrations) -> TokenLogprobs:
        if self.pack_tokens is None or not self.policy.may("packing"):
            return self.policy.logprobs(batch.prompts, batch.targets)
        return self.policy.packed_logprobs(batch.prompts, batch.targets, self.pack_tokens)

    def training_step(self, batch: Demonstrations, batch_idx: int) -> Tensor:
        """Negative log-likelihood of the target tokens, the end of the turn included.

        It is divided by the tokens of the whole optimizer step, so that its mean over micro-batches and ranks is the
        mean over all of them.
        """
        loss, stats = self.computed(self.likelihood, batch)
        tokens = batch.targets.mask.sum()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        self.log_dict({f"train/{name}": value for name, value in stats.items()}, batch_size=len(batch))
        self.log("train/completion_tokens", tokens / len(batch), batch_size=len(batch))
        self.log_dict({f"time/{name}": seconds for name, seconds in batch.seconds.items()}, batch_size=len(batch))
        return self.undivided(loss)

    def likelihood(self, batch: Demonstrations) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a micro-batch and what is logged beside it, means over tokens without a graph."""
        logprobs, entropy = self.logprobs(batch)
        return -logprobs.sum() / batch.num_tokens, {"entropy": entropy.detach().sum() / batch.targets.mask.sum()}
