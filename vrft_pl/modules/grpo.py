"""Group relative policy optimization (https://arxiv.org/abs/2402.03300) of a vision-language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import DataLoader

from vrft_pl.algorithms import Advantage, GroupAdvantage, GRPOLoss, Loss
from vrft_pl.algorithms.advantage import check_group_size
from vrft_pl.distributed import gather, whole
from vrft_pl.modules.base import PolicyModule
from vrft_pl.modules.rollout_log import RolloutStats
from vrft_pl.modules.terms import Term
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.reference import Reference, ReferenceKind
from vrft_pl.policy.verdicts import Way
from vrft_pl.rewards import GuardedReward, Judge, Reward, paper_rewards
from vrft_pl.rewards.panel import check_names
from vrft_pl.rollout import Collector, Hooks, RolloutLoader, Sampler, SamplingParams
from vrft_pl.rollout.hooks import ask_views, tell_end, tell_start
from vrft_pl.types import Experience, Prompts, Sample


class GRPOModule(PolicyModule):
    """Reinforces a policy with verifiable rewards.

    Args:
        rewards: What the policy is trained on, each with its weight; or the name of a paper's rewards, such as
            ``visual_rft/detection`` (`vrft_pl.rewards.paper_rewards`).
        loss: The surrogate and its denominators.
        group_size: ``G``, completions per prompt.
        params: How completions are drawn for training.
        window: Micro-batches whose completions are sampled together, a multiple of ``accumulate_grad_batches``. The
            default, equal to it, trains on policy.
        num_iterations: Times that each window is trained on.
        advantage: From scores to advantages. Defaults to `GroupAdvantage`.
        reference: The frozen policy of a KL term: a second model (``copy``), the policy with its adapter switched off
            (``adapter_off``), or whichever fits (``auto``). There is none when neither loss nor advantage needs one.
        metrics: Rewards and other metrics that judge held-out completions. Defaults to ``rewards``.
        rollout_ahead: 1 samples the next window while one is trained on, with weights that are one window old; for a
            sampler with weights of its own, such as `VLLMSampler`. Ratios are then to the sampler's log-probs, or
            tokens are weighed where the loss has an `importance_cap`. 0 samples each window when it is needed.
        terms: What is added to the loss and makes passes of its own, such as `PerceptionTerm`.
        **kwargs: Those of `PolicyModule`.

    Raises:
        ValueError: If arguments contradict each other or are out of their range.
    """

    trains_on_samples = True

    def __init__(
        self,
        rewards: Sequence[Reward] | str,
        loss: GRPOLoss | Loss | None = None,
        group_size: int = 8,
        params: SamplingParams = SamplingParams(),  # noqa: B008  # frozen
        window: int | None = None,
        num_iterations: int = 1,
        advantage: GroupAdvantage | Advantage | None = None,
        reference: ReferenceKind = "auto",
        metrics: Sequence[Judge] | None = None,
        rollout_ahead: Literal[0, 1] = 0,
        terms: Sequence[Term] = (),
        **kwargs: Any,
    ) -> None:
        judges = paper_rewards(rewards) if isinstance(rewards, str) else rewards
        super().__init__(metrics=judges if metrics is None else metrics, **kwargs)
        loss, advantage = loss or GRPOLoss(), advantage or GroupAdvantage()
        check_group_size(group_size)
        check_names(judges)
        check_window(window, num_iterations, rollout_ahead, self.sampler)
        check_sampling(params, loss)
        if not any(reward.weight_at(0) for reward in judges):
            raise ValueError(
                "Expected `rewards` to hold at least one reward with a `weight` above 0 and a `start` of 0."
            )
        self.policy.still = True  # ratios are between a policy and itself, and dropout would make another one
        self.policy.train()
        if self.policy.weights.lora is not None and self.policy.weights.lora.dropout:
            rank_zero_warn("`lora.dropout` has no effect on reinforcement: the policy is trained as it samples.")
        self.rewards, self.loss, self.params = tuple(judges), loss, params
        self.terms = tuple(terms)
        self.group_size, self.window, self.num_iterations = group_size, window, num_iterations
        self.rollout_ahead = rollout_ahead
        self.advantage: Advantage = advantage
        weighed = [(reward.weight, reward.bounds) for reward in judges if reward.weight]
        advantage.insist([(weight * low, weight * high) for weight, (low, high) in weighed])
        compares = loss.needs_reference or advantage.needs_reference
        self.reference = Reference(self.policy, reference) if compares else None
        self.reference_kind = reference
        self.guarded = tuple(GuardedReward(r, self.on_reward_error, self.reward_seconds) for r in self.rewards)
        """The rewards as training asks them."""
        self.rollout_stats = RolloutStats()
        self.rollouts: RolloutLoader | None = None
        """The loader of its training batches, once there is one."""

    def made_with(self) -> dict[str, Any]:
        """Arguments that are not kept under their names."""
        return {"reference": self.reference_kind}

    @property
    def ways(self) -> tuple[Way, ...]:
        """Sharing too: each prompt has a group."""
        return (*super().ways, "sharing")

    def wrap_train_loader(self, loader: DataLoader) -> RolloutLoader:
        """Turn the loader of Samples into a loader of Experience."""
        step_batches = self.trainer.accumulate_grad_batches
        collector = Collector(
            self.writer,
            self.guarded,
            self.advantage,
            self.reference,
            self.group_size,
            self.params,
            self.seed,
            self.loss.token_mask,
            self.hooks,
            ratio_to_sampler=not self.loss.corrects_sampler,
            token_weights=self.loss.token_weights if self.loss.weighs_tokens else None,
            divergence=self.advantage.needs_reference,
        )
        rollouts = RolloutLoader(
            loader,
            collector,
            self._encode,
            window=step_batches if self.window is None else self.window,
            step_batches=step_batches,
            num_iterations=self.num_iterations,
            skip_dead_groups=self.loss.skips_dead_groups and not self.terms,
            mean_over_ranks=self.mean_over_ranks,
            ahead=collector if self.rollout_ahead else None,
        )
        self.rollouts = self.resumed(rollouts)
        return self.rollouts

    def more(self, count: int, key: str) -> Experience | None:
        """Collect groups beyond the window; see `vrft_pl.rollout.hooks.CollectsMore`."""
        assert self.rollouts is not None, "there is no window"
        return self.rollouts.more(count, key)

    def read(self, rows: Sequence[int]) -> list[Sample]:
        """Read rows that are trained on; see `vrft_pl.rollout.hooks.CollectsAgain`."""
        assert self.rollouts is not None, "there is no window"
        return self.rollouts.read(rows)

    def again(self, samples: list[Sample], completions: Sequence[dict[str, Any]]) -> Experience:
        """Collect groups that were sampled before; see `vrft_pl.rollout.hooks.CollectsAgain`."""
        assert self.rollouts is not None, "there is no window"
        return self.rollouts.again(samples, completions)

    def note(self, numbers: dict[str, float]) -> None:
        """Log numbers of the window beside those of the rollout."""
        self.rollout_stats.numbers |= numbers

    @property
    def deciders(self) -> dict[str, Any]:
        """The loss, the advantage, what is logged, and how often each reward failed, which may end its being asked."""
        own = {"loss": self.loss, "advantage": self.advantage, "rollout_stats": self.rollout_stats}
        return {**super().deciders, **own, **{f"reward/{reward.name}": reward for reward in self.guarded}}

    def faults(self) -> dict[str, int]:
        """Also completions of all ranks that counted 0 for a failure of a reward, as ``reward_errors/<Name>``."""
        own = {f"reward_errors/{reward.name}": reward.errors for reward in self.guarded}
        everywhere = gather(own)
        failed = {name: total for name in own if (total := sum(rank[name] for rank in everywhere))}
        return super().faults() | failed

    def spent(self) -> dict[str, dict[str, float]]:
        """What rewards that cost something took on all ranks, by their name, such as the requests to a judge."""
        if not any(reward.costs for reward in self.rewards):
            return {}
        everywhere = gather({reward.name: dict(reward.spent) for reward in self.rewards if reward.spent})
        return {
            name: {key: sum(rank[name][key] for rank in everywhere) for key in own}
            for name, own in everywhere[0].items()
        }

    @property
    def hooks(self) -> Hooks:
        """What a rollout asks of the Trainer, and whom it tells."""
        return Hooks(
            step=lambda: self.trainer.global_step,
            forward_context=lambda: self.trainer.precision_plugin.forward_context(),
            on_start=lambda: tell_start(self.trainer, self),
            views=lambda samples, group_size: ask_views(self.trainer, self, samples, group_size),
            on_end=self._on_rollout_end,
        )

    def _on_rollout_end(self, experience: Experience) -> Experience:
        self.rollout_stats.update(experience, self.spent())
        asked = self.rollouts.asked if self.rollouts is not None else ()
        return tell_end(self.trainer, self, experience, asked)

    def training_step(self, experience: Experience, batch_idx: int) -> Tensor:
        """Right half of the algorithm: the clipped surrogate on one micro-batch."""
        loss, stats = self.computed(self.surrogate, experience)
        self.log("train/loss", loss, batch_size=len(experience))
        self.log_dict({f"train/{name}": value for name, value in stats.items()}, batch_size=len(experience))
        self.log_dict(self.rollout_stats.numbers, batch_size=len(experience))
        return self.undivided(loss)

    def surrogate(self, experience: Experience) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a micro-batch and what is logged beside it, means over tokens without a graph."""
        logprobs, entropy = self.policy.logprobs(experience.prompts, experience.completions, self.params.temperature)
        loss, stats = self.loss(logprobs, replace(experience, entropy=entropy))
        for term in self.terms:
            own = TokenLogprobs(logprobs, entropy)
            added, numbers = term(self.policy, experience, own, self.params.temperature)
            loss, stats = loss + added, stats | numbers
        mask, sampled = experience.completions.mask, experience.completions.logprobs
        stats["entropy"] = entropy.detach().sum() / mask.sum()
        if (experience.old_logprobs is None or experience.ratio_to_sampler) and sampled is not None:
            stats["sampler_gap"] = ((logprobs.detach() - sampled).abs() * mask).sum() / mask.sum()
        return loss, stats

    def _encode(self, samples: list[Sample]) -> Prompts:
        with self.trainer.precision_plugin.forward_context(), whole(self.policy):
            return self.writer.encode(samples)


