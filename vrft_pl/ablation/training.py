"""The runs of an arm: its stages and what they are judged on, each done once whoever needs it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vrft_pl.ablation.arms import Arm, Stage
from vrft_pl.ablation.budget import steps_of
from vrft_pl.ablation.compose import stage_config, test_config
from vrft_pl.ablation.config import Ablation
from vrft_pl.ablation.identity import checkpoint_digest, decisive, digest
from vrft_pl.ablation.pool import Drawn, Pool
from vrft_pl.ablation.protocol import Commands
from vrft_pl.ablation.search import Values
from vrft_pl.ablation.sections import TARGET, Config
from vrft_pl.ablation.store import Store, slug
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

COSTS = ("samples", "optimizer_steps", "generated_tokens", "trained_tokens", "seconds", "flops")
"""What a run cost, as `CostMeter` counts it."""


@dataclass(frozen=True)
class Chain:
    """The runs of an arm."""

    stages: tuple[RunFolder, ...]
    key: str
    """What decides the policy at its end."""
    cost: Mapping[str, float]

    @property
    def checkpoint(self) -> str | None:
        """The policy at its end; ``None`` for the one that every arm starts from."""
        return str(self.stages[-1].path / "export") if self.stages else None


class Training:
    """Trains the stages of arms and judges what they end with.

    Args:
        ablation: What is compared.
        store: Its folder.
        commands: Train, judge and sample.
        keep_checkpoints: Keep the checkpoints of finished runs, which only resuming needs.
    """

    def __init__(self, ablation: Ablation, store: Store, commands: Commands, keep_checkpoints: bool = False) -> None:
        self.ablation, self.store, self.commands = ablation, store, commands
        self.pool = Pool(ablation, store, commands)
        self.keep_checkpoints = keep_checkpoints
        self.arms = ablation.all_arms

    @property
    def origin(self) -> str:
        """A name for the policy that every arm starts from, and its weights."""
        policy = dict(self.ablation.policy)
        checkpoint = policy.get("init_args", {}).get("checkpoint")
        return digest(policy, checkpoint if checkpoint is None else checkpoint_digest(str(checkpoint)))

    # training

    def chain(self, arm: str, size: float, seed: int, values: Values, validate: bool = False) -> Chain:
        """Carry out the stages of an arm.

        Args:
            arm: Name of the arm.
            size: Size of the training set.
            seed: Seed of its rows and of training.
            values: Hyper-parameters, by the position of the stage and the dotted key.
            validate: Judge on the validation rows at the end.
        """
        drawn = self.pool.drawn(size, seed)
        chain = self.start(drawn)
        stages = self.arms[arm].stages
        for i, stage in enumerate(stages):
            own = {key.partition(".")[2]: value for key, value in values.items() if key.partition(".")[0] == str(i)}
            last = validate and i == len(stages) - 1
            chain = self.extended(chain, arm, stage, drawn, own, seed, last)
        return chain

    def start(self, drawn: Drawn) -> Chain:
        """Where every arm starts."""
        return Chain((), digest(self.origin, drawn.hash), dict.fromkeys(COSTS, 0.0))

    def extended(
        self,
        chain: Chain,
        arm: str,
        stage: Stage,
        drawn: Drawn,
        values: Values,
        seed: int,
        validate: bool = False,
        steps: int = 0,
    ) -> Chain:
        """Carry out a further stage, of that many optimizer steps or as many as its budget allows."""
        rows = self.pool.chosen(stage, drawn, chain.checkpoint, chain.key, seed)
        config = stage_config(self.ablation, stage, chain.checkpoint, rows.section, values, seed)
        config["trainer"]["max_steps"] = steps or self.steps(config, stage, rows, values)
        if validate:
            config["data"]["init_args"]["val"] = self.ablation.data["init_args"]["val"]
        key = digest(chain.key, decisive(config, validate), rows.hash, config["data"]["init_args"].get("val"))
        config["run"] = {"evaluate_before": False, "evaluate_after": validate, **self.tracking(arm, stage)}
        run = self.trained(config, f"stages/{slug(stage.recipe)}-seed{seed}-{key}")
        spent = run.summary().get("cost", {})
        total = {name: chain.cost[name] + spent.get(name, 0.0) + rows.cost.get(name, 0.0) for name in COSTS}
        return Chain((*chain.stages, run), key, total)

    def trained(self, config: Config, name: str) -> RunFolder:
        """Carry out a training run, unless it was."""
        run = self.store.run(name)
        with self.store.only(name):
            if not run.finished:
                self.commands.fit(self.store.config(name, config), run)
                if not self.keep_checkpoints:
                    shutil.rmtree(run.checkpoints, ignore_errors=True)
        return run

    def tracking(self, arm: str, stage: Stage) -> Config:
        """Where loggers put a run. One that two arms share goes by the first that needed it."""
        return {
            "wandb": "off",
            "group": self.ablation.name,
            "job_type": arm,
            "tags": [stage.recipe],
            **self.ablation.run,
        }

    def steps(self, config: Config, stage: Stage, rows: Drawn, values: Values) -> int:
        """Optimizer steps that use up the stage's share of the budget.

        Raises:
            InputError: If the stage has nothing of what is matched by, or choosing its rows took all of it.
        """
        match = self.ablation.match
        amount = match.amount * stage.share
        if match.by == "steps":
            return max(1, round(amount))
        if match.by == "samples":
            return steps_of(amount, rows.count, config)
        if (left := amount - rows.cost.get(match.by, 0.0)) <= 0:
            raise InputError(
                f"Expected the {match.by} of a stage to be more than choosing its rows takes, "
                f"{rows.cost[match.by]:g}, but its share is {amount:g}. Raise `match.amount`."
            )
        if each := self.cost_of_a_sample(match.by, stage, values):
            return steps_of(left / each, rows.count, config)
        if match.steps is None:
            raise InputError(
                f"Expected every stage to have {match.by} to be matched by, but those of recipe `{stage.recipe}` have "
                "none. Give `match.steps` for them, or match by another cost."
            )
        return max(1, round(match.steps * stage.share))

    def cost_of_a_sample(self, cost: str, stage: Stage, values: Values) -> float:
        """What a sample costs in a stage with those values, measured in a short run from where every arm starts."""
        drawn = self.pool.drawn(max(self.ablation.rows), seed := self.ablation.seeds[0])
        every = replace(stage, rows=None)
        run = self.extended(self.start(drawn), "pilot", every, drawn, values, seed, steps=self.ablation.match.pilot)
        return run.cost[cost] / run.cost["samples"]

    # held-out rows

    def judged(self, arm: Arm, suite: str, chain: Chain, drawn: Drawn) -> RunFolder:
        """Judge what an arm ended with on a suite, unless it was."""
        held_out = self.ablation.all_suites[suite]
        trained_on = drawn.section if chain.stages else None
        train = trained_on if suite == TARGET else held_out.data["init_args"].get("train")
        config = test_config(self.ablation, held_out, arm.asked_in, chain.checkpoint, train)
        parts = config["data"]["init_args"]["test"]
        key = digest(chain.key if chain.stages else self.origin, decisive(config), parts)
        name = f"tests/{slug(suite)}-{key}"
        config["run"] = {"wandb": "off"}
        run = self.store.run(name)
        with self.store.only(name):
            if not run.finished:
                self.commands.test(self.store.config(name, config), run)
        return run
