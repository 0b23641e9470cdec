"""Where the randomness of a completion comes from: its prompt, the step and its place in the group, nothing else.

So a prompt gets the same completions whatever stands beside it, on however many processes the prompts are spread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor

from vrft_pl.types import Sample

AHEAD = 64
"""Tokens whose levels are drawn at once."""


def prompt_seeds(samples: Sequence[Sample], *key: int | str) -> tuple[int, ...]:
    """A seed a prompt, of its place in the data and what else decides; a sample that comes again gets another one.

    Not of its id, which names its file: the same rows in another folder get the same completions.

    Args:
        samples: ``P`` samples.
        key: What else decides, such as the seed of the run and the optimizer step.
    """
    seen: Counter[str] = Counter()
    seeds = []
    for sample in samples:
        place = sample.id if sample.place is None else sample.place
        digest = blake2b(repr((*key, place, seen[place])).encode(errors="surrogatepass"), digest_size=8).digest()
        seeds.append(int.from_bytes(digest, "big") >> 1)  # engines take signed numbers
        seen[place] += 1
    return tuple(seeds)


class Levels:
    """Numbers in [0, 1) that decide on each token of ``P`` groups, drawn on the host, the same on every device.

    Args:
        seeds: One a prompt.
        group_size: ``G``.
        device: Where they are needed.
    """

    def __init__(self, seeds: Sequence[int], group_size: int, device: torch.device) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.group_size, self.device = group_size, device
        self.dtype = torch.float32 if device.type == "mps" else torch.float64  # which Apple's GPUs lack

    def at(self, step: int, rows: Tensor) -> Tensor:
        """Levels of the token at this place, asked for in ascending order, of some rows. Shape ``(rows, 1)``."""
        if step % AHEAD == 0:
            size = AHEAD, self.group_size
            drawn = [torch.rand(size, generator=own, dtype=torch.float64) for own in self.generators]
            self._drawn = torch.cat(drawn, dim=1).to(self.dtype).to(self.device)
        return self._drawn[step % AHEAD, rows, None]
