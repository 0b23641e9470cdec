"""What a checkpoint holds of those who decide the next step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch import Trainer
from torch import nn

from vrft_pl.distributed import gather_states, own_state
from vrft_pl.rollout.hooks import listening

STATE = "vrft_pl"
"""Key of a checkpoint under which the state of all deciders is, of each rank its own.

Who decides the next step: the training loader (order, position, random numbers, the window in work), the sampler, the
policy's verdicts, loss, advantage, what is logged of the window, and rollout callbacks, which may change what is
trained on. Weights, optimizer, loops and the callbacks that only watch are where Lightning puts them, as of the first
rank.
"""


@runtime_checkable
class Stateful(Protocol):
    """Something that remembers what a resumed run needs."""

    def state_dict(self) -> dict[str, Any]:
        """What it remembers; tensors and plain values only."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        """Remember it."""


def stateful(deciders: Mapping[str, Any]) -> dict[str, Stateful]:
    """Those that remember something, and are not saved with the weights of the module."""
    return {k: v for k, v in deciders.items() if isinstance(v, Stateful) and not isinstance(v, nn.Module)}


def keep_state(checkpoint: dict[str, Any], trainer: Trainer, deciders: Mapping[str, Stateful]) -> None:
    """Put the state of all deciders under one key of a checkpoint. Every rank calls it.

    Lightning would drop that of a loader whose epoch has ended, and keep that of callbacks of the first rank alone.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop", {}).get("state_dict", {})
    loaders, theirs = loop.pop("combined_loader", []), checkpoint.get("callbacks", {})
    states = {name: part.state_dict() for name, part in deciders.items()}
    told = {c.state_key: theirs.pop(c.state_key) for c in listening(trainer) if c.state_key in theirs}
    checkpoint[STATE] = {
        "loader": loaders[0] if loaders else None,
        "deciders": gather_states({**states, "callbacks": told}),
    }


def restore_state(checkpoint: dict[str, Any], trainer: Trainer, deciders: Mapping[str, Stateful]) -> Any:
    """Give all deciders their state.

    Returns:
        That of the training loader; ``None`` where there is none.
    """
    states = own_state(checkpoint[STATE]["deciders"])
    told = {callback.state_key: callback for callback in listening(trainer)}
    for own, parts in ((states, deciders), (states["callbacks"], told)):
        for name in parts.keys() & own.keys():
            parts[name].load_state_dict(own[name])
    return checkpoint[STATE]["loader"]
