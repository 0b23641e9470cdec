"""The frozen policy that the KL divergence is measured from."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from vrft_pl.policy.vlm import VLM

ReferenceKind = Literal["auto", "copy", "adapter_off"]


class Reference:
    """Gives the policy as it was before training.

    The copy is no submodule: it stays out of checkpoints, optimizers and gradient synchronisation.

    Args:
        policy: The policy, not yet trained.
        kind: ``copy`` keeps a second model; ``adapter_off`` is the policy itself with its LoRA adapter switched off;
            ``auto`` takes the second where there is an adapter.

    Raises:
        ValueError: If ``adapter_off`` is asked for and the policy has no adapter.
    """

    def __init__(self, policy: VLM, kind: ReferenceKind = "auto") -> None:
        if kind == "adapter_off" and not policy.has_adapter:
            raise ValueError("Expected a policy with `lora` for `reference: adapter_off`. Use `reference: copy`.")
        switch = policy.has_adapter if kind == "auto" else kind == "adapter_off"
        self._copy = None if switch else copy.deepcopy(policy).requires_grad_(False)

    @property
    def holds_weights(self) -> bool:
        """Whether it is a second model, and no switch of the policy."""
        return self._copy is not None

    @contextmanager
    def model(self, policy: VLM) -> Iterator[VLM]:
        """The reference, in eval mode and without gradients, where the policy is."""
        if self._copy is None:
            with policy.evaluating(), policy.adapter_disabled():
                yield policy
        else:
            self._copy.to(policy.device)
            for own, trained in zip(self._copy.parameters(), policy.parameters(), strict=True):
                own.data = own.data.to(trained.dtype)  # precision plugins cast the policy, and the copy is no submodule
            with self._copy.evaluating() as frozen:
                yield frozen
