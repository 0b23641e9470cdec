"""What supervised and reinforcement training share: optimizer, evaluation by generation, export."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from lightning import LightningDataModule, LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.optim import AdamW

from vrft_pl.data import SampleData
from vrft_pl.data.resumable import ResumableLoader
from vrft_pl.data.samples import Split
from vrft_pl.distributed import (
    forget_engine,
    gather,
    is_spread,
    keep_optimizer,
    mean_over_ranks,
    repeats_backward,
    shards_weights,
    whole,
)
from vrft_pl.modules.evaluation import SplitMetrics
from vrft_pl.modules.gradients import GradientWatch
from vrft_pl.modules.halving import Batch, Computed, Halving
from vrft_pl.modules.schedule import WarmupDecay
from vrft_pl.modules.state import STATE, keep_state, restore_state, stateful
from vrft_pl.policy import VLM
from vrft_pl.policy.reference import Reference
from vrft_pl.policy.verdicts import Way
from vrft_pl.rewards import GuardedJudges, Judge, OnRewardError, Reward
from vrft_pl.rewards.panel import check_names
from vrft_pl.rollout import LocalSampler, Sampler, SamplingParams, Writer
from vrft_pl.rollout.seeds import prompt_seeds
from vrft_pl.types import Completions, InputError, Sample

Loader = TypeVar("Loader", bound=ResumableLoader)
Evaluated = dict[str, Any]
"""What callbacks are told of a batch: ``completions``, one a sample, and the ``grades`` of each metric that goes by a
reward, by its name."""


class PolicyModule(LightningModule):
    """Wraps a policy; evaluates it by letting it write and scoring what it wrote.

    Metrics are logged as ``<split>/<part>/<Name>``, and for the tags of rows as ``<split>/<part>/tag/<tag>/<Name>``.

    Args:
        policy: The vision-language model that is trained.
        metrics: Rewards and other metrics that judge held-out completions.
        optimizer: Makes the optimizer from the trainable parameters.
        scheduler: Makes the learning-rate schedule, stepped once an optimizer step.
        eval_params: How held-out completions are drawn; greedy by default.
        eval_samples: Completions sampled a prompt at temperature 1 and scored beside the greedy one, logged as
            ``<split>/sampled/<Name>``; 0 leaves it out.
        sampler: The engine that writes completions.
        seed: Seed of sampling while training. The command line sets it to ``seed_everything``.
        on_reward_error: What a reward that fails does, in training and in evaluation: ``zero`` counts 0 for the
            completion, ``raise`` ends the run (`vrft_pl.rewards.GuardedReward`). A metric that goes by no reward leaves
            the batch out in place of a 0.
        reward_seconds: Most seconds that a reward may take for a window, or for a batch that is evaluated; one that
            takes longer counts 0 for it. ``None`` waits for ever, and asks rewards in the main thread where no other
            model runs meanwhile.

    Raises:
        ValueError: If two metrics share a name, or a number is out of its range.
    """

    trains_on_samples = False
    """Whether it samples to train; every module samples to evaluate."""
    imitates = False
    """Whether it trains on the targets of its rows, all of which have to be writable then."""
    params: SamplingParams
    """How completions are drawn for training; as for evaluation, unless a module says otherwise."""
    group_size: int
    """``G``, completions of a prompt in training; 1 unless a module says otherwise."""
    rewards: Sequence[Reward]
    """What it trains on, each with its weight; none unless a module says otherwise."""
    reference: Reference | None
    """The frozen policy that it compares with; none unless a module says otherwise."""
    window: int | None
    """Micro-batches that are sampled together; ``None`` for those of one optimizer step."""
    num_iterations: int
    """Times that each micro-batch is trained on; 1 unless a module says otherwise."""

    def __init__(
        self,
        policy: VLM,
        metrics: Sequence[Judge] = (),
        optimizer: OptimizerCallable = AdamW,
        scheduler: LRSchedulerCallable | None = None,
        eval_params: SamplingParams = SamplingParams(temperature=0.0),  # noqa: B008  # frozen
        eval_samples: int = 0,
        sampler: LocalSampler | Sampler | None = None,
        seed: int = 0,
        on_reward_error: OnRewardError = "zero",
        reward_seconds: float | None = 300.0,
    ) -> None:
        super().__init__()
        check_names(metrics)
        if eval_samples < 0:
            raise ValueError(f"Expected `eval_samples` to be 0 or more, but got {eval_samples}.")
        self.policy = policy
        self.metrics = tuple(metrics)
        self.on_reward_error, self.reward_seconds = on_reward_error, reward_seconds
        self.guarded_judges = GuardedJudges(self.metrics, on_reward_error, reward_seconds)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.eval_params, self.eval_samples = eval_params, eval_samples
        self.sampler: Sampler = sampler or LocalSampler()
        self.writer = Writer(policy, self.sampler)
        self.seed = seed
        self.params, self.group_size, self.rewards, self.reference = eval_params, 1, (), None
        self.window, self.num_iterations = None, 1
        self._metrics = SplitMetrics(self.metrics, self.guarded_judges)
        self._announced = False
        self._watch = GradientWatch()
        self.in_parts = Halving()
        self._loader_state: dict[str, Any] | None = None
        self._evaluation = ExitStack()
        """What surrounds the batches of an evaluation."""

    def setup(self, stage: str) -> None:
        """Refuse a strategy under which something of the run could not be sampled."""
        data = getattr(self.trainer, "datamodule", None)
        if refusal := self.refusal(self.trainer.strategy, stage, data, self.trainer.limit_val_batches):
            raise InputError(refusal)

    def refusal(
        self, strategy: Strategy | str, stage: str, data: LightningDataModule | None, limit_val_batches: float
    ) -> str | None:
        """Why a run is not possible under a strategy of Lightning, by name or built; ``None`` where it is.

        Args:
            strategy: The strategy.
            stage: What the Trainer is to do: ``fit``, ``validate``, ``test`` or ``predict``.
            data: The run's data.
            limit_val_batches: Validation batches that are used; 0 for none.
        """
        name = f"`{strategy}`" if isinstance(strategy, str) else type(strategy).__name__
        if self.policy.is_quantized and shards_weights(strategy):
            return f"Expected a strategy that shards no weights with `lora.quantize`, but got {name}. Use `ddp`."
        validates = isinstance(data, SampleData) and data.validates and bool(limit_val_batches)
        samples = {"fit": validates or self.trains_on_samples, "validate": validates}.get(stage, True)
        if not samples or self.sampler.supports(strategy):
            return None
        sharded = ", which shards the weights" if shards_weights(strategy) else ""
        apart = "" if self.trains_on_samples else ", or train without held-out samples (`trainer.limit_val_batches: 0`)"
        sampler = type(self.sampler).__name__
        return (
            f"Expected a strategy that {sampler} supports, but got {name}{sharded}. Use `ddp` or `deepspeed_stage_2`"
            f"{apart}."
        )

    @property
    def deciders(self) -> dict[str, Any]:
        """What else than weights, optimizer and loader the next step depends on; what has a state is in checkpoints."""
        return {"sampler": self.sampler, "verdicts": self.policy.verdicts, "judges": self.guarded_judges}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the state of all deciders under one key."""
        keep_state(checkpoint, self.trainer, stateful(self.deciders))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from the state of all deciders, where training goes on."""
        if self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING and STATE in checkpoint:
            self._loader_state = restore_state(checkpoint, self.trainer, stateful(self.deciders))

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load weights.

        Raises:
            InputError: If they are those of another model.
        """
        try:
            return super().load_state_dict(state_dict, *args, **kwargs)
        except RuntimeError as error:
            name = type(self.policy.hf_model).__name__
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"Expected a checkpoint of the {name} that is configured, but {reason}") from error

    def resumed(self, loader: Loader) -> Loader:
        """Let a training loader go on where the checkpoint stopped that is resumed, and end where the Trainer does."""
        loader.limit = self.trainer.limit_train_batches
        if self._loader_state is not None:
            loader.load_state_dict(self._loader_state)
            self._loader_state = None
        return loader

    def configure_model(self) -> None:
        """Make the weights of the policy and of its reference, where the strategy can place them."""
        forget_engine(self)
        self.policy.load()
        if self.reference is not None:
            self.reference.load()  # before anything is spread: what ranks hold together can't be copied
        if self._trainer is not None:
            keep_optimizer(self.trainer.strategy)
            for model in (self.policy, self.reference):
                if model is not None:
                    model.spread(self.trainer.strategy)

    @property
    def ways(self) -> tuple[Way, ...]:
        """What the policy has to decide before it is used."""
        return ("batching", *(("feature_reuse",) if self.policy.sees_alike else ()))

    def settle(self) -> None:
        """Let the policy decide which ways it takes; all ranks of a distributed run do so at the same point."""
        with self.trainer.precision_plugin.forward_context(), whole(self.policy):
            for way in self.ways:
                self.policy.may(way)
            if self.trains_on_samples or not self.trainer.training:
                self.sampler.settle(self.policy)

    on_validation_start = on_test_start = on_predict_start = settle

    def on_validation_epoch_start(self) -> None:
        """Make weights whole once for all batches, of which ranks may have different numbers."""
        self._evaluation.enter_context(whole(self.policy))

    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start

    def on_predict_epoch_end(self) -> None:
        """Give weights back to the ranks."""
        self._evaluation.close()

    def configure_optimizers(self) -> Any:
        """Build the optimizer over the trainable parameters, and the schedule over optimizer steps."""
        optimizer = self.optimizer(p for p in self.policy.parameters() if p.requires_grad)
        if self.scheduler is None:
            return optimizer
        scheduler = self.scheduler(optimizer)
        if isinstance(scheduler, WarmupDecay) and scheduler.total_steps is None:
            scheduler.total_steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Decide what is to be decided, and print trainable and all parameters of each part."""
        self.settle()
        if not self._announced:
            parts = self.policy.parameter_table().items()
            rows = [f"{part} {trainable:,} of {total:,}" for part, (trainable, total) in parts if total]
            rank_zero_info(f"Trainable parameters: {', '.join(rows)}.")
            self._announced = True

    def generate(
        self, samples: Sequence[Sample], group_size: int, params: SamplingParams, seed: int | str
    ) -> Completions:
        """Write ``group_size`` completions to each sample, reproducibly for a seed."""
        step = 0 if self._trainer is None else self.trainer.global_step
        with whole(self.policy):
            prompts = self.writer.encode(samples)
            return self.writer.write(prompts, group_size, params, prompt_seeds(samples, seed), step)

    def evaluate(self, stage: str, samples: list[Sample], part: str) -> Evaluated:
        """Score what the policy writes on held-out samples, to be logged at the end of the split."""
        completions = self.generate(samples, 1, self.eval_params, part)
        grades = self._metrics.judge(stage, part, completions, samples, self.device)
        self._metrics.judge_tags(stage, part, completions, samples, self.device)
        if self.eval_samples:
            params = SamplingParams(self.eval_params.max_tokens, temperature=1.0)
            sampled = self.generate(samples, self.eval_samples, params, f"{part}/sampled")
            repeated = [sample for sample in samples for _ in range(self.eval_samples)]
            self._metrics.judge(stage, f"{part}/sampled", sampled, repeated, self.device)
        return {"completions": completions, "grades": grades}

    def _report(self, stage: str, parts: Sequence[str]) -> None:
        """Log what the metrics of each part and tag say, and let them forget it."""
        draws = ("", "/sampled") if self.eval_samples else ("",)
        names = [f"{part}{draw}" for part in parts for draw in draws]
        for name, value in self._metrics.totals(stage, names, self.device):
            # the same on every rank already
            self.log(f"{stage}/{name}", value.float().to(self.device), sync_dist=True, batch_size=1)

    def parts(self, split: Split) -> list[str]:
        """Names of the parts of a split, in the order of their loaders."""
        data, trainer = getattr(self.trainer, "datamodule", None), self.trainer
        if isinstance(data, SampleData):
            return list(data.datasets(split))
        tested = trainer.num_predict_batches if trainer.predicting else trainer.num_test_batches
        return [str(i) for i in range(len(trainer.num_val_batches if split == "val" else tested))]

    def validation_step(self, samples: list[Sample], batch_idx: int, dataloader_idx: int = 0) -> Evaluated:
        """Evaluate one batch of the validation split; callbacks are told of it."""
        return self.evaluate("val", samples, self.parts("val")[dataloader_idx])

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        self._evaluation.close()
        self._report("val", self.parts("val"))

    def test_step(self, samples: list[Sample], batch_idx: int, dataloader_idx: int = 0) -> Evaluated:
        """Evaluate one batch of the test split; callbacks are told of it."""
        return self.evaluate("test", samples, self.parts("test")[dataloader_idx])

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test split."""
        self._evaluation.close()
        self._report("test", self.parts("test"))

    def predict_step(self, samples: list[Sample], batch_idx: int, dataloader_idx: int = 0) -> Evaluated:
        """Write one greedy completion to each sample; callbacks are told of it."""
        return {"completions": self.generate(samples, 1, self.eval_params, "predict"), "grades": {}}

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Begin to count the seconds of an update."""
        self._update_start = time.perf_counter()

    def computed(self, compute: Callable[[Batch], Computed], batch: Batch) -> Computed:
        """Compute the loss of a micro-batch, in parts where memory does not hold it; see `Halving`."""
        repeats = self._trainer is not None and repeats_backward(self.trainer.strategy)
        context = self.trainer.precision_plugin.train_step_context if repeats else None
        alone = not is_spread(self.policy)
        return self.in_parts(compute, batch, alone, self.policy.parameters() if repeats else (), context)

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Warn of what is trained but gets no gradient, in the first steps."""
        if (complaint := self._watch.look(self.policy.named_parameters())) is not None:
            rank_zero_warn(complaint)

    def on_after_backward(self) -> None:
        """End the update of a micro-batch that keeps the gradients of others."""
        self._update_end = time.perf_counter()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, which ends the update."""
        super().optimizer_step(*args, **kwargs)
        self._update_end = time.perf_counter()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Log the seconds of forward, backward and optimizer, not those of what callbacks did after them."""
        self.log("time/update", self._update_end - self._update_start, batch_size=1)

    def undivided(self, loss: Tensor) -> Tensor:
        """Undo Lightning's division by ``accumulate_grad_batches`` where the strategy divides again (DeepSpeed)."""
        twice = self.trainer.strategy.handles_gradient_accumulation
        return loss * self.trainer.accumulate_grad_batches if twice else loss

    def mean_over_ranks(self, value: Tensor) -> Tensor:
        """Average a tensor over the ranks of a distributed run."""
        return mean_over_ranks(value.to(self.device))

    def spent(self) -> dict[str, dict[str, float]]:
        """What rewards that cost something took on all ranks, by their name. Every rank calls it."""
        return {}

    def faults(self) -> dict[str, int]:
        """How often something failed that did not end the run, by name, on all ranks; every rank calls it."""
        own = {"out_of_memory": self.in_parts.times}
        own |= {f"evaluation/reward_errors/{name}": count for name, count in self.guarded_judges.errors.items()}
        everywhere = gather(own)
        names = sorted(set().union(*everywhere))
        return {name: total for name in names if (total := sum(rank.get(name, 0) for rank in everywhere))}

    def export(self, folder: Path) -> None:
        """Write the policy as an ordinary Hugging Face folder. Every rank calls it, and the first writes."""
        self.policy.export(folder)

    def export_adapter(self, folder: Path) -> None:
        """Write the adapter of the policy alone, likewise."""
        self.policy.export_adapter(folder)
