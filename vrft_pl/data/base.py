"""What every task family extends."""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from lightning.pytorch.utilities import rank_zero_warn
from torch.utils.data import Dataset

from vrft_pl.answers import Solution
from vrft_pl.data.images import MOST_PIXELS, BytesImage, FileImage, StoredImage
from vrft_pl.data.loading import SampleData
from vrft_pl.data.samples import Part, Samples, Split
from vrft_pl.data.smaller import within
from vrft_pl.data.sources import Record, Source
from vrft_pl.data.videos import VideoFrame
from vrft_pl.prompts import check_columns, check_template
from vrft_pl.styles import AnswerStyle, StyleName
from vrft_pl.types import ImageSource, InputError, Sample
from vrft_pl.unanswered import Unanswered


class VisionTask(SampleData):
    """Turns the rows of sources into Samples whose ground truth is checked.

    Args:
        train: Rows to train on.
        val: Rows to validate on, by the name of the split.
        test: Rows to test on, by the name of the split. Defaults to ``val``.
        style: The form in which the answer is asked for: a name, or an `AnswerStyle` of your own.
        system: System prompt.
        template: How the question is written, with any of ``{problem}``, ``{instruction}`` (the form of the whole
            completion), ``{form}`` (that of the answer) and ``{coordinates}`` (what their unit is), and any other
            column of the rows by its name. Defaults to ``{problem} {instruction}``.
        on_bad_row: ``error`` stops at the first row that is wrong; ``skip`` leaves out what is wrong and says how many
            rows it left out. A stream that is held out is then gone through once at the start; of one to train on, each
            bad row is replaced when its turn comes.
        verify_images: Decode every picture of a file source at the start, some milliseconds each, so that a damaged one
            is found before training; a file of many questions once. Otherwise only headers are read.
        most_pixels: Of a stored picture; decoding takes up to 17 bytes a pixel. Pillow's own limit, some 180 million,
            stays.
        total_pixels: Of all pictures of a question that has several; where they have more, all are made smaller by one
            factor. Videos of many frames need it: the policy's ``max_pixels`` is that of each.
        **kwargs: Those of `SampleData`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        train: Source | None = None,
        val: dict[str, Source] | None = None,
        test: dict[str, Source] | None = None,
        style: AnswerStyle | StyleName = "think",
        system: str | None = None,
        template: str | None = None,
        on_bad_row: Literal["error", "skip"] = "error",
        verify_images: bool = True,
        most_pixels: int = MOST_PIXELS,
        total_pixels: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if most_pixels < 1:
            raise ValueError(f"Expected `most_pixels` to be at least 1 pixel, but got {most_pixels}.")
        if total_pixels is not None and total_pixels < 1:
            raise ValueError(f"Expected `total_pixels` to be at least 1 pixel, but got {total_pixels}.")
        self.most_pixels, self.total_pixels = most_pixels, total_pixels
        self.train_source = train
        self.val_sources: Mapping[str, Source] = val or {}
        self.test_sources: Mapping[str, Source] = self.val_sources if test is None else test
        check_template(template)
        self.style, self.system, self.template = style, system, template
        self.on_bad_row, self.verify_images = on_bad_row, verify_images
        self._datasets: dict[str, dict[str, Dataset[Sample]]] = {}
        self._seen: set[str] = set()

    def made_with(self) -> dict[str, Any]:
        """Arguments that are not kept under their names."""
        test = None if self.test_sources is self.val_sources else self.test_sources
        return {"train": self.train_source, "val": self.val_sources, "test": test}

    @abstractmethod
    def solution(self, record: Record) -> Solution:
        """Turn a row's answer into typed ground truth.

        Raises:
            InputError: If the answer is wrong, naming the row.
        """

    def unanswered(self, record: Record) -> Solution:
        """Any answer of the kind that a row without one asks for.

        Raises:
            InputError: If the family needs the answer to know what is asked.
        """
        raise InputError(
            f"{record.id}: expected a row with an answer, but it has none, and {type(self).__name__} does not say by "
            "`unanswered` what it asks for then."
        )

    def truth(self, record: Record, split: str) -> Solution:
        """The typed ground truth of a row of the part with this name; what stands for it where the source has none.

        Raises:
            InputError: If the answer is wrong, or missing in a row to train on, or a column that the template names is.
        """
        check_columns(self.template, record.extra, record.id)
        if not isinstance(record.answer, Unanswered):
            return self.solution(record)
        if split == "train":
            raise InputError(f"{record.id}: expected a row with an answer to train on, but it has none.")
        return Unanswered(self.unanswered(record))

    def sample(self, record: Record, split: str) -> Sample:
        """Turn a row of the part with this name into a checked Sample."""
        record = self.limited(record)
        return Sample(
            id=record.id,
            images=record.images,
            problem=record.problem,
            solution=self.truth(record, split),
            style=self.style,
            cot=record.cot,
            target=record.target,
            split=split,
            domain="ood" if split.startswith("ood") else "id",
            tags=record.tags,
            system=record.system if self.system is None else self.system,
            template=self.template,
            extra=record.extra,
        )

    def limited(self, record: Record) -> Record:
        """The row, with the limits of this task on its pictures."""
        images: list[ImageSource] = []
        for image in record.images:
            if isinstance(image, FileImage | BytesImage | VideoFrame):
                image = replace(image, most_pixels=self.most_pixels)
            images.append(image)
        if self.total_pixels is not None and len(images) > 1:
            return replace(record, images=within(images, self.total_pixels))
        return replace(record, images=tuple(images))

    def parts(self, split: Split) -> list[Part]:
        """The sources of a split. Training rows that are procedural follow the run's seed, held-out ones their name."""
        train = {} if self.train_source is None else {"train": self.train_source}
        parts = []
        for name, source in {"train": train, "val": self.val_sources, "test": self.test_sources}[split].items():
            seed = self.seed if split == "train" else zlib.crc32(f"{split}/{name}".encode())
            parts.append(Part(self, split, name, source.with_seed(seed) if source.procedural else source))
        return parts

    def every_part(self) -> list[Part]:
        """All of its sources, those of the test split where they are not those of validation again."""
        tested = [] if self.test_sources is self.val_sources else self.parts("test")
        return [*self.parts("train"), *self.parts("val"), *tested]

    def datasets(self, split: Split) -> dict[str, Dataset[Sample]]:
        """The checked Samples of a split, by the name of each part; read once and kept."""
        if split not in self._datasets:
            self._datasets[split] = {part.name: self._checked(part) for part in self.parts(split)}
        return self._datasets[split]

    def _checked(self, part: Part) -> Samples:
        source = part.source
        lazy = source.streamed and (part.split == "train" or self.on_bad_row == "error")
        if source.procedural or lazy:
            return Samples(part, None)
        rows, bad = [], []
        for i in range(len(source)):
            try:
                record = self.limited(source[i])
                self.truth(record, part.name)
                for image in record.images:
                    self._verify(image)
                rows.append(i)
            except InputError as error:
                if self.on_bad_row == "error":
                    raise
                bad.append(str(error))
        if bad:
            self.skipped[part.key] = bad
            rank_zero_warn(f"Skipped {len(bad)} of {len(source)} rows of {part.key}. First: {bad[0]}")
        if not rows and not source.optional:
            raise InputError(f"Expected at least one good row in {part.key}, but all {len(source)} are bad: {bad[0]}")
        return Samples(part, rows)

    def _verify(self, image: ImageSource) -> None:
        """Raise `InputError` for a stored picture that is damaged. A file is looked at once, whoever asks about it."""
        path = str(image.path) if isinstance(image, FileImage) else None
        if path in self._seen or not isinstance(image, StoredImage):
            return
        image.open() if self.verify_images else image.size()
        if path is not None:
            self._seen.add(path)
