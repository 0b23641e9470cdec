"""Which tokens the policy was least sure of."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from vrft_pl.distributed import gather


def least_sure(entropy: Tensor, mask: Tensor, share: float) -> Tensor:
    """Choose the tokens of the highest entropy among those of all ranks (https://arxiv.org/abs/2506.01939).

    The paper takes the share of each batch that is trained on; here it is that of all that was sampled together, so
    that micro-batches and ranks have one threshold. Tokens that tie with the last one are chosen as well.

    Args:
        entropy: At each token, in nats. Shape ``(N, T)``.
        mask: Tokens to choose from. Shape ``(N, T)``, bool.
        share: Of the tokens that are chosen, in (0, 1].

    Returns:
        Shape ``(N, T)``, bool.
    """
    everywhere = torch.cat(gather(entropy[mask].cpu()))
    if not len(everywhere):
        return mask
    number = ceil(share * len(everywhere) - 1e-6)  # 0.07 * 100 is a little more than 7
    threshold = everywhere.topk(max(1, number)).values[-1].to(entropy.device)
    return mask & (entropy >= threshold)
