"""Are class names told apart, and are they all known?"""

from __future__ import annotations

from collections import Counter, defaultdict

from vrft_pl.check.findings import Finding
from vrft_pl.check.rows import Row
from vrft_pl.check.subject import Subject
from vrft_pl.names import normalize_name, spellings


def check_labels(subject: Subject) -> list[Finding]:
    """Compare the class names of the rows with each other."""
    names = [(row, name) for row in subject.good for name in class_names(row)]
    if not names:
        return []
    return [*collisions(names), *never_trained(names), counts(names)]


def class_names(row: Row) -> tuple[str, ...]:
    """Classes of a good row."""
    return row.sample.solution.class_names if row.sample else ()


def collisions(names: list[tuple[Row, str]]) -> list[Finding]:
    """Names that rewards take for one, since they differ in case or punctuation only."""
    spelled: dict[str, dict[str, str]] = defaultdict(dict)
    for row, name in names:
        spelled[normalize_name(name)].setdefault(name, row.sample.id if row.sample else "")
    clashes = tuple(
        " and ".join(f"{name!r} ({row})" for name, row in variants.items())
        for variants in spelled.values()
        if len(variants) > 1
    )
    what = f"{len(clashes)} classes are spelled in several ways, which rewards take for one name."
    return [Finding("warning", what, clashes)] if clashes else []


def never_trained(names: list[tuple[Row, str]]) -> list[Finding]:
    """Held-out classes that no training row has: meant in open vocabulary, a mistake elsewhere."""
    trained = {normalize_name(name) for row, name in names if row.part.split == "train"}
    new = {name for row, name in names if row.part.split != "train" and normalize_name(name) not in trained}
    if not trained or not new:
        return []
    return [Finding("note", f"{len(new)} held-out classes are in no training row that was read.", tuple(sorted(new)))]


def counts(names: list[tuple[Row, str]]) -> Finding:
    """How often classes occur."""
    spelled = {key: first for key, (first, *_) in spellings(name for _, name in names).items()}
    count = Counter(spelled[normalize_name(name)] for _, name in names).most_common()
    (most, many), (least, few) = count[0], count[-1]
    return Finding("note", f"{len(count)} classes, from {least!r} in {few} rows to {most!r} in {many}.")
