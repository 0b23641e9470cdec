"""What an ablation leaves: every cell and its scores, the search, the contrasts and what they allow to be said."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, TypeAdapter, ValidationError

from vrft_pl.runs.files import write_json
from vrft_pl.runs.folder import RunFolder
from vrft_pl.types import InputError

State = Literal["waiting", "running", "done", "failed"]
"""How far a cell is."""
Role = Literal["in_domain", "out_of_domain", "home", "other"]
"""What a metric tells of: the domain trained on, one never seen, the domain the base comes from, another family."""


def whole(rows: int | float | str | None) -> int | float | str | None:
    """Write a whole number without a point: 64 rows, not 64.0.

    Example:
        >>> whole(64.0), whole(0.5), whole("all")
        (64, 0.5, 'all')
    """
    return int(rows) if isinstance(rows, float) and rows.is_integer() else rows


Rows = Annotated[int | float | str | None, AfterValidator(whole)]
"""How many rows were drawn, as the config says it; ``None`` where an arm sees none, as the base."""


def in_rows(rows: Rows) -> str:
    """A size in words.

    Example:
        >>> in_rows(1), in_rows(64), in_rows("all")
        ('1 row', '64 rows', 'all rows')
    """
    return f"{rows} row" if str(rows) == "1" else f"{rows} rows"


@dataclass(frozen=True)
class Arm:
    """A way to train that is compared with others."""

    name: str
    """As the config names it."""
    description: str = ""
    """One line for people."""


@dataclass(frozen=True)
class MetricInfo:
    """A number that every cell is judged by."""

    key: str
    """``suite/part/name``."""
    suite: str
    """The evaluation that it is of."""
    part: str
    """The held-out part."""
    name: str
    """As the metric is logged."""
    role: Role
    """What it tells of."""
    constant: float | None = None
    """What the best answer that looks at nothing gets."""


@dataclass(frozen=True)
class Cost:
    """What training a cell took; the base takes nothing."""

    samples: float = 0
    """Rows seen, each as often as it was."""
    optimizer_steps: float = 0
    """Updates of the weights."""
    generated_tokens: float = 0
    """Tokens sampled."""
    trained_tokens: float = 0
    """Tokens in a loss."""
    seconds: float = 0
    """Of training."""
    flops: float = 0
    """Of all forward and backward passes."""


@dataclass(frozen=True)
class Cell:
    """One arm at one size and seed."""

    arm: str
    """Name of the arm."""
    rows: Rows
    """Its size."""
    seed: int
    """Its seed of training."""
    folder: str
    """Where it lies; this and the other paths from the ablation's folder."""
    stages: tuple[str, ...] = ()
    """The run of each stage."""
    tests: dict[str, str] = field(default_factory=dict)
    """The run of ``vrft_pl test`` of each suite."""
    state: State = "waiting"
    """How far it is."""
    error: str | None = None
    """Why it failed."""
    scores: dict[str, float | None] = field(default_factory=dict)
    """By the key of each metric."""
    cost: Cost = field(default_factory=Cost)
    """What it took."""
    values: dict[str, Any] = field(default_factory=dict)
    """Hyper-parameters that the search chose."""
    constants: dict[str, float | None] = field(default_factory=dict)
    """What the best answer that looks at nothing gets, by the key of each metric."""
    rows_hash: str | None = None
    """Of the ids and pixels of the rows it saw."""


@dataclass(frozen=True)
class Trial:
    """One setting of the search of one arm."""

    arm: str
    """Name of the arm."""
    trial: int
    """Its number, from 0."""
    values: dict[str, Any]
    """The hyper-parameters."""
    scores: tuple[float | None, ...] = ()
    """On the validation rows, by seed."""
    mean: float | None = None
    """Over seeds."""
    chosen: bool = False
    """Whether the arm goes on with it."""
    at_edge: bool = False
    """Whether a value is the first or last of its grid."""


