"""Datasets that Hugging Face ``datasets`` saved: Visual-RFT's few-shot sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from vrft_pl.data.images import stored_images
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.parquet import UNREADABLE, one_line
from vrft_pl.data.sources.rows import checked_record
from vrft_pl.types import InputError

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("image", "problem", "solution")
"""What every row holds."""


class VisualRFTDataset(Source):
    """Rows of a dataset with the columns ``image``, ``problem`` and ``solution``, which may carry ``<answer>`` tags.

    Rows stay on disk, and a picture is decoded when its sample is. Questions of Visual-RFT
    (https://arxiv.org/abs/2503.01785) say themselves how to answer: use ``template: "{problem}"`` to ask nothing more.

    Args:
        path: Folder that ``save_to_disk`` wrote, of one split or of several, or the id of a dataset on the hub.
        split: Name of the split.
        revision: Commit, tag or branch of an id on the hub. Defaults to the newest commit of its main branch.
        extra: Other columns to read, for rewards and templates (`Sample.extra`).

    Raises:
        InputError: If there is no such dataset, it can't be read, lacks the split or a column, or has no row.
    """

    def __init__(
        self, path: str, split: str = "train", revision: str | None = None, extra: list[str] | None = None
    ) -> None:
        self.path, self.split, self.extra = Path(path), split, tuple(extra or ())
        rows, columns = load_split(path, split, revision), list(dict.fromkeys((*COLUMNS, *self.extra)))
        if missing := [name for name in columns if name not in rows.column_names]:
            raise InputError(
                f"Expected columns {columns} in split {split!r} of {path}, but {missing[0]!r} is not among "
                f"{rows.column_names}."
            )
        if not len(rows):
            raise InputError(f"Expected at least one row in split {split!r} of {path}, but it is empty.")
        self.rows = rows.select_columns(columns).with_format("arrow")  # as it is stored: pictures not decoded

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read row ``index``; what is wrong with it raises `InputError` with dataset, split and row."""
        owner = f"{self.path}, {self.split} row {index}"
        try:
            (row,) = self.rows[index].to_pylist()
        except (ValueError, pa.ArrowException) as error:
            raise InputError(f"{owner}: expected a row that can be read, but it can't: {one_line(error)}.") from error
        images = stored_images(row["image"], self.path, owner)
        return checked_record(row, owner, images, answer="solution", extra=self.extra)


def load_split(path: str, split: str, revision: str | None = None) -> Dataset:
    """Open one split of a saved dataset, or of one on the hub.

    Raises:
        InputError: If it can't be opened, in one line.
    """
    import datasets  # takes a second, which other sources need not wait for

    folder = Path(path)
    if folder.exists() and not any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        raise InputError(f"Expected a dataset that `save_to_disk` wrote at {path}, but there is none.")
    pin = {} if revision is None else {"revision": revision}
    if folder.exists() and pin:
        raise InputError(f"Expected `revision` with the id of a dataset on the hub, but {path} is a folder.")
    try:
        loaded = datasets.load_from_disk(path) if folder.exists() else datasets.load_dataset(path, split=split, **pin)
    except (AttributeError, datasets.exceptions.DatasetsError, *UNREADABLE) as error:
        wanted = f"split {split!r} of a dataset at {path}, a saved folder or an id on the hub"
        raise InputError(f"Expected {wanted}, but it can't be read: {one_line(error)}.") from error
    if isinstance(loaded, datasets.DatasetDict):
        known = list(loaded)
    else:
        known, loaded = [str(loaded.split or split)], {str(loaded.split or split): loaded}
    if split not in loaded:
        raise InputError(f"Expected split {split!r} of {path} to be among {known}, but it is not.")
    return loaded[split]
