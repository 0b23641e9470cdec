"""What came of an ablation: scores of all cells, contrasts with their intervals, curves, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vrft_pl.ablation.config import checked_metric
from vrft_pl.ablation.runner import Runner
from vrft_pl.ablation.sections import ContrastSpec, label
from vrft_pl.ablation.statistics import area_under, crossed_bootstrap, holm, paired_t, seeds_needed
from vrft_pl.ablation.training import COSTS
from vrft_pl.ablation.verdicts import MIN_SEEDS, sentence, verdict
from vrft_pl.runs import RunFolder
from vrft_pl.runs.ablation import AblationResults, Arm, Cell, Contrast, Cost, Curve, MetricInfo, Trial, in_rows

RESOLUTION = 0.03
"""Difference that `Contrast.seeds_needed` is reckoned for."""


class Scored(NamedTuple):
    """Cells by what they are of."""

    cells: dict[tuple[str, float, int], Cell]

    def of(self, arm: str, rows: float, seeds: Sequence[int], metric: str) -> dict[int, float]:
        """Scores by seed, of the cells that have one."""
        found = {
            seed: self.cells[arm, rows, seed].scores.get(metric) for seed in seeds if (arm, rows, seed) in self.cells
        }
        return {seed: score for seed, score in found.items() if score is not None}


def collect(runner: Runner) -> AblationResults:
    """Put together what is there; cells that are not done are named as what they are."""
    ablation = runner.ablation
    cells = tuple(cell_of(runner, *cell) for cell in runner.cells)
    scored = Scored({(c.arm, float(c.rows), c.seed): c for c in cells if c.state == "done"})  # type: ignore[arg-type]
    metrics = tuple(metrics_of(runner, cells))
    contrasts = tuple(contrasts_of(runner, scored, metrics))
    return AblationResults(
        name=ablation.name,
        arms=tuple(Arm(name, arm.description) for name, arm in runner.arms.items()),
        metrics=metrics,
        cells=cells,
        seeds=tuple(ablation.seeds),
        rows=tuple(map(named, ablation.rows)),
        config=runner.store.read_yaml(runner.store.ABLATION),
        search=tuple(trials_of(runner)),
        contrasts=contrasts,
        curves=tuple(curves_of(runner, scored, metrics)),
        verdict=tuple(verdict(contrasts, len(ablation.seeds))),
    )


def named(size: float) -> int | float:
    """A size without decimals that say nothing."""
    return int(size) if size == int(size) else size


def cell_of(runner: Runner, arm: str, rows: float, seed: int) -> Cell:
    """A cell as its file has it."""
    from vrft_pl.ablation.runner import Cell as Key

    key = Key(arm, rows, seed)
    kept = runner.kept(key)
    state: Any = runner.state(key)
    if state != "done":
        return Cell(arm, named(rows), seed, key.name, state=state, error=kept.get("error"))
    return Cell(
        arm=arm,
        rows=named(rows),
        seed=seed,
        folder=key.name,
        stages=tuple(kept["stages"]),
        tests=kept["tests"],
        state="done",
        scores=kept["scores"],
        constants=kept["constants"],
        cost=Cost(**{name: kept["cost"][name] for name in COSTS}),
        values=kept["values"],
        rows_hash=kept["rows_hash"],
    )


def metrics_of(runner: Runner, cells: Sequence[Cell]) -> Iterator[MetricInfo]:
    """The numbers that cells are judged by, in the order of the suites; what is logged below a metric is left out."""
    suites = runner.ablation.all_suites
    keys = dict.fromkeys(key for cell in cells for key in cell.scores if len(key.split("/")) == 3)
    for key in keys:
        suite, part, name = key.split("/")
        constants = [value for c in cells if (value := c.constants.get(key)) is not None]
        constant = float(np.mean(constants)) if constants else None
        yield MetricInfo(key, suite, part, name, suites[suite].roles.get(part, "other"), constant)


def contrasts_of(runner: Runner, scored: Scored, metrics: Sequence[MetricInfo]) -> Iterator[Contrast]:
    """The primary contrasts with Holm's correction, then all others between the same arms and against the first arm."""
    ablation, keys = runner.ablation, [metric.key for metric in metrics]
    if not keys:
        return
    named = [
        replace(c, metric=checked_metric(c.metric, keys), rows=c.rows or max(ablation.rows)) for c in ablation.contrasts
    ]
    primary = [contrast(runner, scored, spec, primary=True) for spec in named]
    tested = [i for i, c in enumerate(primary) if c.p is not None]
    adjusted = dict(zip(tested, holm([p for c in primary if (p := c.p) is not None]), strict=True))
    for i, c in enumerate(primary):
        done = replace(c, p_adjusted=adjusted.get(i))
        yield replace(done, sentence=sentence(done))
    first = next(iter(runner.arms))
    pairs = dict.fromkeys(
        [*((c.arm, c.against) for c in named), *((arm, first) for arm in runner.arms if arm != first)]
    )
    for (arm, against), rows, key in product(pairs, ablation.rows, keys):
        spec = ContrastSpec(arm, against, key, rows)
        if spec not in named:
            other = contrast(runner, scored, spec, primary=False)
            if other.pairs:
                yield replace(other, sentence=sentence(other))