def check_window(window: int | None, num_iterations: int, rollout_ahead: int, sampler: Sampler) -> None:
    """Raise `ValueError` for a window that can't be sampled or trained on so."""
    if num_iterations < 1:
        raise ValueError(f"Expected `num_iterations` to be at least 1, but got {num_iterations}.")
    if window is not None and window < 1:
        raise ValueError(f"Expected `window` to be at least 1 micro-batch, but got {window}.")
    if rollout_ahead not in (0, 1):
        raise ValueError(f"Expected `rollout_ahead` to be 0 or 1 window, but got {rollout_ahead}.")
    if rollout_ahead and not sampler.holds_weights:
        raise ValueError(
            f"Expected `rollout_ahead` with a sampler that has weights of its own, but {type(sampler).__name__} "
            "samples with those that are trained. Use `VLLMSampler`."
        )


def check_sampling(params: SamplingParams, loss: Loss) -> None:
    """Raise `ValueError` for completions that teach nothing, or of which the loss would not know how they are drawn."""
    if params.temperature == 0:
        raise ValueError("Expected `params.temperature` to be above 0: greedy completions of one prompt are all equal.")
    if params.truncates and not loss.corrects_sampler:
        raise ValueError(
            "Expected `loss.importance_cap` to be set with `top_k` or `top_p`: the sampler then draws from another "
            "distribution than the one that is trained."
        )
