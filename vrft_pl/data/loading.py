"""The DataModule below every task: loaders of Samples, their order, and how ranks share them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from lightning import LightningDataModule
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import DataLoader, Dataset, Sampler

from vrft_pl.data.order import DealtRows, ShuffledBlocks, ShuffledRows
from vrft_pl.data.samples import Part, Split, TrainingRows, stored_blocks
from vrft_pl.distributed import DataShare, data_share
from vrft_pl.types import InputError, Opaque, Sample

MOST_WORKERS = 256
"""Processes of a loader."""


@runtime_checkable
class WrapsSamples(Protocol):
    """A module that decides what a training batch is."""

    def wrap_train_loader(self, loader: DataLoader) -> Iterable[Any]:
        """Turn a loader of Samples into a loader of training batches."""


class SampleData(LightningDataModule):
    """Gives Samples. It knows nothing of training, so that every way of training sees the same data.

    Args:
        batch_size: Prompts per micro-batch and device while training.
        eval_batch_size: Prompts per batch and device while evaluating.
        num_workers: Worker processes of each loader, which read rows and decode pictures ahead.
        seed: Seed of the order of rows, and of the rows themselves where they are procedural. The command line sets it
            to ``seed_everything``. Held-out procedural rows depend on the name of their split alone.

    Attributes:
        skipped: Why rows were left out, by part (``train/train``, ``val/<name>``).

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, batch_size: int = 4, eval_batch_size: int = 32, num_workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        for name, value in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if value < 1:
                raise ValueError(f"Expected `{name}` to be at least 1 prompt, but got {value}.")
        if not 0 <= num_workers <= MOST_WORKERS:
            raise ValueError(f"Expected `num_workers` to be from 0 to {MOST_WORKERS} processes, but got {num_workers}.")
        self.batch_size, self.eval_batch_size, self.num_workers = batch_size, eval_batch_size, num_workers
        self.seed = seed
        self.order: Callable[[Dataset[Sample], DataShare], Sampler[int]] | None = None
        """Deals rows to train on out in another way than `shuffled`, where a callback decides on it."""
        self.skipped: dict[str, list[str]] = {}

    @abstractmethod
    def datasets(self, split: Split) -> dict[str, Dataset[Sample]]:
        """The checked Samples of a split, by the name of each part; read once and kept."""

    def every_part(self) -> list[Part]:
        """The parts behind the datasets of all splits; a test split that is the validation split again is left out."""
        return []

    @property
    def validates(self) -> bool:
        """Whether there is a part to validate on."""
        return any(part.split == "val" for part in self.every_part())

    def chosen(self) -> dict[str, list[str]]:
        """Ids of the rows of each part (``train/train``, ``val/<name>``) that was drawn from a larger source."""
        drawn = {part.key: part.source.chosen() for part in self.every_part()}
        return {key: ids for key, ids in drawn.items() if ids is not None}

    def setup(self, stage: str) -> None:
        """Check the rows of the splits that the stage needs."""
        for split in {"fit": ("train", "val"), "validate": ("val",)}.get(stage, ("test",)):
            self.datasets(split)  # type: ignore[arg-type]  # the table holds splits

    def train_dataloader(self) -> Iterable[Any]:
        """Hand the loader of Samples to the module, which decides what a training batch is."""
        loader = self.loader(self.train_rows(), train=True)
        module = self.trainer.lightning_module if self.trainer is not None else None
        return module.wrap_train_loader(loader) if isinstance(module, WrapsSamples) else loader

    def train_rows(self) -> Dataset[Sample]:
        """The rows to train on, of all parts.

        Raises:
            InputError: If there are none.
        """
        parts = self.datasets("train")
        if not parts:
            raise InputError("Expected `data.init_args.train` to name a source of rows to train on, but got none.")
        return TrainingRows(parts.values())

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
        sampler: Sampler[int] | None = None
        trainer = self.trainer
        ranks, rank = data_share(None if trainer is None else trainer.strategy)
        rows = len(samples)  # type: ignore[arg-type]  # sized
        if train:
            sampler = (self.order or self.shuffled)(samples, DataShare(ranks, rank))
        elif ranks > 1:
            if rows < ranks:
                raise InputError(
                    f"Expected at least {ranks} rows in every held-out part, one for each process, but got {rows}. "
                    "Use fewer devices."
                )
            sampler = UnrepeatedDistributedSampler(samples, ranks, rank, shuffle=False)
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

    def shuffled(self, samples: Dataset[Sample], share: DataShare) -> DealtRows:
        """Deal rows to train on out to ranks, in an order of the seed."""
        generator = torch.Generator().manual_seed(self.seed)
        if (blocks := stored_blocks(samples)) is None:
            return ShuffledRows(generator, len(samples), self.batch_size, *share)  # type: ignore[arg-type]  # sized
        return ShuffledBlocks(blocks, generator, self.batch_size, *share)
