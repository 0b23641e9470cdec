"""The completions of a page, as columns, within what a page can hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from vrft_pl.report.data import as_json
from vrft_pl.report.entries import Entry
from vrft_pl.report.marks import marks_of
from vrft_pl.report.pictures import Album
from vrft_pl.report.records import readable
from vrft_pl.runs import CompletionRecord, RunFolder
from vrft_pl.runs.ablation import Rows

MOST_RECORDS = 20_000
"""Completions of a page."""
MOST_BYTES = 9_000_000
"""What they take in a page."""
BYTES_BESIDE = 80
"""What one takes beside its text."""
TRAIN = "train"
"""The split of what was written while training."""


class Owner(NamedTuple):
    """Whose a file of records is."""

    arm: str
    """Name of the arm."""
    rows: Rows
    """Its size."""
    seed: int | None
    """Its seed."""


@dataclass(frozen=True)
class Source:
    """A file of records."""

    owners: tuple[Owner, ...]
    """All that have this run among theirs."""
    stage: str
    """Which stage wrote it, where there are several, or the suite of a test."""
    run: RunFolder
    """Where it lies."""
    training: bool
    """Whether it was written while training."""
    test: bool = False
    """Whether it is a test of its own."""

    def records(self) -> Iterator[CompletionRecord]:
        """What can be read of it."""
        return readable(self.run.completions() if self.training else self.run.predictions())


class Unit(NamedTuple):
    """Records that a page shows together or not at all."""

    part: str
    """What they are of; each part gets its share of the page."""
    name: tuple[Any, ...]
    """One held-out sample in all runs and steps, or one group of one run."""


class Size(NamedTuple):
    """What a unit takes."""

    records: int = 0
    """Completions."""
    bytes: int = 0
    """What they take."""
    seen: bool = False
    """Whether its picture is kept."""


@dataclass
class Columns:
    """Completions as the page reads them: each text once, and a list for each property."""

    strings: list[str] = field(default_factory=list)
    """All texts; the others hold positions in it."""
    samples: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ("split", "id", "problem", "answer", "pictures", "size", "truth")}
    )
    """What a question is, each once."""
    sample: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    text: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    """1 where it ended at the limit of tokens."""
    group: list[int] = field(default_factory=list)
    """Number of the group; -1 on held-out samples."""
    advantage: list[float | None] = field(default_factory=list)
    scores: dict[str, list[float | None]] = field(default_factory=dict)
    failures: dict[int, dict[str, str]] = field(default_factory=dict)
    marks: dict[int, list[Any]] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    left_out: int = 0
    """Records that there was no room for."""
    pictures: dict[str, Any] = field(default_factory=dict)
    pictures_left_out: int = 0

    def __post_init__(self) -> None:
        self._strings: dict[str, int] = {}
        self._samples: dict[tuple[Any, ...], int] = {}

    def __len__(self) -> int:
        return len(self.sample)

    def add(self, record: CompletionRecord, source: int, split: str, group: int, pictures: Iterable[str]) -> None:
        """Append a record."""
        i = len(self)
        self.sample.append(self._sample(record, split, pictures))
        self.source.append(source)
        self.step.append(record.step)
        self.text.append(self._string(record.completion))
        self.cut.append(int(record.finish_reason == "length"))
        self.group.append(group)
        self.advantage.append(record.advantage)
        for name, score in record.scores.items():
            column = self.scores.setdefault(name, [])
            column.extend([None] * (i - len(column)))
            column.append(round(score, 4))
        if record.parse_failures:
            self.failures[i] = record.parse_failures
        if marks := marks_of(answered(record)):
            self.marks[i] = marks

    def finished(self, album: Album) -> Columns:
        """Make all lists equally long and take over the pictures."""
        for column in self.scores.values():
            column.extend([None] * (len(self) - len(column)))
        self.pictures = {name: asdict(picture) for name, picture in album.pictures.items()}
        self.pictures_left_out = album.left_out
        return self

    def _string(self, text: str) -> int:
        if text not in self._strings:
            self._strings[text] = len(self.strings)
            self.strings.append(text)
        return self._strings[text]

    def _sample(self, record: CompletionRecord, split: str, pictures: Iterable[str]) -> int:
        key = split, record.id, record.problem, record.answer
        if key not in self._samples:
            self._samples[key] = len(self._samples)
            texts = {"split": split, "id": record.id, "problem": record.problem, "answer": record.answer}
            for name, text in texts.items():
                self.samples[name].append(self._string(text))
            self.samples["pictures"].append([])
            self.samples["size"].append(size_of(record))
            self.samples["truth"].append(marks_of(record.truth))
        i = self._samples[key]
        if not self.samples["pictures"][i]:
            self.samples["pictures"][i] = list(pictures)
        return i


def sources_of(entries: Sequence[Entry]) -> list[Source]:
    """Every file of records of all runs; one of a run that several arms or seeds share is of all of them."""
    owners: dict[Path, list[Owner]] = {}
    found: dict[Path, list[Source]] = {}
    for entry in entries:
        for run in entry.folders:
            owners.setdefault(run.path, []).append(Owner(entry.arm, entry.rows, entry.seed))
        for i, run in enumerate(entry.stages):
            stage = f"stage {i + 1}" if len(entry.stages) > 1 else ""
            found.setdefault(run.path, [Source((), stage, run, False), Source((), stage, run, True)])
        for suite, run in entry.tests:
            found.setdefault(run.path, [Source((), suite, run, False, True)])
    return [replace(source, owners=tuple(owners[path])) for path, sources in found.items() for source in sources]


def read_columns(entries: Sequence[Entry], most_records: int = MOST_RECORDS, most_bytes: int = MOST_BYTES) -> Columns:
    """Read the completions of all runs, as many as a page can hold.

    A held-out sample is there with all its answers or not at all, and so is a group; each part gets an equal share.

    Args:
        entries: What was trained.
        most_records: Completions of the page.
        most_bytes: What they take in it.
    """
    sources = sources_of(entries)
    sizes: dict[Unit, Size] = {}
    for source in sources:
        for unit, record in units(source):
            known = sizes.get(unit, Size())
            added = written_bytes(record, of_sample=unit not in sizes)
            sizes[unit] = Size(known.records + 1, known.bytes + added, known.seen or bool(record.pictures))
    chosen = choose(sizes, most_records, most_bytes)
    columns, album = Columns(), Album()
    columns.left_out = sum(size.records for unit, size in sizes.items() if unit not in chosen)
    groups = {unit: i for i, unit in enumerate(u for u in sizes if u.part == TRAIN)}
    for i, source in enumerate(sources):
        owners = [owner._asdict() for owner in source.owners]
        columns.sources.append({"owners": owners, "stage": source.stage, "test": source.test})
        for unit, record in units(source):
            if unit in chosen:
                columns.add(record, i, unit.part, groups.get(unit, -1), kept_pictures(album, source.run, record))
    return columns.finished(album)


def written_bytes(record: CompletionRecord, of_sample: bool) -> int:
    """What a record takes in a page.

    Args:
        record: The record.
        of_sample: Count its question and the truth too, which are in the page once.
    """
    parts: list[object] = [record.completion, record.parse_failures, marks_of(answered(record))]
    if of_sample:
        parts += [record.id, record.problem, record.answer, record.split, marks_of(record.truth)]
    return len(as_json(parts)) + BYTES_BESIDE


def answered(record: CompletionRecord) -> Sequence[Any] | None:
    """What an answer draws; earlier runs have written boxes alone."""
    return record.boxes if record.marks is None else record.marks


def kept_pictures(album: Album, run: RunFolder, record: CompletionRecord) -> list[str]:
    """The pictures of a record that the page has room for."""
    names = (album.add(run, name) for name in record.pictures if isinstance(name, str))
    return [name for name in names if name]


def units(source: Source) -> Iterator[tuple[Unit, CompletionRecord]]:
    """Each record of a file with what it is shown with."""
    group, last = 0, None
    for record in source.records():
        if source.training:
            here = record.step, record.rank, record.id
            group, last = group + (here != last), here
            yield Unit(TRAIN, (str(source.run), group)), record
        else:
            part = "/".join(name for name in (source.stage, record.split) if name)
            yield Unit(part, (record.id, record.problem, record.answer)), record


def choose(sizes: Mapping[Unit, Size], most_records: int, most_bytes: int) -> set[Unit]:
    """Take units in turn from each part until the page is full, those with a picture first.

    Of a part they are taken from everywhere in it: early and late steps are there however few there is room for.
    """
    parts: dict[tuple[bool, str], list[Unit]] = {}
    for unit, size in sizes.items():
        parts.setdefault((not size.seen, unit.part), []).append(unit)
    chosen: set[Unit] = set()
    records = taken = 0
    for blind in (False, True):
        queues = (spread(units) for (unseen, _), units in parts.items() if unseen == blind)
        for unit in (unit for turn in zip_longest(*queues) for unit in turn if unit is not None):
            size = sizes[unit]
            if records + size.records <= most_records and taken + size.bytes <= most_bytes:
                chosen.add(unit)
                records, taken = records + size.records, taken + size.bytes
    return chosen


def spread(units: Sequence[Unit]) -> list[Unit]:
    """Reorder so that any beginning of the list is spread evenly over it.

    Example:
        >>> spread("abcdefgh")
        ['a', 'e', 'c', 'g', 'b', 'f', 'd', 'h']
    """
    bits = max(len(units) - 1, 1).bit_length()
    order = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(2**bits))
    return [units[i] for i in order if i < len(units)]


def size_of(record: CompletionRecord) -> list[float] | None:
    """Width and height that the marks of a record are in, where they are positive numbers."""
    size = record.size
    good = isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)
    return list(size) if good and size else None
