"""The parts of the data, and the Samples of each as a dataset."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from torch.utils.data import ConcatDataset, Dataset, get_worker_info

from vrft_pl.data.images import DecodedImage, StoredImage, decoded
from vrft_pl.data.sources import Record, Source
from vrft_pl.types import ImageSource, InputError, Sample

Split = Literal["train", "val", "test"]


class ReadsRows(Protocol):
    """A task family, as far as a part of the data needs it."""

    on_bad_row: Literal["error", "skip"]
    verify_images: bool
    skipped: dict[str, list[str]]

    def sample(self, record: Record, split: str) -> Sample:
        """Turn a row of the part with this name into a checked Sample."""


@dataclass(frozen=True)
class Part:
    """One source of one split."""

    task: ReadsRows
    """Reads its rows."""
    split: Split
    name: str
    """``train``, or the name of a held-out part."""
    source: Source
    """Its rows, seeded where they are procedural."""
    prefix: str = ""
    """Of its task in a mixture."""

    @property
    def title(self) -> str:
        """What logs and messages call it."""
        return self.prefix + self.name

    @property
    def key(self) -> str:
        """What tells it from all other parts."""
        return f"{self.prefix}{self.split}/{self.name}"

    def __str__(self) -> str:
        return self.title if self.split == self.title else f"{self.split}/{self.title}"

    def read(self, record: Record) -> Sample:
        """Turn one of its rows into a checked Sample."""
        return self.task.sample(record, self.name)


class Samples(Dataset[Sample]):
    """The Samples of one part, read one at a time.

    Args:
        part: Where they come from.
        rows: The rows that are good; ``None`` where they are not known beforehand.
    """

    def __init__(self, part: Part, rows: list[int] | None) -> None:
        self.part, self.task, self.source, self.rows = part, part.task, part.source, rows
        self._bad: set[int] = set()

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.source) if self.rows is None else len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """Read one sample and check its ground truth. Worker processes decode its pictures ahead.

        Where the task skips bad rows, the next good row is read in place of one to train on that it could not look at
        beforehand, in a stream, or that has become bad since. The task counts it unless a worker process reads.
        """
        if self.part.split != "train" or self.task.on_bad_row == "error":
            return self.read(index)
        for step in range(len(self)):
            row = (index + step) % len(self)
            try:
                sample = self.read(row)
                return replace(sample, images=tuple(map(self._verified, sample.images)))
            except InputError as error:
                self._skip(row, str(error))
        raise InputError(f"Expected at least one good row in {self.part.title}, but all {len(self)} are bad.")

    @property
    def blocks(self) -> Sequence[range] | None:
        """Rows that are stored together, where that matters."""
        return None if self.rows is not None else self.source.blocks

    def read(self, index: int) -> Sample:
        """Read one sample as it is, bad or not; its pictures are not looked at, but for worker processes' decoding."""
        sample = self.part.read(self.source[index if self.rows is None else self.rows[index]])
        sample = replace(sample, place=f"{self.part.key}/{index}")
        if get_worker_info() is None:
            return sample
        return replace(sample, images=tuple(decoded(image) for image in sample.images))

    def _verified(self, image: ImageSource) -> ImageSource:
        """Decode a picture where the task verifies pictures, so that it is decoded once; else read its header."""
        if not isinstance(image, StoredImage):
            return image
        if self.task.verify_images:
            return DecodedImage(image.open())
        image.size()
        return image

    def _skip(self, row: int, reason: str) -> None:
        """Say that a row is left out, and count it once."""
        warnings.warn(f"Skipped a row: {reason}", stacklevel=3)
        if row not in self._bad and get_worker_info() is None:
            self._bad.add(row)
            self.task.skipped.setdefault(self.part.key, []).append(reason)


class TrainingRows(ConcatDataset[Sample]):
    """The rows of all parts that are trained on, one part behind the other, each of which knows where it stands."""

    def __getitem__(self, index: int) -> Sample:
        """Read one sample."""
        return replace(super().__getitem__(index), row=index)


def row_of(sample: Sample) -> int:
    """Where a sample stands in `TrainingRows`.

    Raises:
        InputError: If it was not read from there.
    """
    if sample.row is None:
        raise InputError(f"Expected a row that is trained on, but got {sample.id}, which was read elsewhere.")
    return sample.row


def stored_blocks(samples: Dataset[Sample]) -> Sequence[range] | None:
    """Rows of a dataset that are stored together; ``None`` where no part of it cares.

    Parts that don't are a block each.
    """
    parts = samples.datasets if isinstance(samples, ConcatDataset) else [samples]
    blocks: list[range] = []
    cares, offset = False, 0
    for part in parts:
        own = part.blocks if isinstance(part, Samples) else None
        cares = cares or own is not None
        size = len(part)  # type: ignore[arg-type]  # sized
        blocks += [range(offset + b.start, offset + b.stop) for b in ([range(size)] if own is None else own)]
        offset += size
    return blocks if cares else None
