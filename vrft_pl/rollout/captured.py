"""Decoding on a GPU: a step as one CUDA graph, so that no Python and no launch of a kernel stands between tokens."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from vrft_pl.policy import VLM
from vrft_pl.rollout.decoding import Prefill, SharedPrompt


class CapturedPrompt(SharedPrompt):
    """`SharedPrompt` in a static form: tensors keep shape and place until rows leave or room runs out.

    The step is then captured anew. Off a GPU the same static step runs without a graph.

    Args:
        policy: The policy.
        start: The prompts.
        group_size: ``G``.
    """

    leave_at = 1 / 2
    refused = False
    """Whether a capture has failed in this process; none is tried again."""

    def __init__(self, policy: VLM, start: Prefill, group_size: int) -> None:
        super().__init__(policy, start, group_size)
        self.at = torch.zeros(1, dtype=torch.long, device=start.mask.device)
        self._forget()

    def keep(self, rows: Tensor) -> None:
        """Drop rows; see `Decoder`."""
        super().keep(rows)
        self._forget()

    def _grow(self) -> None:
        super()._grow()
        self._forget()

    def _forget(self) -> None:
        """Let go of a graph whose tensors have been replaced."""
        self.graph: torch.cuda.CUDAGraph | None = None
        self.tokens = torch.zeros_like(self.owner)
        self.room = torch.arange(self.own[0][0].shape[3], device=self.owner.device)

    def _run(self, tokens: Tensor) -> Tensor:
        self.tokens.copy_(tokens)
        self.at.fill_(self.length)
        if tokens.device.type != "cuda" or CapturedPrompt.refused:
            return super()._run(self.tokens)
        try:
            if self.graph is None:
                self._capture()
        except RuntimeError as error:
            CapturedPrompt.refused = True
            reason = str(error).splitlines()[0]
            warnings.warn(
                f"Decoding can't be captured in a CUDA graph: {reason} Steps run kernel by kernel instead, which is "
                "slower. `capture: false` of LocalSampler does so without warning.",
                stacklevel=2,
            )
            return super()._run(self.tokens)
        assert self.graph is not None
        self.graph.replay()
        return self.logits

    def _capture(self) -> None:
        """Record a step. It may run several times: each run writes the same token to the same place."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(2):
                super()._run(self.tokens)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may wait for the device
            self.logits = super()._run(self.tokens)
        self.graph = graph

    def _append(self, cache: Tensor, token: Tensor) -> Tensor:
        return cache.index_copy_(3, self.at, token.unsqueeze(3))

    def _hide_room(self, scores: Tensor) -> Tensor:
        return scores.masked_fill(self.room > self.at, float("-inf"))
