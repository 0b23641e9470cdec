"""Sampling with the policy's own weights: prompts prefilled once, their groups decoded together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor

from vrft_pl.distributed import can_be_whole, is_whole
from vrft_pl.policy import VLM
from vrft_pl.rollout.captured import CapturedPrompt
from vrft_pl.rollout.decoding import Decoder, RepeatedPrompt, SharedPrompt, prefill
from vrft_pl.rollout.packed import packed_linears
from vrft_pl.rollout.sampler import Sampler, SamplingParams
from vrft_pl.rollout.seeds import Levels
from vrft_pl.rollout.trials import trusts
from vrft_pl.types import Completions, FinishReason, InputError, Prompts

LOOK_EVERY = {"cpu": 1, "cuda": 8}
"""Tokens between two looks at how many rows have finished, for which a GPU has to be waited for."""


class LocalSampler(Sampler):
    """Decodes with the policy's own weights, on one cache a prompt where prompts may be shared.

    Finished rows leave the batch. Where memory does not hold those that are decoded at once, half as many are from then
    on: the completions of a prompt depend on its seed, and not on what stands beside it.

    Args:
        max_rows: Most completions decoded at once, but at least one group; bounds the memory of the cache.
        capture: Capture the steps of decoding in CUDA graphs, on a GPU and where prompts are shared.

    Raises:
        ValueError: If ``max_rows`` is not positive.
    """

    def __init__(self, max_rows: int = 1024, capture: bool = True) -> None:
        if max_rows < 1:
            raise ValueError(f"Expected `max_rows` to be at least 1 completion, but got {max_rows}.")
        self.max_rows, self.capture = max_rows, capture
        self._halved = False

    def generate(
        self, policy: VLM, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int]
    ) -> Completions:
        """Write ``group_size`` completions to each prompt; see `Sampler.generate`."""
        refuse_sharded(policy)
        # prompts of about the same length together, so that there is little padding
        order = sorted(range(len(prompts)), key=lambda i: prompts.items[i].num_tokens)
        with policy.evaluating():
            parts = []
            left = order
            while left:
                step = max(1, self.max_rows // group_size) if policy.may("batching") else 1
                part, own = left[:step], [seeds[j] for j in left[:step]]
                try:
                    parts.append(self._decode(policy, prompts.select(part), group_size, params, own))
                    left = left[step:]
                    continue
                except torch.OutOfMemoryError:
                    if len(part) == 1:
                        raise
                self._halve(len(part) * group_size)  # only here: what the error refers to is let go of by now
        width = max(ids.shape[1] for ids, *_ in parts)
        back = torch.tensor(order, device=parts[0][0].device).argsort()
        ids, logprobs, lengths, stopped = (
            torch.cat([pad(part[i], policy.pad_token_id, width) for part in parts])
            .unflatten(0, (len(prompts), group_size))[back]
            .flatten(0, 1)
            for i in range(4)
        )
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        reasons: tuple[FinishReason, ...] = tuple("stop" if done else "length" for done in stopped.tolist())
        frames = tuple(prompt.frame for prompt in prompts.repeat_interleave(group_size))
        return Completions(
            ids=ids,
            mask=mask,
            logprobs=None if params.temperature == 0 else logprobs.masked_fill(~mask, 0.0),
            texts=policy.decode(ids, mask),
            finish_reasons=reasons,
            frames=frames,
        )

    def _halve(self, num_rows: int) -> None:
        """Decode half as many rows at once as did not fit."""
        self.max_rows = num_rows // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._halved:
            self._halved = True
            warnings.warn(
                f"Out of memory in a rollout: at most {self.max_rows} completions are decoded at once from now on, or "
                "fewer. Set `max_rows` of the sampler.",
                stacklevel=2,
            )

    def supports(self, strategy: Strategy | str) -> bool:
        """Also strategies that shard weights, where they can be made whole to sample."""
        return can_be_whole(strategy)

    def settle(self, policy: VLM) -> None:
        """Decide how to decode; see `Sampler.settle`."""
        refuse_sharded(policy)
        self._kind(policy)

    def _kind(self, policy: VLM) -> type[RepeatedPrompt | SharedPrompt]:
        """The fastest way to decode that gives the policy's own log-probs."""
        if policy.understands_layouts and policy.may("sharing"):
            shared = CapturedPrompt if self.capture and policy.device.type == "cuda" else SharedPrompt
            if trusts(policy, shared, plainer=True):
                return shared
        trusts(policy, RepeatedPrompt, plainer=False)
        return RepeatedPrompt

    def _decode(
        self, policy: VLM, prompts: Prompts, group_size: int, params: SamplingParams, seeds: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns tokens and their log-probs ``(N, T)``, lengths ``(N,)`` and whether an end token came ``(N,)``."""
        kind = self._kind(policy)
        start = prefill(policy, prompts)
        decoder = kind(policy, start, group_size)
        logits = start.logits.repeat_interleave(group_size, dim=0)
        with packed_linears(policy.hf_model, len(logits)):
            return self._continue(policy, decoder, logits, params, Levels(seeds, group_size, logits.device))

    @staticmethod
    def _continue(
        policy: VLM, decoder: Decoder, logits: Tensor, params: SamplingParams, levels: Levels
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw token after token; see `_decode`."""
        num_rows, device = len(logits), logits.device
        ends = torch.tensor(policy.end_token_ids, device=device, dtype=torch.long)
        ids = torch.full((num_rows, params.max_tokens), policy.pad_token_id, device=device)
        logprobs = torch.zeros((num_rows, params.max_tokens), device=device, dtype=torch.float32)
        lengths = torch.full((num_rows,), params.max_tokens, device=device)
        rows = torch.arange(num_rows, device=device)
        done = torch.zeros(num_rows, dtype=torch.bool, device=device)
        for t in range(params.max_tokens):
            level = levels.at(t, rows) if params.temperature else None
            tokens, chosen = draw(policy.scale(logits, params.temperature or 1.0), params, level)
            ids[rows, t], logprobs[rows, t] = tokens, chosen
            ended = torch.isin(tokens, ends) & ~done
            lengths[rows] = torch.where(ended, t + 1, lengths[rows])
            done = done | ended
            if t + 1 == params.max_tokens:
                break
            if (t + 1) % LOOK_EVERY.get(device.type, 1) == 0:
                num_done = int(done.sum())
                if num_done == len(done):
                    break
                if num_done > len(done) * decoder.leave_at:
                    alive = (~done).nonzero().squeeze(1)
                    decoder.keep(alive)
                    rows, tokens, done = rows[alive], tokens[alive], done[alive]
            logits = decoder.step(tokens)
        if not bool(logprobs.isfinite().all()):
            raise InputError(
                "Expected finite log-probs of what is sampled, but some are not. The weights have diverged: lower the "
                "learning rate, or start from an earlier checkpoint."
            )
        width = int(lengths.max())
        # rows that wait to leave go on writing
        ids.masked_fill_(torch.arange(ids.shape[1], device=device) >= lengths[:, None], policy.pad_token_id)
        stopped = torch.isin(ids.gather(1, lengths[:, None] - 1).squeeze(1), ends)
        return ids[:, :width], logprobs[:, :width], lengths, stopped


def refuse_sharded(policy: VLM) -> None:
    """Raise `InputError` when weights are not whole: ranks that stop decoding at different steps would hang."""
    if not is_whole(policy.parameters()):
        raise InputError(
            "LocalSampler needs whole weights on each device, but ranks hold them together. Ask it within "
            "`vrft_pl.distributed.whole(policy)`."
        )


def draw(logits: Tensor, params: SamplingParams, level: Tensor | None) -> tuple[Tensor, Tensor]:
    """Draw one token a row.

    Args:
        logits: Already divided by the temperature. Shape ``(N, V)``.
        params: Top-k and top-p renormalise.
        level: How far along the cumulated probabilities the token of each row lies, in [0, 1), of shape ``(N, 1)``;
            ``None`` takes the likeliest token.

    Returns:
        Tokens and their log-probabilities under the distribution they were drawn from, each of shape ``(N,)``.
    """
    if params.truncates:
        logits = truncate(logits, params.top_k, params.top_p)
    probabilities = logits.softmax(dim=-1)
    if level is None:
        tokens = probabilities.argmax(dim=-1, keepdim=True)
    else:
        # an exponential for each token, as `torch.multinomial` draws it, takes several times as long on a CPU
        cumulated = probabilities.cumsum(dim=-1, dtype=level.dtype)
        tokens = torch.searchsorted(cumulated, level * cumulated[:, -1:], right=True)
        tokens.clamp_(max=logits.shape[-1] - 1)  # where probabilities are not finite, which is told at the end
    return tokens.squeeze(1), probabilities.gather(1, tokens).squeeze(1).log()


def truncate(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Rule out all but the likeliest tokens. The likeliest token always stays. Shape ``(N, V)``."""
    if 0 < top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k, dim=-1).values[:, -1:], float("-inf"))
    if top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        out = probabilities.cumsum(dim=-1) - probabilities >= top_p
        logits = logits.masked_fill(out.scatter(-1, order, out), float("-inf"))
    return logits


def pad(value: Tensor, pad_token_id: int, width: int) -> Tensor:
    """Pad a part's ``(N, T)`` tensor on the right to the longest part; leave a ``(N,)`` tensor as it is."""
    return value if value.ndim == 1 else torch.nn.functional.pad(value, (0, width - value.shape[1]), value=pad_token_id)
