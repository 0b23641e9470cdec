"""One number that tells whether two sets of rows are the same, pictures included."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from vrft_pl.data.sources.base import Record, Source


def fingerprint(source: Source, rows: Iterable[int]) -> str:
    """SHA-256 of rows in their order: of ids, questions, answers and the decoded pixels of their pictures.

    Args:
        source: Where they come from.
        rows: Their positions.

    Returns:
        64 hexadecimal digits.

    Raises:
        InputError: If a row or a picture can't be read.

    Example:
        >>> from vrft_pl.data import CountingScenes
        >>> fingerprint(CountingScenes(), [0, 1]) == fingerprint(CountingScenes(seed=1), [0, 1])
        False
    """
    whole = hashlib.sha256()
    for row in rows:
        for part in _parts(source[row]):
            # each behind its length: parts that are cut elsewhere are other parts
            whole.update(len(part).to_bytes(8, "big"))
            whole.update(part)
    return whole.hexdigest()


def _parts(record: Record) -> Iterator[bytes]:
    yield from (text.encode(errors="surrogatepass") for text in (record.id, record.problem, repr(record.answer)))
    yield str(len(record.images)).encode()
    for source in record.images:
        image = source.open()
        yield repr((image.mode, image.size)).encode()
        yield image.tobytes()