def contrast(runner: Runner, scored: Scored, spec: ContrastSpec, primary: bool) -> Contrast:
    """Hold one arm against another: Student's t on the differences of seeds, the crossed bootstrap beside it."""
    assert spec.rows is not None
    seeds = runner.ablation.seeds
    ours, theirs = (scored.of(arm, spec.rows, seeds, spec.metric) for arm in (spec.arm, spec.against))
    shared = [seed for seed in seeds if seed in ours and seed in theirs]
    pairs = tuple(ours[seed] - theirs[seed] for seed in shared)
    name = f"{spec.arm} - {spec.against}, {spec.metric}, {in_rows(label(spec.rows))}"
    result = Contrast(name, spec.arm, spec.against, spec.metric, named(spec.rows), primary, pairs=pairs)
    if not pairs:
        return result
    result = replace(result, difference=float(np.mean(pairs)))
    if len(pairs) < MIN_SEEDS:
        return result
    interval = paired_t(pairs)
    needed = seeds_needed(float(np.std(pairs, ddof=1)), RESOLUTION)
    result = replace(result, low=interval.low, high=interval.high, p=interval.p, seeds_needed=needed)
    if not primary:
        return result
    own, other = (per_sample(runner, scored, arm, spec.rows, shared, spec.metric) for arm in (spec.arm, spec.against))
    if own is not None and other is not None and own.shape == other.shape:
        crossed = crossed_bootstrap(own, other)
        result = replace(result, bootstrap=(crossed.low, crossed.high))
    return result


def per_sample(
    runner: Runner, scored: Scored, arm: str, rows: float, seeds: Sequence[int], metric: str
) -> np.ndarray | None:
    """Scores of each held-out sample, shape (seeds, samples); ``None`` for a metric that is not a mean over samples."""
    suite, part, name = metric.split("/")
    table: list[dict[str, float]] = []
    for seed in seeds:
        folder = RunFolder(runner.store.path / scored.cells[arm, rows, seed].tests[suite])
        records = (record for record in folder.predictions() if record.split == part)
        table.append({record.id: record.scores[name] for record in records if name in record.scores})
    ids = list(table[0])
    if not ids or any(list(row) != ids for row in table):
        return None
    return np.array([list(row.values()) for row in table])


def curves_of(runner: Runner, scored: Scored, metrics: Sequence[MetricInfo]) -> Iterator[Curve]:
    """Scores by the size of the training set, with intervals of Student's t over seeds."""
    sizes = sorted(runner.ablation.rows)
    if len(sizes) < 2:
        return
    for arm, metric in product(runner.arms, metrics):
        by_size = {size: [*scored.of(arm, size, runner.ablation.seeds, metric.key).values()] for size in sizes}
        known = {size: scores for size, scores in by_size.items() if scores}
        if len(known) < 2:
            continue
        means = [float(np.mean(scores)) for scores in known.values()]
        ends = [interval_of(scores) for scores in known.values()]
        low, high = zip(*ends, strict=True)
        yield Curve(arm, metric.key, tuple(known), tuple(means), low, high, float(area_under([*known], means)))