@dataclass(frozen=True)
class Contrast:
    """One arm against another on one metric. What can't be computed is ``None``."""

    name: str
    """What is asked."""
    arm: str
    """The arm whose gain it is."""
    against: str
    """The arm it is held against."""
    metric: str
    """Key of the metric."""
    rows: Rows = None
    """The size."""
    primary: bool = False
    """Whether the config named it before any result was there; the others are exploratory."""
    difference: float | None = None
    """Mean over seeds of the paired differences."""
    low: float | None = None
    """Lower end of the 95 % interval of Student's t over seeds."""
    high: float | None = None
    """Upper end."""
    p: float | None = None
    """Of the paired t-test."""
    p_adjusted: float | None = None
    """By Holm's correction, over the primary ones."""
    bootstrap: tuple[float | None, float | None] | None = None
    """95 % interval of the crossed bootstrap of seeds and samples."""
    pairs: tuple[float | None, ...] = ()
    """Difference of each seed."""
    seeds_needed: int | None = None
    """For the resolution that the config wants."""
    sentence: str = ""
    """What it allows to be said."""


@dataclass(frozen=True)
class Curve:
    """Scores of an arm by the number of rows."""

    arm: str
    """Name of the arm."""
    metric: str
    """Key of the metric."""
    rows: tuple[float, ...]
    """Rows drawn."""
    mean: tuple[float | None, ...]
    """Over seeds."""
    low: tuple[float | None, ...] = ()
    """Lower ends of the 95 % intervals."""
    high: tuple[float | None, ...] = ()
    """Upper ends."""
    area: float | None = None
    """Under the curve over the logarithm of the rows, divided by its width."""


@dataclass(frozen=True)
class AblationResults:
    """Everything that an ablation's table, curves and verdict are made from."""

    name: str
    """Of the ablation."""
    arms: tuple[Arm, ...]
    """In the order of the config."""
    metrics: tuple[MetricInfo, ...]
    """The first is the one searched by."""
    cells: tuple[Cell, ...]
    """Finished or not."""
    seeds: tuple[int, ...] = ()
    """Of training."""
    rows: tuple[Rows, ...] = ()
    """The sizes."""
    config: dict[str, Any] = field(default_factory=dict)
    """The ablation's, resolved."""
    search: tuple[Trial, ...] = ()
    """All trials of all arms."""
    contrasts: tuple[Contrast, ...] = ()
    """The primary ones first."""
    curves: tuple[Curve, ...] = ()
    """Of each arm and metric, where there are several sizes."""
    verdict: tuple[str, ...] = ()
    """Sentences that say no more than the numbers."""


_FORM = TypeAdapter(AblationResults)


class AblationFolder:
    """Where an ablation keeps its results; its cells are ordinary run folders below.

    Args:
        path: The folder.
    """

    RESULTS: ClassVar = "results.json"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def started(self) -> bool:
        """Whether an ablation has left results here, finished or not."""
        return (self.path / self.RESULTS).exists()

    def run(self, path: str) -> RunFolder:
        """The run that a result names."""
        return RunFolder(self.path / path)

    def write(self, results: AblationResults) -> None:
        """Write the results, whole or not at all; a number that JSON can't hold becomes ``null``."""
        write_json(self.path / self.RESULTS, for_json(_FORM.dump_python(results)))

    def results(self) -> AblationResults:
        """Read the results; names that a later version adds are left out, and so are numbers that are not finite.

        Raises:
            InputError: If there are none, or they have another form.
        """
        path = self.path / self.RESULTS
        try:
            read = _FORM.validate_json(path.read_bytes())
            return _FORM.validate_python(for_json(_FORM.dump_python(read)))
        except OSError as error:
            raise InputError(
                f"Expected the results of an ablation in {path}, but it can't be read: {error}."
            ) from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise InputError(f"Expected the results of an ablation in {path}, but {where}: {first['msg']}.") from error


def for_json(value: Any) -> Any:
    """Replace what every reader of JSON can't take: numbers that are not finite, and halves of an emoji.

    Example:
        >>> for_json({"p": (0.5, float("nan"))})
        {'p': [0.5, None]}
    """
    match value:
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            return {str(name): for_json(part) for name, part in value.items()}
        case list() | tuple():
            return [for_json(part) for part in value]
    return value
