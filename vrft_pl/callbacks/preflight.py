"""What `fit` refuses before it begins, and `vrft_pl check` reports: one function decides for both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DeepSpeedStrategy, ModelParallelStrategy, Strategy

from vrft_pl.callbacks.checkpoint import StepCheckpoint
from vrft_pl.callbacks.export import HFExport
from vrft_pl.distributed import strategy_class
from vrft_pl.rollout.hooks import Run, listening
from vrft_pl.types import InputError


def refusals(
    strategy: Strategy | str, on_gpu: bool, callbacks: Sequence[Callback], accumulate: int, has_adapter: bool = True
) -> list[str]:
    """Why nothing can be trained so; empty where it can. What a module refuses of a strategy it says itself.

    Args:
        strategy: The strategy, by name or built.
        on_gpu: Whether the run is on GPUs.
        callbacks: All of the run.
        accumulate: Micro-batches of an optimizer step.
        has_adapter: Whether the policy has one.
    """
    exports = [callback.refusal(strategy, has_adapter) for callback in callbacks if isinstance(callback, HFExport)]
    own = (lost_gradients(callbacks, accumulate), no_gpu(strategy, on_gpu), no_cut(strategy))
    return [why for why in (*own, *exports) if why]


def refusals_of_callbacks(run: Run, module: LightningModule) -> Iterator[str]:
    """Why callbacks around rollouts can't train this module, or beside each other."""
    for callback in listening(run):
        try:
            callback.insist(run, module)
        except InputError as error:
            yield str(error)


def no_gpu(strategy: Strategy | str, on_gpu: bool) -> str | None:
    """DeepSpeed on a CPU, which Lightning's strategy refuses as late as when it is set up."""
    kind = strategy_class(strategy)
    own = issubclass(kind, DeepSpeedStrategy) and kind.setup_environment is DeepSpeedStrategy.setup_environment
    if on_gpu or not own:
        return None
    return (
        f"Expected GPUs for {kind.__name__}, but the run is on a CPU. Use `ddp`, or `trainer.accelerator: gpu` where "
        "the machine that trains has some."
    )


def no_cut(strategy: Strategy | str) -> str | None:
    """Lightning's own FSDP2, which cuts no model, and under which ranks of a node read the same rows."""
    if strategy_class(strategy) is not ModelParallelStrategy:
        return None
    return "Expected a strategy that spreads the policy, but got ModelParallelStrategy. Use `fsdp2`."


def lost_gradients(callbacks: Sequence[Callback], accumulate: int) -> str | None:
    """A checkpoint in the middle of an optimizer step, which Lightning's own callback may write."""
    for callback in callbacks:
        if accumulate > 1 and isinstance(callback, ModelCheckpoint) and not isinstance(callback, StepCheckpoint):
            return (
                f"Expected `{type(callback).__name__}` among `trainer.callbacks` to be "
                "`vrft_pl.callbacks.StepCheckpoint`, with the same options: Lightning's own may save between two "
                "micro-batches of an optimizer step, and a run that is resumed there ends with other weights."
            )
    return None
