"""Parquet files, which may hold more rows than fit into memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from vrft_pl.data.images import stored_images
from vrft_pl.data.order import MIXED_BLOCKS
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.rows import checked_record
from vrft_pl.prompts import MARKER
from vrft_pl.types import InputError

KEPT_GROUPS = MIXED_BLOCKS + 1
"""Row groups in memory: those whose rows are read in turn, and one of which the last rows are still asked for."""
UNREADABLE = (OSError, ValueError, LookupError, RuntimeError, ImportError, MemoryError, TypeError, pa.ArrowException)
"""What comes of opening or reading a file that is missing or damaged, or of a file system that is not installed."""


@dataclass(frozen=True)
class RowGroup:
    """Rows that a file stores together."""

    file: str
    """Path or URL."""
    index: int
    """Position in the file."""
    first: int
    """Position of the first row in the file."""
    size: int
    """Number of rows."""


class ParquetRows(Source):
    """Rows of Parquet files, read one row group at a time when they are needed.

    A column of pictures holds encoded bytes, a path, a struct of ``bytes`` and ``path`` as ``datasets`` writes it, or a
    list of these. Every process keeps a few row groups in memory, of the columns that are needed, and every worker
    process of a loader reads row groups for itself: write row groups of some tens of megabytes.

    Args:
        files: Files by path, by glob or by URL of any file system that ``fsspec`` knows, such as ``hf://``; or a list
            of these. Files of a glob are read in the order of their names.
        image: Column of the pictures; ``None`` where questions have none.
        problem: Column of the questions.
        answer: Column of the answers.
        cot: Column of chains of thought.
        id: Column of what names a row in messages.
        image_root: Folder that paths of pictures are relative to and may not leave; ``/`` allows every absolute one.
            Defaults to the folder of the file.
        extra: Other columns to read, for rewards and templates (`Sample.extra`).

    Raises:
        InputError: If there is no such file, one can't be read or lacks a column, or there is no row.
        ValueError: If ``files`` is empty.
    """

    def __init__(
        self,
        files: str | list[str],
        image: str | None = "image",
        problem: str = "problem",
        answer: str = "answer",
        cot: str | None = None,
        id: str | None = None,
        image_root: str | None = None,
        extra: list[str] | None = None,
    ) -> None:
        if not files:
            raise ValueError(f"Expected `files` to name at least one file, but got {files!r}.")
        self.image, self.problem, self.answer, self.cot, self.id = image, problem, answer, cot, id
        self.image_root = image_root
        self.extra = tuple(extra or ())
        named = (image, problem, answer, cot, id, *self.extra)
        self.columns = list(dict.fromkeys(name for name in named if name is not None))
        paths = [path for pattern in ([files] if isinstance(files, str) else files) for path in found_files(pattern)]
        self.groups = [group for path in paths for group in self._groups(path)]
        self._blocks: list[range] = []
        for group in self.groups:
            start = self._blocks[-1].stop if self._blocks else 0
            self._blocks.append(range(start, start + group.size))
        self._starts = [block.start for block in self._blocks]
        if not self.groups:
            raise InputError(f"Expected at least one row in {files}, but there is none.")
        self._tables: OrderedDict[int, pa.Table | InputError] = OrderedDict()

    def __len__(self) -> int:
        """Number of rows."""
        return self._blocks[-1].stop

    def __getitem__(self, index: int) -> Record:
        """Read row ``index``; what is wrong with it raises `InputError` with file and row."""
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a row from 0 to {len(self) - 1}, but got {index}.")
        place = bisect_right(self._starts, index) - 1
        group, position = self.groups[place], index - self._starts[place]
        owner = f"{group.file}, row {group.first + position}"
        table = self._table(place)
        try:
            row = {name: table.column(name)[position].as_py() for name in self.columns}
        except UNREADABLE as error:
            raise InputError(f"{owner}: expected a row that can be read, but it can't: {one_line(error)}.") from error
        owner += "" if self.id is None else f" (id {row[self.id]})"
        root = Path(group.file).parent if self.image_root is None else Path(self.image_root)
        images = () if self.image is None else stored_images(row[self.image], root, owner, self.image)
        if self.image is None and isinstance(row[self.problem], str):
            row[self.problem] = row[self.problem].replace(MARKER, "")  # of the pictures that are left out
        return checked_record(
            {name: row[name] for name in (self.problem, self.answer, self.cot, *self.extra) if name is not None},
            owner,
            images,
            self.problem,
            self.answer,
            self.cot or "",
            self.extra,
        )

    @property
    def streamed(self) -> bool:
        """True: rows are checked when they are read."""
        return True

    @property
    def blocks(self) -> Sequence[range]:
        """Rows of each row group."""
        return self._blocks

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be read again."""
        return self.__dict__ | {"_tables": OrderedDict()}

    def _groups(self, path: str) -> list[RowGroup]:
        """Read the sizes of the row groups of a file, and check its columns."""
        try:
            with opened(path) as file:
                names = file.schema_arrow.names
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        except UNREADABLE as error:
            raise InputError(f"Expected a Parquet file at {path}, but it can't be read: {one_line(error)}.") from error
        if missing := [name for name in self.columns if name not in names]:
            raise InputError(f"Expected a column {missing[0]!r} in {path}, but it has {names}.")
        groups, first = [], 0
        for index, size in enumerate(sizes):
            if size:
                groups.append(RowGroup(path, index, first, size))
            first += size
        return groups

    def _table(self, place: int) -> pa.Table:
        """Return a row group, from memory where it was read lately; one that can't be read is remembered too."""
        if place not in self._tables:
            while len(self._tables) >= KEPT_GROUPS:
                self._tables.popitem(last=False)
            self._tables[place] = self._read(self.groups[place])
        self._tables.move_to_end(place)
        table = self._tables[place]
        if isinstance(table, InputError):
            raise table
        return table

    def _read(self, group: RowGroup) -> pa.Table | InputError:
        try:
            with opened(group.file) as file:
                table = file.read_row_group(group.index, columns=self.columns, use_threads=False)
            problem = "" if table.num_rows == group.size else f"it holds {table.num_rows}"
        except UNREADABLE as error:
            problem = one_line(error)
        rows = f"rows {group.first} to {group.first + group.size - 1}"
        return InputError(f"{group.file}: expected {rows}, but they can't be read: {problem}.") if problem else table


def found_files(pattern: str) -> list[str]:
    """Find the files of a path, glob or URL.

    Raises:
        InputError: If there is none.
    """
    try:
        system, path = fsspec.core.url_to_fs(pattern)
        paths = [path] if system.exists(path) else sorted(system.glob(path)) if fsspec.core.has_magic(path) else []
    except UNREADABLE as error:
        raise InputError(f"Expected Parquet files at {pattern}, but can't look: {one_line(error)}.") from error
    if not paths:
        raise InputError(f"Expected Parquet files at {pattern}, but there is none.")
    if isinstance(system, LocalFileSystem):
        return [pattern] if paths == [path] and "://" not in pattern else paths
    return [system.unstrip_protocol(path) for path in paths]


def opened(path: str) -> pq.ParquetFile:
    """Open a file, in whichever process this is."""
    system, inner = fsspec.core.url_to_fs(path)
    return pq.ParquetFile(inner, filesystem=system, page_checksum_verification=True)


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
