"""What is kept of one evaluation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from lightning.pytorch import Trainer

from vrft_pl.callbacks.tables import log_table
from vrft_pl.distributed import data_share, in_order
from vrft_pl.rewards.base import Grades
from vrft_pl.runs import CompletionRecord, Key, RunFolder, describe
from vrft_pl.runs.pictures import KeptPicture, encoded
from vrft_pl.runs.records import Told
from vrft_pl.types import Completions, Sample


class Evaluation:
    """The completions of one evaluation: each rank adds its share, and the first one writes those of all.

    Every rank makes it, at the same time. Pictures are kept of the first samples of each part.

    Args:
        trainer: The run's trainer.
        parts: Names of the parts that are evaluated, in their order.
        pictures: Most pictures that are kept, shared out among the parts.
        max_side: Most pixels of a picture's longer side.
    """

    def __init__(self, trainer: Trainer, parts: Sequence[str], pictures: int, max_side: int) -> None:
        self.trainer, self.parts, self.max_side = trainer, tuple(parts), max_side
        self.folder, self.share = RunFolder.of(trainer), data_share(trainer.strategy)
        self.bounds = {part: share_of(pictures, len(parts), i) for i, part in enumerate(parts)}
        self._room = {
            part: share_of(bound, self.share.num_shares, self.share.position) for part, bound in self.bounds.items()
        }
        self._there = self.folder.kept_pictures() if pictures else set()
        self._kept: dict[str, list[Told]] = {part: [] for part in parts}

    def add(self, part: str, samples: Sequence[Sample], completions: Completions, grades: Mapping[str, Grades]) -> None:
        """Keep the completions of a batch, one a sample.

        Args:
            part: Name of the part that they are of.
            samples: The questions.
            completions: The answers.
            grades: What each metric that grades answers said of them, by its name.
        """
        step, pictures = self.trainer.global_step, [self._pictures(part, sample) for sample in samples]
        self._kept[part] += predictions(step, part, samples, completions, grades, pictures)

    def gathered(self) -> Iterator[tuple[str, Told]]:
        """What all ranks kept, in the order of the data, with the name of its part. Every rank iterates to the end."""
        for part, kept in self._kept.items():
            for told in in_order(kept, self.share):
                yield part, told

    def write(self, rows: Iterable[tuple[str, Told]], replace_step: bool = True) -> None:
        """Write the records and their pictures into the run's folder, and show the first of each part.

        Args:
            rows: Those of `gathered`.
            replace_step: Write over what is there of the same step; otherwise there is nothing of it or a later one.
        """
        if not self.trainer.is_global_zero:
            deque(rows, maxlen=0)  # takes part in the gathering
            return
        folder, shown = self.folder, list[CompletionRecord]()
        records = self._records(rows, shown)
        if replace_step:
            folder.replace(folder.PREDICTIONS, self.trainer.global_step, records)
        else:
            folder.append(folder.PREDICTIONS, records)
        log_table(self.trainer, folder, "predictions", shown)

    def _records(self, rows: Iterable[tuple[str, Told]], shown: list[CompletionRecord]) -> Iterator[CompletionRecord]:
        """Number the records, write their pictures, and add the first of each part to those that are shown."""
        room = dict(self.bounds)
        for row, (part, told) in enumerate(rows):
            self.folder.keep_pictures(told.pictures)
            record = replace(told.record, row=row)
            room[part] -= 1
            if room[part] >= 0:
                shown.append(record)
            yield record

    def _pictures(self, part: str, sample: Sample) -> list[KeptPicture]:
        """Pictures of a sample, none where they would be too many."""
        self._room[part] -= len(sample.images)
        return encoded(sample.images, self.max_side, self._there) if self._room[part] >= 0 else []


def predictions(
    step: int,
    part: str,
    samples: Sequence[Sample],
    completions: Completions,
    grades: Mapping[str, Grades],
    pictures: Sequence[Sequence[KeptPicture]] | None = None,
) -> Iterator[Told]:
    """Describe the completions of a batch, one a sample.

    Args:
        step: Optimizer steps done.
        part: Name of the part that they are of.
        samples: The questions.
        completions: The answers.
        grades: What each metric that grades answers said of them, by its name.
        pictures: Those of each sample, as `vrft_pl.runs.pictures.encoded` makes them; none by default.
    """
    scores = {name: graded.scores for name, graded in grades.items()}
    failures = {name: graded.parse_failures for name, graded in grades.items()}
    for i, sample in enumerate(samples):
        kept = () if pictures is None else pictures[i]
        yield describe(Key(step, 0, i), part, sample, completions, i, scores, failures, kept)


def share_of(total: int, shares: int, position: int) -> int:
    """What falls to one of several shares when a number is dealt out in turn.

    Example:
        >>> [share_of(8, 3, i) for i in range(3)]
        [3, 3, 2]
    """
    return len(range(position, total, shares))
