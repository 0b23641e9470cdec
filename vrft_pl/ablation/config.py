"""What an ablation is, as its YAML file says it, and what does not go together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vrft_pl.ablation.arms import Arm, Stage, arm_of
from vrft_pl.ablation.search import numeric
from vrft_pl.ablation.sections import TARGET, ContrastSpec, Match, Recipe, Role, SearchOptions, Section, Suite
from vrft_pl.types import InputError

MOST_SEED = 2**32 - 1
"""The greatest seed that `seed_everything` takes."""
LINE = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029]+")
"""A name that stands in a table and a script."""
GIVEN = (
    "seed_everything",
    "run",
    "trainer.max_steps",
    "trainer.max_epochs",
    "trainer.max_time",
    "trainer.limit_train_batches",
    "trainer.overfit_batches",
    "data.class_path",
    "data.init_args.style",
    "data.init_args.train",
    "data.init_args.val",
    "data.init_args.test",
    "model.init_args.policy.init_args.checkpoint",
    "model.init_args.metrics",
    "model.init_args.eval_params",
    "model.init_args.eval_samples",
)
"""What an arm can't set: its rows, its length and how it is judged are those of all arms."""


@dataclass(frozen=True)
class Ablation:
    """Arms x sizes of the training set x seeds, on the same rows, at a matched cost, after an equal search.

    Args:
        name: Of the ablation: title of its report, group in W&B.
        recipes: How stages train, by name; the shipped arms know ``sft`` and ``rft``.
        arms: By the name that tables show: the name of a shipped arm, the path of an `Arm`, or a list of stages.
        policy: A ``policy`` section: where every arm starts.
        data: A ``data`` section: ``train`` is the pool that rows are drawn from, ``val`` the rows that the search
            looks at, ``test`` those that are read once, at the end.
        metrics: A ``metrics`` section.
        eval_params: How held-out completions are drawn.
        rows: Sizes of the training set.
        draw: What a size counts: ``rows``, ``shots`` (rows of each class) or a ``fraction`` of the pool.
        seeds: Seeds of training, one cell each.
        rows_seed: Seed of the draw of the rows, apart from that of training. Each seed draws its own rows, the same for
            all arms; of two sizes the smaller is part of the larger.
        same_rows: Draw once, for all seeds: differences then say nothing of other rows.
        match: What all arms get the same of.
        search: How hyper-parameters are found; those of the recipes are used as they are where it is left out.
        roles: What each part of ``data.test`` stands for; ``in_domain`` where it is left out.
        suites: Held-out rows of other tasks, by name.
        contrasts: The primary ones; everything else is exploratory.
        trainer: A ``trainer`` section over those of all recipes: devices, precision and the like.
        run: A ``run`` section for all runs, such as ``wandb``.

    Raises:
        ValueError: If something does not go together.
    """

    name: str
    recipes: dict[str, Recipe]
    arms: dict[str, str | list[Stage]]
    policy: Section
    data: Section
    metrics: list[Section]
    rows: list[float]
    eval_params: Section = field(default_factory=lambda: Section(temperature=0.0))
    draw: Literal["rows", "shots", "fraction"] = "rows"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2, 3, 4])
    rows_seed: int = 0
    same_rows: bool = False
    match: Match = field(default_factory=Match)
    search: SearchOptions | None = None
    roles: dict[str, Role] = field(default_factory=dict)
    suites: dict[str, Suite] = field(default_factory=dict)
    contrasts: list[ContrastSpec] = field(default_factory=list)
    trainer: Section = field(default_factory=Section)
    run: Section = field(default_factory=Section)

    def __post_init__(self) -> None:
        self._check_names()
        self._check_sizes()
        steps = 1 if self.match.steps is None else self.match.steps
        if not 0 < self.match.amount < math.inf or self.match.pilot < 1 or steps < 1:
            raise ValueError(f"Expected `match` to be above 0, but got {self.match}.")
        self._check_parts()
        if self.search:
            self._check_search(self.search)
        for name, arm in self.all_arms.items():
            self._check_arm(name, arm)
        for contrast in self.contrasts:
            self._check_contrast(contrast)

    @property
    def all_arms(self) -> dict[str, Arm]:
        """The arms, by name."""
        return {name: arm_of(name, value) for name, value in self.arms.items()}

    @property
    def all_suites(self) -> dict[str, Suite]:
        """The suites, that of the task first."""
        roles: Mapping[str, Role] = dict.fromkeys(self.data["init_args"]["test"], "in_domain")
        target = Suite(self.data, self.metrics, roles={**roles, **self.roles})
        return {TARGET: target, **self.suites}

    def searched(self, arm: Arm) -> dict[str, list[Any]]:
        """What is searched for an arm, by the position of the stage and the dotted key: ``0.model.init_args...``."""
        if self.search is None:
            return {}
        return {
            f"{i}.{key}": values
            for i, stage in enumerate(arm.stages)
            for key, values in self.recipes[stage.recipe].search.items()
        }

    def _check_names(self) -> None:
        counted: dict[str, Sequence[float | str]] = {"arms": list(self.arms), "rows": self.rows, "seeds": self.seeds}
        for name, numbers in counted.items():
            if not numbers:
                raise ValueError(f"Expected `{name}` to name at least one, but it is empty.")
            if len(set(numbers)) < len(numbers):
                raise ValueError(f"Expected `{name}` to name each once, but got {numbers}.")
        for name in (self.name, *self.arms, *self.suites):
            if not LINE.fullmatch(name) or not name.strip():
                raise ValueError(f"Expected names of one line, but got {name!r}.")
            if name not in self.arms and set("/\\") & set(name):
                raise ValueError(f"Expected names of ablation and `suites` without a slash, but got {name!r}.")
        if TARGET in self.suites:
            raise ValueError(f"Expected another name than `{TARGET}` in `suites`: that is the task that is trained on.")

    def _check_sizes(self) -> None:
        whole = self.draw != "fraction"
        sizes = [*self.rows, *(() if self.search is None or self.search.rows is None else (self.search.rows,))]
        if wrong := [n for n in sizes if not (n >= 1 and float(n).is_integer() if whole else 0 < n <= 1)]:
            raise ValueError(
                f"Expected `rows` to be {'whole numbers of at least 1' if whole else 'above 0 and at most 1'} with "
                f"`draw: {self.draw}`, but got {wrong}."
            )
        for name, seeds in {"seeds": self.seeds, "search.seeds": self.search.seeds if self.search else ()}.items():
            if wrong := [seed for seed in seeds if not 0 <= seed <= MOST_SEED]:
                raise ValueError(f"Expected `{name}` to be from 0 to {MOST_SEED}, but got {wrong}.")

    def _check_parts(self) -> None:
        for section in ("class_path", "init_args"):
            if section not in self.data:
                raise ValueError(f"Expected `data` to have a `{section}`, but it has {sorted(self.data)}.")
        if not self.data["init_args"].get("train"):
            raise ValueError("Expected `data.init_args.train` to name the pool that rows are drawn from, but got none.")
        suites: dict[str, Ablation | Suite] = {TARGET: self, **self.suites}
        for name, suite in suites.items():
            where = "" if name == TARGET else f" of suite `{name}`"
            if not suite.data.get("init_args", {}).get("test"):
                raise ValueError(
                    f"Expected `data.init_args.test`{where} to name the parts that are read at the end, but got none."
                )
            metrics = [repr(dict(metric)) for metric in suite.metrics]
            if not metrics or len(set(metrics)) < len(metrics):
                raise ValueError(f"Expected `metrics`{where} to name at least one, each once, but got {metrics}.")
        for name, judged in self.all_suites.items():
            if unknown := set(judged.roles) - set(parts := judged.data["init_args"]["test"]):
                raise ValueError(
                    f"Expected `roles` of suite `{name}` to name parts out of {sorted(parts)}, but got "
                    f"{sorted(unknown)}."
                )

    def _check_search(self, search: SearchOptions) -> None:
        if search.trials < 1 or not search.seeds or set(search.seeds) & set(self.seeds):
            raise ValueError(
                "Expected `search` to have at least one trial and seeds apart from those of the comparison, but got "
                f"{search.trials} and {search.seeds}."
            )
        val = self.data["init_args"].get("val") or {}
        if (part := search.metric.rpartition("/")[0]) not in val:
            raise ValueError(
                f"Expected `search.metric` to be <part>/<Name> of a part of `data.init_args.val`, {sorted(val)}, but "
                f"got part {part!r}."
            )
        for name, recipe in self.recipes.items():
            for key, values in recipe.search.items():
                if not (isinstance(values, list) and values) or (numeric(values) and values != sorted(set(values))):
                    raise ValueError(
                        f"Expected `search.{key}` of recipe `{name}` to name values, numbers from the least to the "
                        f"greatest, but got {values}."
                    )

    def _check_arm(self, name: str, arm: Arm) -> None:
        if unknown := {stage.recipe for stage in arm.stages} - set(self.recipes):
            raise ValueError(f"Expected `recipes` to have {sorted(unknown)} for arm `{name}`, but it has "
                             f"{sorted(self.recipes)}.")  # fmt: skip
        shares = [stage.share for stage in arm.stages]
        if shares and not (all(share > 0 for share in shares) and abs(sum(shares) - 1) <= 1e-6):
            raise ValueError(
                f"Expected the shares of the stages of arm `{name}` to be above 0 and add up to 1, but got {shares}."
            )
        for stage in arm.stages:
            recipe = self.recipes[stage.recipe]
            keys = [*recipe.set, *stage.set, *(recipe.search if self.search else ())]
            if wrong := sorted(key for key in keys if any(within(key, name) or within(name, key) for name in GIVEN)):
                raise ValueError(
                    f"Expected arm `{name}` to leave to the ablation what all arms share, but it sets "
                    f"{', '.join(wrong)}."
                )

    def _check_contrast(self, contrast: ContrastSpec) -> None:
        if contrast.arm == contrast.against or self.contrasts.count(contrast) > 1:
            raise ValueError(f"Expected each of `contrasts` once, of two arms, but got {contrast}.")
        if unknown := {contrast.arm, contrast.against} - set(self.arms):
            raise ValueError(
                f"Expected `contrasts` to name arms out of {sorted(self.arms)}, but got {sorted(unknown)}."
            )
        if contrast.rows is not None and contrast.rows not in self.rows:
            raise ValueError(f"Expected `contrasts` to name rows out of {self.rows}, but got {contrast.rows}.")
        parts = {f"{n}/{part}" for n, suite in self.all_suites.items() for part in suite.data["init_args"]["test"]}
        part = contrast.metric.rpartition("/")[0]
        if part not in parts and f"{TARGET}/{part}" not in parts:
            raise ValueError(
                f"Expected `contrasts` to name a metric of {', '.join(sorted(parts))}, as in "
                f"{sorted(parts)[0]}/<Name>, but got {contrast.metric!r}."
            )


def within(key: str, section: str) -> bool:
    """Whether a dotted key is that of a section or leads into it."""
    return f"{key}.".startswith(f"{section}.")


def checked_metric(metric: str, keys: Sequence[str]) -> str:
    """Find the logged number that a contrast names.

    Raises:
        InputError: If there is none of that name.
    """
    for key in (metric, f"{TARGET}/{metric}"):
        if key in keys:
            return key
    raise InputError(
        f"Expected a contrast to name one of {', '.join(sorted(keys)) or 'no metric'}, but got {metric!r}."
    )
