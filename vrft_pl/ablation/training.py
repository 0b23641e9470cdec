"""The runs of an arm: its rows, its stages and what they are judged on, each done once whoever needs it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from vrft_pl.ablation.arms import Arm, Selection, Stage
from vrft_pl.ablation.compose import JUDGE, digest, judging, prompts_a_step, stage_config, task, test_config
from vrft_pl.ablation.config import TARGET, Ablation, Config, label
from vrft_pl.ablation.rows import Probe, draw
from vrft_pl.ablation.search import Values
from vrft_pl.ablation.store import Store, slug
from vrft_pl.data import Source, fingerprint
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

COSTS = ("samples", "optimizer_steps", "generated_tokens", "trained_tokens", "seconds", "flops")
"""What a run cost, as `CostMeter` counts it."""
UNITS = {"samples": "samples", "steps": "optimizer_steps"}
"""What `Match.by` is called there, where the names differ."""


class Commands(Protocol):
    """What the runner asks the command line to do, in this process."""

    def check(self, config: Path) -> None:
        """Parse a config of `vrft_pl fit`; raise `InputError` where it is wrong."""

    def fit(self, config: Path, folder: RunFolder) -> None:
        """Train, from the newest checkpoint in the folder if there is one."""

    def test(self, config: Path, folder: RunFolder) -> None:
        """Judge on the test parts."""

    def probe(self, config: Path, completions: int, seed: int) -> Probe:
        """Let a policy write on the training rows of a config."""

    def source(self, config: Path) -> Source:
        """The training rows of a config."""


@dataclass(frozen=True)
class Drawn:
    """Rows that were drawn for a size and a seed."""

    path: Path
    """The list of them."""
    section: Config
    """The source that reads them."""
    hash: str
    """Of ids, questions, answers and pixels."""


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
    """Draws rows, trains the stages of arms and judges what they end with.

    Args:
        ablation: What is compared.
        store: Its folder.
        commands: Train, judge and sample.
        keep_checkpoints: Keep the checkpoints of finished runs, which only resuming needs.
    """

    def __init__(self, ablation: Ablation, store: Store, commands: Commands, keep_checkpoints: bool = False) -> None:
        self.ablation, self.store, self.commands = ablation, store, commands
        self.keep_checkpoints = keep_checkpoints
        self.arms = ablation.all_arms

    # rows

    def drawn(self, size: float, seed: int) -> Drawn:
        """Draw the rows of a size and a seed, once for all arms."""
        ablation = self.ablation
        seed = ablation.rows_seed if ablation.same_rows else ablation.rows_seed + seed
        pool = ablation.data["init_args"]["train"]
        name = f"rows/{ablation.draw}{label(size)}-seed{seed}-{digest(pool, ablation.draw)}"
        path = self.store.path / f"{name}.jsonl"
        if (known := self.store.read(f"{name}.json")) is None:
            with self.store.only(name):
                source = self.commands.source(self.config("pool", {"data": task(ablation.data, "answer", train=pool)}))
                source = source.with_seed(ablation.rows_seed) if source.procedural else source
                positions = draw(source, **drawing(ablation, size), seed=seed)
                self.store.write_lines(f"{name}.jsonl", [{"row": i, "id": source[i].id} for i in positions])
                known = {"count": len(positions), "hash": fingerprint(source, positions)}
                self.store.write(f"{name}.json", known)
        return Drawn(path, self.listed(path), known["hash"])

    def listed(self, path: Path) -> Config:
        """The source that reads a list of rows."""
        arguments = {"path": str(path), "seed": self.ablation.rows_seed}
        pool = self.ablation.data["init_args"]["train"]
        return {"class_path": "vrft_pl.data.Listed", "init_args": {"source": pool, **arguments}}

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
        drawn = self.drawn(size, seed)
        chain = self.start(drawn)
        stages = self.arms[arm].stages
        for i, stage in enumerate(stages):
            own = {key.partition(".")[2]: value for key, value in values.items() if key.partition(".")[0] == str(i)}
            last = validate and i == len(stages) - 1
            chain = self.extended(chain, arm, stage, drawn, own, seed, last)
        return chain

    def start(self, drawn: Drawn) -> Chain:
        """Where every arm starts."""
        return Chain((), digest(dict(self.ablation.policy), drawn.hash), dict.fromkeys(COSTS, 0.0))

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
        """Carry out a further stage."""
        section, cost = drawn.section, dict[str, float]()
        if stage.rows is not None:
            path, cost = self.selected(stage.rows, stage, chain, drawn, seed)
            section = self.listed(path)
        config = stage_config(self.ablation, stage, chain.checkpoint, section, values, seed)
        config["trainer"]["max_steps"] = steps or self.steps(config, stage)
        if validate:
            config["data"]["init_args"]["val"] = self.ablation.data["init_args"]["val"]
        chosen_by = Path(section["init_args"]["path"]).name if stage.rows is not None else None
        key = digest(chain.key, decisive(config, validate), chosen_by, config["data"]["init_args"].get("val"))
        config["run"] = {"evaluate_before": False, "evaluate_after": validate, **self.tracking(arm, stage)}
        run = self.trained(config, f"stages/{slug(stage.recipe)}-seed{seed}-{key}")
        spent = run.summary().get("cost", {})
        total = {name: chain.cost[name] + spent.get(name, 0.0) + cost.get(name, 0.0) for name in COSTS}
        return Chain((*chain.stages, run), key, total)

    def trained(self, config: Config, name: str) -> RunFolder:
        """Carry out a training run, unless it was."""
        run = self.store.run(name)
        with self.store.only(name):
            if not run.finished:
                self.commands.fit(self.config(name, config), run)
                if not self.keep_checkpoints:
                    shutil.rmtree(run.checkpoints, ignore_errors=True)
        return run

    def config(self, name: str, config: Config) -> Path:
        """Write down a config, beside the run that it is of."""
        return self.store.write_yaml(f"configs/{Path(name).name}.yaml", config)

    def tracking(self, arm: str, stage: Stage) -> Config:
        """Where loggers put a run. One that two arms share goes by the first that needed it."""
        return {
            "wandb": "off",
            "group": self.ablation.name,
            "job_type": arm,
            "tags": [stage.recipe],
            **self.ablation.run,
        }

    def steps(self, config: Config, stage: Stage) -> int:
        """Optimizer steps that use up the stage's share of the budget."""
        match = self.ablation.match
        amount = match.amount * stage.share
        if match.by == "steps":
            return max(1, round(amount))
        if match.by == "samples":
            return max(1, round(amount / prompts_a_step(config)))
        drawn = self.drawn(max(self.ablation.rows), seed := self.ablation.seeds[0])
        run = self.extended(self.start(drawn), "pilot", replace(stage, rows=None), drawn, {}, seed, steps=match.pilot)
        each = run.cost[UNITS.get(match.by, match.by)] / match.pilot
        if each > 0:
            return max(1, round(amount / each))
        if match.steps is None:
            raise InputError(
                f"Expected every stage to have {match.by} to be matched by, but those of recipe `{stage.recipe}` have "
                "none. Give `match.steps` for them, or match by another cost."
            )
        return max(1, round(match.steps * stage.share))

    def selected(
        self, selection: Selection, stage: Stage, chain: Chain, drawn: Drawn, seed: int
    ) -> tuple[Path, dict[str, float]]:
        """Let the policy write on the rows, and choose among them by it."""
        module = judging(self.ablation, self.ablation.metrics, self.ablation.eval_params, chain.checkpoint)
        config = {
            "seed_everything": seed,
            "trainer": dict(self.ablation.trainer),
            "model": {"class_path": JUDGE, "init_args": module},
            "data": task(self.ablation.data, stage.style, train=drawn.section),
        }
        how = type(selection).__name__, vars(selection)
        name = f"rows/{type(selection).__name__}-seed{seed}-{digest(chain.key, decisive(config), how)}"
        path = self.store.path / f"{name}.jsonl"
        with self.store.only(name):
            if (known := self.store.read(f"{name}.json")) is None:
                probe = self.commands.probe(self.config(name, config), selection.completions, seed)
                lines = selection.choose(probe)
                if not lines:
                    raise InputError(
                        f"Expected `{type(selection).__name__}` to choose some of {len(probe.rows)} rows, but it chose "
                        "none: the policy gets all of them wrong, or all right."
                    )
                self.store.write_lines(f"{name}.jsonl", lines)
                known = {"rows": len(lines), "of": len(probe.rows), "cost": probe.cost}
                self.store.write(f"{name}.json", known)
        return path, known["cost"]

    # held-out rows

    def judged(self, arm: Arm, suite: str, chain: Chain, drawn: Drawn) -> RunFolder:
        """Judge what an arm ended with on a suite, unless it was."""
        train = drawn.section if chain.stages and suite == TARGET else None
        config = test_config(self.ablation, self.ablation.all_suites[suite], arm.asked_in, chain.checkpoint, train)
        parts = config["data"]["init_args"]["test"]
        key = digest(chain.key if chain.stages else dict(self.ablation.policy), decisive(config), parts)
        name = f"tests/{slug(suite)}-{key}"
        config["run"] = {"wandb": "off"}
        run = self.store.run(name)
        with self.store.only(name):
            if not run.finished:
                self.commands.test(self.config(name, config), run)
        return run


def drawing(ablation: Ablation, size: float) -> dict[str, Any]:
    """A size as an argument of `draw`."""
    return {ablation.draw: size if ablation.draw == "fraction" else int(size)}


def decisive(config: Config, judges: bool = True) -> Config:
    """What of a config decides what comes of a run.

    Rows count by what they hold and not by where they lie, a checkpoint by how it was made.

    Args:
        config: The config.
        judges: Whether completions are judged; training does not depend on who judges and how.
    """
    model, data = copy.deepcopy(config["model"]), dict(config["data"]["init_args"])
    for part in ("train", "val", "test"):
        data.pop(part, None)
    model["init_args"]["policy"].get("init_args", {}).pop("checkpoint", None)
    for key in () if judges else ("metrics", "eval_params"):
        model["init_args"].pop(key)
    kept = {key: config[key] for key in ("seed_everything", "trainer")}
    return {**kept, "model": model, "data": {"class_path": config["data"]["class_path"], "init_args": data}}
