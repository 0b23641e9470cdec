"""The frozen policy that the KL divergence is measured from."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from lightning.pytorch.strategies import Strategy
from torch import Tensor

from vrft_pl.policy.vlm import VLM
from vrft_pl.types import InputError

ReferenceKind = Literal["auto", "copy", "adapter_off"]


class Reference:
    """Gives the policy as it was before training, or as it was not long ago where it `begin`s to move.

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
        self.weights: dict[str, Tensor] | None = None
        """What is trained of it, by name and in float32, once it moves; ``None`` for a reference that stays."""
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
            switch = self.policy.adapter_disabled() if self.weights is None else self._exchanged(self.weights)
            with self.policy.evaluating(), switch:
                yield self.policy
            return
        self.load()
        assert self._second is not None
        self._follow(self._second)
        with self._second.evaluating() as frozen:
            yield frozen

    def begin(self) -> None:
        """Make it one that moves: it stays a second model, or becomes the policy with the adapter of this moment."""
        if self.weights is None:
            model = self._second if self._second is not None else self.policy
            names = self._trained()
            self.weights = {n: p.detach().float().clone() for n, p in model.named_parameters() if n in names}

    def move(self, share: float) -> None:
        """Move towards the policy.

        Args:
            share: Of the policy in the new weights; 1 replaces them.
        """
        assert self.weights is not None, "it was not begun"
        for name, trained in self._trained().items():
            own = self.weights[name].to(trained.device)
            self.weights[name] = own.lerp(trained.detach().float(), share)
        self._write()

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights that were saved.

        Raises:
            InputError: If they are those of another model.
        """
        shapes = {name: p.shape for name, p in self._trained().items()}
        if {name: weight.shape for name, weight in weights.items()} != shapes:
            raise InputError("Expected the weights of a reference of this model, but the checkpoint has others.")
        self.weights = {name: weight.to(self.policy.device) for name, weight in weights.items()}
        self._write()

    def _trained(self) -> dict[str, Tensor]:
        return {name: p for name, p in self.policy.named_parameters() if p.requires_grad}

    def _write(self) -> None:
        """Give the second model, if there is one, the weights of this moment."""
        if self._second is None or self.weights is None:
            return
        for name, own in self._second.named_parameters():
            if name in self.weights:
                own.data.copy_(self.weights[name])

    @contextmanager
    def _exchanged(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Give the policy other weights for a while, without a copy of what it has."""
        before = {parameter: parameter.data for parameter in self._trained().values()}
        for name, parameter in self._trained().items():
            parameter.data = weights[name].to(parameter)
        try:
            yield
        finally:
            for parameter, data in before.items():
                parameter.data = data

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
