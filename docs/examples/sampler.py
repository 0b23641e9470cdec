"""An engine whose completions a person could have typed."""

import torch

from vrft_pl.rollout import Sampler
from vrft_pl.types import Completions


class Typist(Sampler):
    """Writes the numbers 1 to G to every prompt."""

    exact = False

    def generate(self, policy, prompts, group_size, params, seeds):
        texts = [str(i + 1) for _ in prompts for i in range(group_size)]
        rows = [policy.codec.tokenizer(text)["input_ids"] + [policy.end_token_ids[0]] for text in texts]
        width = max(map(len, rows))
        ids = torch.tensor([row + [policy.pad_token_id] * (width - len(row)) for row in rows])
        mask = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
        frames = tuple(prompt.frame for prompt in prompts.repeat_interleave(group_size))
        return Completions(ids, mask, None, tuple(texts), ("stop",) * len(rows), frames)
