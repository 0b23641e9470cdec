"""Whether a server has the trainer's weights: it continues questions as the trainer does."""

from __future__ import annotations

import torch

from vrft_pl.policy import VLM
from vrft_pl.policy.probes import OTHERS, PICTURED
from vrft_pl.rollout.local import LocalSampler
from vrft_pl.rollout.sampler import SamplingParams
from vrft_pl.types import Completions, Prompts

GREEDY = SamplingParams(max_tokens=8, temperature=0.0)
"""How a probe is continued."""
ROUNDING = {torch.float32: 2e-3, torch.float16: 0.1, torch.bfloat16: 0.3}
"""How far log-probs of the same weights may be apart between two engines, by the type of the weights."""


def probe_prompts(policy: VLM) -> Prompts:
    """Questions with one picture, and with several or none where the model takes that."""
    asked = [sample for sample in (*PICTURED, *OTHERS) if min(len(sample.images), 2) not in policy.untaken]
    return policy.encode(asked)


def differs(policy: VLM, prompts: Prompts, theirs: Completions) -> str | None:
    """Say how a server continues prompts otherwise than the trainer, if by more than rounding explains.

    Every rank of a distributed run calls it with the same answers.

    Args:
        policy: The trainer's.
        prompts: ``P`` prompts.
        theirs: What the server writes, one a prompt and `GREEDY`, with its log-probs.
    """
    ours = LocalSampler(capture=False).generate(policy, prompts, 1, GREEDY, (0,) * len(prompts))
    assert theirs.logprobs is not None
    with policy.evaluating():
        scored = policy.logprobs(prompts, theirs).logprobs
        best = policy.logprobs(prompts, ours).logprobs
    allowed = ROUNDING.get(policy.hf_model.dtype, ROUNDING[torch.bfloat16])
    gap = float(((scored - theirs.logprobs) * theirs.mask).abs().max())
    if not gap <= allowed:
        return f"log-probs of the same tokens differ by {gap:.2g}, of which rounding explains {allowed:.2g}"
    for row in range(len(prompts)):
        a, b = theirs.ids[row][theirs.mask[row]].tolist(), ours.ids[row][ours.mask[row]].tolist()
        fork = next((t for t, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), None)
        # two tokens that are as likely as each other may be taken for one another
        if fork is not None and float(best[row, fork] - scored[row, fork]) > allowed:
            return f"it continues {policy.decode(ours.ids[row : row + 1], ours.mask[row : row + 1])[0]!r} otherwise"
    return None
