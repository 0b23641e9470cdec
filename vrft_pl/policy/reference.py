"""The frozen policy that the KL divergence is measured from."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from lightning.pytorch.strategies import Strategy

from vrft_pl.policy.vlm import VLM

ReferenceKind = Literal["auto", "copy", "adapter_off"]


class Reference:
    """Gives the policy as it was before training.

    A second model is no submodule: it stays out of checkpoints, optimizers and gradient synchronisation.

    Args:
        policy: The policy.
        kind: ``copy`` keeps a second model; ``adapter_off`` is the policy itself with its LoRA adapter switched off;
            ``auto`` takes the second where there is an adapter.

    Raises:
        ValueError: If ``adapter_off`` is asked for and the policy has no adapter.
    """

    def __init__(self, policy: VLM, kind: ReferenceKind = "auto") -> None:
        if kind == "adapter_off" and not policy.has_adapter:
            raise ValueError("Expected a policy with `lora` for `reference: adapter_off`. Use `reference: copy`.")
        self.policy = policy
        self.holds_weights = not policy.has_adapter if kind == "auto" else kind == "copy"
        """Whether it is a second model, and no switch of the policy."""
        self._second: VLM | None = None

    def load(self) -> None:
        """Make the second model, if there is one, of the policy as it is: loaded, but not yet trained or sharded."""
        if self.holds_weights and self._second is None:
            self._second = copy.deepcopy(self.policy).requires_grad_(False)

    def spread(self, strategy: Strategy) -> None:
        """Spread the second model over ranks as a strategy spreads the policy."""
        if self._second is not None:
            self._second.spread(strategy)

    @contextmanager
    def model(self) -> Iterator[VLM]:
        """The reference, in eval mode and without gradients, where the policy is."""
        if not self.holds_weights:
            with self.policy.evaluating(), self.policy.adapter_disabled():
                yield self.policy
            return
        self.load()
        assert self._second is not None
        self._follow(self._second)
        with self._second.evaluating() as frozen:
            yield frozen

    def _follow(self, second: VLM) -> None:
        """Move and cast the second model as the policy, for it is no submodule of what precision plugins cast."""
        pairs = [(own, trained) for own, trained in zip(second.parameters(), self.policy.parameters(), strict=True)]
        if second.is_spread:  # and placed; of a part that a rank holds only its module may change the type
            if pairs[0][0].dtype != pairs[0][1].dtype:
                second.to(pairs[0][1].dtype)
            return
        second.to(self.policy.device)
        for own, trained in pairs:
            own.data = own.data.to(trained.dtype)
