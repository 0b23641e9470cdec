"""Carries out the cells of an ablation, each once, whoever else is at it."""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from vrft_pl.ablation.arms import Arm, Selection, Stage
from vrft_pl.ablation.compose import JUDGE, digest, judging, prompts_a_step, stage_config, task, test_config
from vrft_pl.ablation.config import Ablation, Config, label
from vrft_pl.ablation.rows import Probe, draw
from vrft_pl.ablation.search import GridSearch, Trial, Values, at_edge
from vrft_pl.ablation.store import Busy, Store, slug
from vrft_pl.data import Source, fingerprint
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

COSTS = ("samples", "optimizer_steps", "generated_tokens", "trained_tokens", "seconds", "flops")
"""What a run cost, as `CostMeter` counts it."""
UNITS = {"samples": "samples", "steps": "optimizer_steps"}
"""What `Match.by` is called there, where the names differ."""
PATIENCE = 1.0
"""Seconds between two looks at what other workers do."""


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


class Cell(NamedTuple):
    """One arm with one size of training set and one seed."""

    arm: str
    rows: float
    seed: int

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"cells/{slug(self.arm)}-rows{label(self.rows)}-seed{self.seed}"


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


class Runner:
    """Does what is left to do.

    Args:
        ablation: What is compared.
        store: Its folder.
        commands: Train, judge and sample.
        told: Called with a line when a cell or a trial ends.
        keep_checkpoints: Keep the checkpoints of finished runs, which only resuming needs.
    """

    def __init__(
        self,
        ablation: Ablation,
        store: Store,
        commands: Commands,
        told: Callable[[str], None] = print,
        keep_checkpoints: bool = False,
    ) -> None:
        self.ablation, self.store, self.commands, self.told = ablation, store, commands, told
        self.keep_checkpoints = keep_checkpoints
        self.arms = ablation.all_arms
        if len({slug(name) for name in self.arms}) < len(self.arms):
            raise InputError(f"Expected names of arms that differ in letters and digits, but got {list(self.arms)}.")

    @property
    def cells(self) -> list[Cell]:
        """All cells, by seed, so that every arm has one seed before any has two."""
        ablation = self.ablation
        return [Cell(a, size, seed) for seed in ablation.seeds for size in ablation.rows for a in ablation.arms]

    def state(self, cell: Cell) -> str:
        """``done``, ``failed``, ``running`` or ``waiting``."""
        if self.store.busy(cell.name):
            return "running"
        state = (self.store.read(f"{cell.name}.json") or {}).get("state", "waiting")
        return "waiting" if state == "running" else str(state)

    def run(self, cells: Sequence[Cell] | None = None) -> None:
        """Carry out cells until none is left that is not done or has failed; those of other workers are waited for."""
        left = list(self.cells if cells is None else cells)
        while left:
            busy = [cell for cell in left if not self.attempt(cell)]
            if len(busy) == len(left):
                time.sleep(PATIENCE)
            left = busy

    def attempt(self, cell: Cell) -> bool:
        """Carry out a cell; ``False`` where another worker is at it, or at something that it needs."""
        try:
            with self.store.only(cell.name):
                self.carry_out(cell)
        except Busy:
            return False
        return True

    def carry_out(self, cell: Cell) -> None:
        """Train and judge a cell, and write down what came of it. A wrong input ends the cell, and not the ablation."""
        start = time.time()
        self.store.write(f"{cell.name}.json", {**cell._asdict(), "state": "running", "since": start})
        try:
            result = self.result(cell)
        except (InputError, RuntimeError, OSError) as error:  # such as out of memory: other cells may have less to do
            result = {"state": "failed", "error": str(error) or type(error).__name__}
            self.told(f"{describe(cell)} failed: {error}")
        seconds = round(time.time() - start, 1)
        self.store.write(f"{cell.name}.json", {**cell._asdict(), **result, "wall_seconds": seconds})
        if result["state"] == "done":
            self.told(f"{describe(cell)} done in {seconds:.0f} s")

    def result(self, cell: Cell) -> dict[str, Any]:
        """Train and judge a cell."""
        arm = self.arms[cell.arm]
        values = self.found(cell.arm, cell.rows)
        drawn = self.drawn(cell.rows, cell.seed)
        chain = self.chain(cell.arm, cell.rows, cell.seed, values)
        tests = {name: self.judged(arm, name, chain, drawn) for name in self.ablation.all_suites}
        scores = {suite: by_part(run.scores()) for suite, run in tests.items()}
        constants = {suite: by_part(run.constants()) for suite, run in tests.items()}
        return {
            "state": "done",
            "key": chain.key,
            "stages": [self.relative(run) for run in chain.stages],
            "tests": {suite: self.relative(run) for suite, run in tests.items()},
            "scores": flat(scores),
            "constants": flat(constants),
            "cost": dict(chain.cost),
            "values": values,
            "rows_hash": drawn.hash,
        }

    def relative(self, run: RunFolder) -> str:
        """A folder as results name it."""
        return run.path.relative_to(self.store.path).as_posix()

    # rows

    def drawn(self, size: float, seed: int) -> Drawn:
        """Draw the rows of a size and a seed, once for all arms."""
        ablation = self.ablation
        seed = ablation.rows_seed if ablation.same_rows else ablation.rows_seed + seed
        pool = ablation.data["init_args"]["train"]
        name = f"rows/{ablation.draw}{label(size)}-seed{seed}-{digest(pool, ablation.draw)}"
        path = self.store.path / f"{name}.jsonl"
        known = self.store.read(f"{name}.json")
        if known is None:
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
        known = self.store.read(f"{name}.json")
        if known is None:
            with self.store.only(name):
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

    # hyper-parameters

    def found(self, arm: str, size: float) -> Values:
        """Hyper-parameters of an arm: those that do best on the validation rows."""
        options, space = self.ablation.search, self.ablation.searched(self.arms[arm])
        if options is None or not space:
            return {}
        size = size if options.rows is None else options.rows
        name = f"search/{slug(arm)}-rows{label(size)}"
        with self.store.only(name):
            trials: list[Trial] = []
            while len(trials) < options.trials:
                values = (options.method or GridSearch()).propose(space, trials)
                if values is None:
                    break
                scores = tuple(self.tried(arm, size, seed, values) for seed in options.seeds)
                trials.append(Trial(values, scores))
            best = max(trials, key=lambda trial: trial.mean)
            rows = [
                {**asdict(t), "mean": t.mean, "chosen": t is best, "at_edge": at_edge(t.values, trials)}
                for t in trials
            ]  # fmt: skip
            self.store.write(f"{name}.json", {"arm": arm, "rows": size, "metric": options.metric, "trials": rows})
        return best.values

    def tried(self, arm: str, size: float, seed: int, values: Values) -> float:
        """Score of an arm on the validation rows."""
        assert self.ablation.search is not None
        chain = self.chain(arm, size, seed, values, validate=True)
        scores = chain.stages[-1].summary()["after"]
        name = f"val/{self.ablation.search.metric}"
        if scores.get(name) is None:
            raise InputError(
                f"Expected `search.metric` to be one of {', '.join(sorted(n.removeprefix('val/') for n in scores))}, "
                f"but got {self.ablation.search.metric!r}."
            )
        return float(scores[name])

    # held-out rows

    def judged(self, arm: Arm, suite: str, chain: Chain, drawn: Drawn) -> RunFolder:
        """Judge what an arm ended with on a suite, unless it was."""
        train = drawn.section if chain.stages and suite == "target" else None
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

    def check(self) -> Iterator[str]:
        """Parse the config of every stage, so that a misspelt key is found before anything is trained."""
        seen = set()
        for name, arm in self.arms.items():
            for i, stage in enumerate(arm.stages):
                kind = digest(stage.recipe, stage.style, stage.set)
                if kind in seen:
                    continue
                seen.add(kind)
                section = self.listed(self.store.path / "rows.jsonl")
                config = stage_config(self.ablation, stage, None, section, {}, 0)
                config["run"] = self.tracking(name, stage)
                try:
                    self.commands.check(self.config(f"check-{slug(name)}-{i}", config))
                except InputError as error:
                    yield f"arm `{name}`, stage {i + 1}: {error}"


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


def by_part(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Scores of an evaluation, by ``<part>/<Name>``."""
    return {name.removeprefix("test/"): value for name, value in scores.items() if value is not None}


def flat(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Scores of all suites, by ``<suite>/<part>/<Name>``."""
    return {f"{suite}/{name}": value for suite, of_suite in scores.items() for name, value in of_suite.items()}


def describe(cell: Cell) -> str:
    """A cell as a line names it."""
    return f"{cell.arm}, {label(cell.rows)} rows, seed {cell.seed}"
