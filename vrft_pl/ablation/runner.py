"""Carries out the cells of an ablation, each once, whoever else is at it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from vrft_pl.ablation.compose import read_yaml, stage_config
from vrft_pl.ablation.config import Ablation, checked_metric
from vrft_pl.ablation.identity import digest
from vrft_pl.ablation.protocol import Commands
from vrft_pl.ablation.search import GridSearch, Trial, Values, at_edge, beyond
from vrft_pl.ablation.sections import label
from vrft_pl.ablation.store import Busy, Store, slug
from vrft_pl.ablation.training import Training
from vrft_pl.policy.checkpoint import check_folder
from vrft_pl.runs import RunFolder
from vrft_pl.runs.ablation import in_rows
from vrft_pl.types import InputError

PATIENCE = 1.0
"""Seconds between two looks at what other workers do."""
REFUSED = -math.inf
"""Score of values beyond a grid that a run does not take; no trial of those that every arm is given."""


class Cell(NamedTuple):
    """One arm with one size of training set and one seed."""

    arm: str
    rows: float
    seed: int

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"cells/{slug(self.arm)}-rows{label(self.rows)}-seed{self.seed}"


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
        self.training = Training(ablation, store, commands, keep_checkpoints)
        self.arms = self.training.arms
        if len({slug(name).lower() for name in self.arms}) < len(self.arms):
            raise InputError(f"Expected names of arms that differ in letters and digits, but got {list(self.arms)}.")
        self._identities = {name: self.identity(name) for name in self.arms}

    @property
    def cells(self) -> list[Cell]:
        """All cells, by seed, so that every arm has one seed before any has two."""
        ablation = self.ablation
        return [Cell(a, size, seed) for seed in ablation.seeds for size in ablation.rows for a in ablation.arms]

    def identity(self, arm: str) -> str:
        """A name for all of the config that decides what comes of an arm: what another config left is not taken for it.

        Of the rows and the weights the runs themselves know.
        """
        ablation = self.ablation
        stages = self.arms[arm].stages
        recipes = [ablation.recipes[stage.recipe] for stage in stages]
        files = [read_yaml(file) for recipe in recipes for file in recipe.files]
        shared = ("policy", "data", "metrics", "eval_params", "draw", "rows_seed", "same_rows", "match", "search")
        return digest(
            [plain(stage) for stage in stages], self.arms[arm].asked_in, plain(recipes), files, self.training.origin,
            plain(ablation.suites), dict(ablation.trainer), *(plain(getattr(ablation, name)) for name in shared),
        )  # fmt: skip

    def kept(self, cell: Cell) -> dict[str, Any]:
        """What was written down of a cell; nothing if that was under another config."""
        kept = self.store.read(f"{cell.name}.json") or {}
        return kept if kept.get("identity") == self._identities[cell.arm] else {}

    def state(self, cell: Cell) -> str:
        """``done``, ``failed``, ``running`` or ``waiting``."""
        if self.store.busy(cell.name):
            return "running"
        state = self.kept(cell).get("state", "waiting")
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
        of = {**cell._asdict(), "identity": self._identities[cell.arm]}
        self.store.write(f"{cell.name}.json", {**of, "state": "running", "since": start})
        try:
            result = self.result(cell)
        except (InputError, RuntimeError, OSError) as error:  # such as out of memory: other cells may have less to do
            result = {"state": "failed", "error": str(error) or type(error).__name__}
            self.told(f"{describe(cell)} failed: {error}")
        seconds = round(time.time() - start, 1)
        self.store.write(f"{cell.name}.json", {**of, **result, "wall_seconds": seconds})
        if result["state"] == "done":
            self.told(f"{describe(cell)} done in {seconds:.0f} s")
            for contrast in self.ablation.contrasts:  # now, and not when everything is trained
                checked_metric(contrast.metric, [*result["scores"]])

    def result(self, cell: Cell) -> dict[str, Any]:
        """Train and judge a cell."""
        arm = self.arms[cell.arm]
        values = self.found(cell.arm, cell.rows)
        drawn = self.training.pool.drawn(cell.rows, cell.seed)
        chain = self.training.chain(cell.arm, cell.rows, cell.seed, values)
        tests = {name: self.training.judged(arm, name, chain, drawn) for name in self.ablation.all_suites}
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

    # hyper-parameters

    def found(self, arm: str, size: float) -> Values:
        """Hyper-parameters of an arm: those that do best on the validation rows."""
        options, space = self.ablation.search, self.ablation.searched(self.arms[arm])
        if options is None or not space:
            return {}
        name = self.search_name(arm, size)
        size = size if options.rows is None else options.rows
        with self.store.only(name):
            trials: list[Trial] = []
            enough = options.trials * (len(space) if options.per_value else 1)
            while sum(trial.mean > REFUSED for trial in trials) < enough:
                values = (options.method or GridSearch()).propose(space, trials)
                if values is None:
                    break
                try:
                    scores = tuple(self.tried(arm, size, seed, values) for seed in options.seeds)
                except InputError:
                    if not beyond(values, space):
                        raise
                    scores = (REFUSED,) * len(options.seeds)  # such as a share above 1: the search went too far
                trials.append(Trial(values, scores))
            best = max(trials, key=lambda trial: trial.mean)
            rows = [
                {**told(t), "chosen": t is best, "at_edge": at_edge(t.values, trials, space)}
                for t in trials
            ]  # fmt: skip
            of = {"arm": arm, "rows": size, "metric": options.metric, "identity": self._identities[arm]}
            self.store.write(f"{name}.json", {**of, "trials": rows})
        return best.values

    def search_name(self, arm: str, size: float) -> str:
        """What the file of a search is called."""
        options = self.ablation.search
        return f"search/{slug(arm)}-rows{label(size if options is None or options.rows is None else options.rows)}"

    def searches(self) -> Iterator[dict[str, Any]]:
        """All of the search, as far as it is of this config."""
        for arm in self.arms:
            for name in dict.fromkeys(self.search_name(arm, size) for size in self.ablation.rows):
                kept = self.store.read(f"{name}.json")
                if kept is not None and kept.get("identity") == self._identities[arm]:
                    yield kept

    def tried(self, arm: str, size: float, seed: int, values: Values) -> float:
        """Score of an arm on the validation rows."""
        assert self.ablation.search is not None
        chain = self.training.chain(arm, size, seed, values, validate=True)
        scores = chain.stages[-1].summary()["after"]
        name = f"val/{self.ablation.search.metric}"
        if scores.get(name) is None:
            raise InputError(
                f"Expected `search.metric` to be one of {', '.join(sorted(n.removeprefix('val/') for n in scores))}, "
                f"but got {self.ablation.search.metric!r}."
            )
        if not math.isfinite(score := float(scores[name])):
            raise InputError(f"Expected `search.metric` to be a number, but it is {score} for {values or 'no values'}.")
        return score

    def check_inputs(self) -> Iterator[str]:
        """Look for the policy that every arm starts from, and open the pool of rows."""
        try:
            check_folder(str(self.ablation.policy.get("init_args", {}).get("checkpoint", "")))
            self.training.pool.source()
        except InputError as error:
            yield str(error)

    def check(self) -> Iterator[str]:
        """Parse the config of every stage, so that a misspelt key is found before anything is trained."""
        seen = set()
        for name, arm in self.arms.items():
            for i, stage in enumerate(arm.stages):
                kind = digest(stage.recipe, stage.style, stage.set)
                if kind in seen:
                    continue
                seen.add(kind)
                section = self.training.pool.listed(self.store.path / "rows.jsonl")
                try:
                    config = stage_config(self.ablation, stage, None, section, {}, 0)
                    config["run"] = self.training.tracking(name, stage)
                    self.commands.check(self.store.config(f"check-{slug(name)}-{i}", config))
                except InputError as error:
                    yield f"arm `{name}`, stage {i + 1}: {error}"


def by_part(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Scores of an evaluation, by ``<part>/<Name>``."""
    return {name.removeprefix("test/"): value for name, value in scores.items() if value is not None}


def flat(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Scores of all suites, by ``<suite>/<part>/<Name>``."""
    return {f"{suite}/{name}": value for suite, of_suite in scores.items() for name, value in of_suite.items()}


def told(trial: Trial) -> dict[str, Any]:
    """A trial as JSON holds it; values that are refused have no score."""
    scores = [None if score == REFUSED else score for score in trial.scores]
    return {"values": trial.values, "scores": scores, "mean": None if trial.mean == REFUSED else trial.mean}


def describe(cell: Cell) -> str:
    """A cell as a line names it."""
    return f"{cell.arm}, {in_rows(label(cell.rows))}, seed {cell.seed}"


def plain(value: Any) -> Any:
    """A part of a config as values that JSON can hold; what was built by its class and its arguments."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, str | int | float | bool | None):
        return value
    return [type(value).__name__, plain(vars(value))]
