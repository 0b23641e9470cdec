"""Mistakes as one line."""

from __future__ import annotations

import errno
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import torch
from jsonargparse import ArgumentParser

from vrft_pl.types import InputError

_REASON = re.compile(
    r"^\s*- (?!Does not validate|Expected a [^\n]*NoneType)(.*?)(?=^\s*- |^\s*Given value|\Z)", re.M | re.S
)
_MISMATCH = ("Expected a <class ", "Not a valid subclass of ")
"""How a reason begins that is the type of an alternative, and says nothing of what was meant."""
_FORMS = ("a class path (str)", "a dict with")
"""How lines begin that list what a class may be written as."""
_FROM_WORKER = f"{InputError.__module__}.{InputError.__qualname__}: "
"""What stands before the message at the end of the traceback that a worker process hands over."""


@contextmanager
def input_errors_in_one_line() -> Iterator[None]:
    """End with one line and exit code 1 where an input turns out to be wrong."""
    try:
        yield
    except InputError as error:
        fail(error, 1)


@contextmanager
def bugs_in_one_line() -> Iterator[None]:
    """End with one line and exit code 1 where something goes wrong that nothing foresaw; a file keeps the traceback."""
    try:
        yield
    except Exception as error:  # whatever it is: of a user's class, a library or ours
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = one_line(str(error)) or "no reason"
        fail(
            f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: {said.rstrip('.')}. "
            f"The traceback is in {kept_traceback()}; `--debug` shows it.",
            1,
        )


@contextmanager
def tracebacks_shown() -> Iterator[None]:
    """Show where the exception came from behind a line, and those that nothing foresaw as Python does."""
    try:
        yield
    except SystemExit as stop:
        if stop.code and stop.__context__ is not None:
            traceback.print_exception(stop.__context__)
        raise


def kept_traceback() -> str:
    """Write the traceback of the exception that is handled into a file of its own; returns its path."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="vrft_pl-", suffix=".txt", delete=False, errors="replace") as file:
            traceback.print_exc(file=file)
    except OSError as error:
        return f"no file ({error})"
    return file.name


def fail(error: BaseException | str, code: int) -> NoReturn:
    """Print one line and exit."""
    print(f"vrft_pl: {one_line(str(error))}", file=sys.stderr)
    sys.exit(code)


def of_surroundings(error: OSError, folder: object) -> str | None:
    """Say what a run could not do for want of room; ``None`` where that is not what was wrong.

    Args:
        error: What ended it.
        folder: Of the run.
    """
    again = f"and go on with the same command and `--run.folder {folder} --resume`."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"Expected room on the disk of {folder}, but there is none left ({error.strerror}). Make some, {again}"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"Expected to open one more file, but got: {error.strerror}. Raise the limit (`ulimit -n`), {again}"
    return None


def out_of_memory(error: torch.OutOfMemoryError, trains: bool, together: str | None) -> str:
    """Say what memory did not hold, and what to make smaller.

    Args:
        error: Of torch.
        trains: Whether it was a micro-batch of training.
        together: The strategy under which no rank can split its micro-batch alone, if it is one.

    Example:
        >>> out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), False, None)
        'Expected memory to hold a batch to evaluate, but CUDA out of memory. Lower `data.init_args.eval_batch_size`.'
    """
    said = str(error).partition(". ")[0]
    if not trains:
        return f"Expected memory to hold a batch to evaluate, but {said}. Lower `data.init_args.eval_batch_size`."
    why = f" Under {together} ranks pass through the model together, and none can split its part alone."
    return (
        f"Expected memory to hold a micro-batch, but {said}.{why if together else ''} Lower "
        "`data.init_args.batch_size` and raise `trainer.accumulate_grad_batches` as much, which trains the same, or "
        "lower `max_pixels` of the policy."
    )


class OneLineParser(ArgumentParser):
    """Reports a mistake in the arguments as one line and exits with 2."""

    def error(self, message: str, ex: Exception | None = None) -> None:  # type: ignore[override]
        """Print the innermost reason."""
        fail(message, 2)


def one_line(message: str) -> str:
    r"""Shorten a message to one line.

    Of the parser's nested alternatives it is the reason that is no mere type mismatch; of what a worker process of a
    loader raised, the message without the traceback.

    Example:
        >>> one_line("Parser key 'x': Does not validate\nErrors:\n  - Expected `n` to be 1.\n  - Expected a NoneType")
        "Parser key 'x': Expected `n` to be 1."
        >>> one_line("Does not validate\nErrors:\n  - Expected a folder.\n  - Expected a NoneType\nGiven value: 1")
        'Expected a folder.'
        >>> one_line("Does not validate\nErrors:\n  - Expected `low` below `high`.\n  - Expected a <class 'str'>")
        'Expected `low` below `high`.'
        >>> one_line("Does not validate\nErrors:\n  - Expected 1.\n  - Not a valid subclass of A\n    - a dict with")
        'Expected 1.'
        >>> one_line("Caught InputError in worker 0.\nOriginal Traceback ...\nvrft_pl.types.InputError: Row 5.")
        'Row 5.'
    """
    message = message.rpartition(_FROM_WORKER)[2]
    reasons = [reason for reason in _REASON.findall(message) if not reason.startswith(_FORMS)]
    if "Errors:" in message and reasons:
        key = re.match(r"Parser key [^:]*:\s", message)
        told = [reason for reason in reasons if not reason.startswith(_MISMATCH)] or reasons
        message = (key.group() if key else "") + told[-1].partition("Subclass types expect")[0]
    return re.sub(r"\s+", " ", message).strip()


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
