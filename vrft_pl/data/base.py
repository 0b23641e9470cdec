"""The DataModule that every task family extends."""

from __future__ import annotations

import warnings
import zlib
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import ConcatDataset, DataLoader, Dataset, DistributedSampler, RandomSampler, Sampler

from vrft_pl.answers import AnswerStyle, Solution, StyleName
from vrft_pl.data.images import EncodedImage, FileImage
from vrft_pl.data.order import BlockSampler
from vrft_pl.data.resumable import SEED_STEP
from vrft_pl.data.samples import Samples, stored_blocks
from vrft_pl.data.sources import Record, Source
from vrft_pl.distributed import data_share
from vrft_pl.prompts import check_template
from vrft_pl.types import ImageSource, InputError, Opaque, Sample

Split = Literal["train", "val", "test"]


@runtime_checkable
class WrapsSamples(Protocol):
    """A module that decides what a training batch is."""

    def wrap_train_loader(self, loader: DataLoader) -> Iterable[Any]:
        """Turn a loader of Samples into a loader of training batches."""


class VisionTask(LightningDataModule):
    """Gives Samples. It knows nothing of training, so that every way of training sees the same data.

    Args:
        train: Rows to train on.
        val: Rows to validate on, by the name of the split.
        test: Rows to test on, by the name of the split. Defaults to ``val``.
        style: The form in which the answer is asked for: a name, or an `AnswerStyle` of your own.
        system: System prompt.
        template: How the question is written, with any of ``{problem}``, ``{instruction}`` (the form of the whole
            completion), ``{form}`` (that of the answer) and ``{coordinates}`` (what their unit is). Defaults to
            ``{problem} {instruction}``.
        batch_size: Prompts per micro-batch and device while training.
        eval_batch_size: Prompts per batch and device while evaluating.
        num_workers: Worker processes of each loader, which read rows and decode pictures ahead.
        seed: Seed of the order of rows, and of the rows themselves where they are procedural. The command line sets it
            to ``seed_everything``. Held-out procedural rows depend on the name of their split alone.
        on_bad_row: ``error`` stops at the first row that is wrong; ``skip`` leaves out what is wrong and says how many
            rows it left out. A stream that is held out is then gone through once at the start; of one to train on, each
            bad row is replaced when its turn comes.
        verify_images: Decode every picture of a file source at the start, some milliseconds each, so that a damaged one
            is found before training; a file of many questions once. Otherwise only headers are read.

    Attributes:
        skipped: Why rows were left out, by part (``train/train``, ``val/<name>``).

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        train: Source | None = None,
        val: dict[str, Source] | None = None,
        test: dict[str, Source] | None = None,
        style: StyleName | AnswerStyle = "think",
        system: str | None = None,
        template: str | None = None,
        batch_size: int = 4,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        seed: int = 0,
        on_bad_row: Literal["error", "skip"] = "error",
        verify_images: bool = True,
    ) -> None:
        super().__init__()
        for name, value in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if value < 1:
                raise ValueError(f"Expected `{name}` to be at least 1 prompt, but got {value}.")
        if num_workers < 0:
            raise ValueError(f"Expected `num_workers` to be 0 or more, but got {num_workers}.")
        self.train_source = train
        self.val_sources: Mapping[str, Source] = val or {}
        self.test_sources: Mapping[str, Source] = self.val_sources if test is None else test
        check_template(template)
        self.style, self.system, self.template = style, system, template
        self.batch_size, self.eval_batch_size, self.num_workers = batch_size, eval_batch_size, num_workers
        self.seed, self.on_bad_row, self.verify_images = seed, on_bad_row, verify_images
        self.skipped: dict[str, list[str]] = {}
        self._datasets: dict[str, dict[str, Dataset[Sample]]] = {}
        self._seen: set[str] = set()

    @abstractmethod
    def solution(self, record: Record) -> Solution:
        """Turn a row's answer into typed ground truth.

        Raises:
            InputError: If the answer is wrong, naming the row.
        """

    def sample(self, record: Record, split: str) -> Sample:
        """Turn a row into a checked Sample."""
        return Sample(
            id=record.id,
            images=record.images,
            problem=record.problem,
            solution=self.solution(record),
            style=self.style,
            cot=record.cot,
            tags=(
                *(("train",) if split == "train" else (split, "ood" if split.startswith("ood") else "id")),
                *record.tags,
            ),
            system=record.system if self.system is None else self.system,
            template=self.template,
        )

    def chosen(self) -> dict[str, list[str]]:
        """Ids of the rows of each part (``train/train``, ``val/<name>``) that was drawn from a larger source."""
        train = {} if self.train_source is None else {"train": self.train_source}
        splits: dict[str, Mapping[str, Source]] = {"train": train, "val": self.val_sources}
        if self.test_sources is not self.val_sources:
            splits["test"] = self.test_sources
        drawn = {
            f"{split}/{name}": self._seeded(source, split, name).chosen()
            for split, sources in splits.items()
            for name, source in sources.items()
        }
        return {name: ids for name, ids in drawn.items() if ids is not None}

    def setup(self, stage: str) -> None:
        """Check the rows of the splits that the stage needs."""
        for split in {"fit": ("train", "val"), "validate": ("val",)}.get(stage, ("test",)):
            self.datasets(split)  # type: ignore[arg-type]  # the table holds splits

    def datasets(self, split: Split) -> dict[str, Dataset[Sample]]:
        """The checked Samples of a split, by the name of each part; read once and kept."""
        if split not in self._datasets:
            train = {} if self.train_source is None else {"train": self.train_source}
            sources = {"train": train, "val": self.val_sources, "test": self.test_sources}[split]
            self._datasets[split] = {name: self._checked(source, split, name) for name, source in sources.items()}
        return self._datasets[split]

    def train_dataloader(self) -> Iterable[Any]:
        """Hand the loader of Samples to the module, which decides what a training batch is."""
        parts = self.datasets("train")
        if not parts:
            raise InputError("Expected `data.init_args.train` to name a source of rows to train on, but got none.")
        loader = self.loader(ConcatDataset(parts.values()), train=True)
        module = self.trainer.lightning_module if self.trainer is not None else None
        return module.wrap_train_loader(loader) if isinstance(module, WrapsSamples) else loader

    def val_dataloader(self) -> list[DataLoader]:
        """One loader a part, in the order of ``datasets("val")``."""
        return [self.loader(part) for part in self.datasets("val").values()]

    def test_dataloader(self) -> list[DataLoader]:
        """One loader a part, in the order of ``datasets("test")``."""
        return [self.loader(part) for part in self.datasets("test").values()]

    def predict_dataloader(self) -> list[DataLoader]:
        """The loaders of the test split."""
        return self.test_dataloader()

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Take a batch out of what carried it past the precision plugin."""
        return batch.value if isinstance(batch, Opaque) else batch

    def loader(self, samples: Dataset[Sample], train: bool = False) -> DataLoader:
        """Load lists of Samples. Ranks of a distributed run share the rows; no held-out row is read twice."""
        generator = torch.Generator().manual_seed(self.seed)
        sampler: Sampler[int] | None = None
        trainer = self.trainer
        ranks, rank = data_share(None if trainer is None else trainer.strategy)
        blocks = stored_blocks(samples) if train else None
        if blocks is not None:
            sampler = BlockSampler(blocks, generator, ranks, rank)
        elif ranks > 1:
            kind = DistributedSampler if train else UnrepeatedDistributedSampler
            rows = len(samples)  # type: ignore[arg-type]  # sized
            if not train and rows < ranks:
                raise InputError(
                    f"Expected at least {ranks} rows in every held-out part, one for each process, but got {rows}. "
                    "Use fewer devices."
                )
            sampler = kind(samples, ranks, rank, shuffle=train, seed=self.seed * SEED_STEP)
        elif train:
            sampler = RandomSampler(samples, generator=generator)  # type: ignore[arg-type]  # sized
        return DataLoader(
            samples,
            batch_size=self.batch_size if train else self.eval_batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=list if train else Opaque,
            # not the sampler's: a loader draws from it once for its workers, and a resumed run would read otherwise
            generator=torch.Generator().manual_seed(self.seed),
            persistent_workers=self.num_workers > 0,
        )

    def _seeded(self, source: Source, split: str, name: str) -> Source:
        """A procedural source with its seed: training rows follow the run's, held-out rows the name of their part."""
        if not source.procedural:
            return source
        return source.with_seed(self.seed if split == "train" else zlib.crc32(f"{split}/{name}".encode()))

    def _checked(self, source: Source, split: str, name: str) -> Samples:
        lazy = source.streamed and (split == "train" or self.on_bad_row == "error")
        if source.procedural or lazy:
            return Samples(self, self._seeded(source, split, name), name, None)
        rows, bad = [], []
        for i in range(len(source)):
            try:
                record = source[i]
                self.solution(record)
                for image in record.images:
                    self._verify(image)
                rows.append(i)
            except InputError as error:
                if self.on_bad_row == "error":
                    raise
                bad.append(str(error))
        if bad:
            self.skipped[f"{split}/{name}"] = bad
            warnings.warn(f"Skipped {len(bad)} of {len(source)} rows of {split}/{name}. First: {bad[0]}", stacklevel=2)
        if not rows:
            raise InputError(
                f"Expected at least one good row in {split}/{name}, but all {len(source)} are bad: {bad[0]}"
            )
        return Samples(self, source, name, rows)

    def _verify(self, image: ImageSource) -> None:
        """Raise `InputError` for a stored picture that is damaged. A file is looked at once, whoever asks about it."""
        path = str(image.path) if isinstance(image, FileImage) else None
        if path in self._seen or not isinstance(image, EncodedImage):
            return
        image.open() if self.verify_images else image.size()
        if path is not None:
            self._seen.add(path)