def interval_of(scores: Sequence[float]) -> tuple[float | None, float | None]:
    """The interval of a mean over seeds."""
    if len(scores) < 2:
        return None, None
    interval = paired_t(scores)
    return interval.low, interval.high


def trials_of(runner: Runner) -> Iterator[Trial]:
    """All of the search."""
    for kept in runner.searches():
        for i, trial in enumerate(kept["trials"]):
            yield Trial(
                kept["arm"],
                i,
                trial["values"],
                tuple(trial["scores"]),
                trial["mean"],
                trial["chosen"],
                trial["at_edge"],
            )


def print_results(results: AblationResults, folder: Path) -> None:
    """Print each arm's mean and deviation over seeds, what it cost, and the verdict."""
    console = Console(soft_wrap=True)
    shown = [metric for metric in results.metrics if metric.name != "Format"] or list(results.metrics)
    for rows in results.rows:
        done = {
            arm.name: [c for c in results.cells if (c.arm, c.rows, c.state) == (arm.name, rows, "done")]
            for arm in results.arms
        }
        console.print(
            score_table(f"{escape(results.name)}, {in_rows(rows)}: mean and deviation over seeds", done, shown)
        )
        console.print(cost_table(f"{escape(results.name)}, {in_rows(rows)}: cost of a cell", done))
    for line in results.verdict:
        console.print(line, markup=False)
    console.print(f"Files: {folder}. A page: vrft_pl report {folder}", markup=False)


def score_table(title: str, done: Mapping[str, Sequence[Cell]], metrics: Sequence[MetricInfo]) -> Table:
    """A line an arm, and one for the best answer that looks at nothing."""
    table = Table(title=title)
    table.add_column("arm", no_wrap=True)
    for metric in metrics:
        table.add_column(escape(metric.key.removeprefix("target/")), justify="right")
    for arm, cells in done.items():
        table.add_row(escape(arm), *(spread([cell.scores.get(metric.key) for cell in cells]) for metric in metrics))
    if any(metric.constant is not None for metric in metrics):
        table.add_row(
            "best constant", *("" if m.constant is None else f"{m.constant:.3f}" for m in metrics), style="dim"
        )
    return table


def cost_table(title: str, done: Mapping[str, Sequence[Cell]]) -> Table:
    """What a cell of each arm took on average."""
    table = Table(title=title)
    table.add_column("arm", no_wrap=True)
    for cost in COSTS:
        table.add_column(cost.removeprefix("optimizer_").replace("_", " "), justify="right")
    for arm, cells in done.items():
        means = [float(np.mean([getattr(cell.cost, name) for cell in cells])) if cells else 0.0 for name in COSTS]
        table.add_row(
            escape(arm),
            *(
                f"{mean:.2g}" if name in ("seconds", "flops") else f"{mean:,.0f}"
                for name, mean in zip(COSTS, means, strict=True)
            ),
        )
    return table


def spread(scores: Sequence[float | None]) -> str:
    """Mean and deviation over seeds."""
    known = [score for score in scores if score is not None]
    if not known:
        return ""
    return f"{np.mean(known):.3f}" + (f" ±{np.std(known, ddof=1):.3f}" if len(known) > 1 else "")


def changed_keys(earlier: Any, later: Any, path: str = "") -> list[str]:
    """Dotted keys whose values differ between two configs."""
    if isinstance(earlier, dict) and isinstance(later, dict):
        names = dict.fromkeys([*earlier, *later])
        return [
            key for n in names for key in changed_keys(earlier.get(n), later.get(n), f"{path}.{n}" if path else str(n))
        ]
    return [] if earlier == later else [path]
