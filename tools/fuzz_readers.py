"""Gives readers of outside files what is nearly right, drawn by hypothesis, and looks for anything but a clear error.

    python tools/fuzz_readers.py --minutes 10 --reader COCO

A case is a fault where it raises something else than an `InputError`, takes over 10 s, or needs more than 1 GB on top.
Each fault is shown once, as small as hypothesis gets it, and kept in a file. Exits with 1 when there is one.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fuzzing.readers import Reader, bytes_of, readers
from hypothesis import HealthCheck, Phase, given, seed, settings

from vrft_pl.types import InputError

LONGEST = 10.0
"""Seconds of a case, of computing."""
WAIT = 6
"""Times as many that may pass by the clock, where the machine does something else too."""
LARGEST = 2**30
"""Bytes that a case may take on top of what the process has taken."""
BATCH = 500
"""Cases that hypothesis draws before the clock is looked at."""
HEAD = "| reader | cases | minutes | refused | slowest, s | MB of the process | faults |\n|---|---|---|---|---|---|---|"
SHOWN = 200
"""Bytes of a case that are shown."""


class Slow(BaseException):
    """A case took too long; nothing that reads a file takes it for damage."""


@dataclass
class Findings:
    """What came of a reader's cases."""

    cases: int = 0
    refused: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    faults: dict[str, bytes] = field(default_factory=dict)
    """The smallest content by what happened and where."""


class Fuzzer:
    """Tries one reader.

    Args:
        reader: The reader.
        folder: An empty one of its own.
    """

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        self.findings = Findings()
        for name, content in {**reader.beside, reader.name: b""}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def warm_up(self) -> None:
        """Read what is good once: what is imported and built the first time is no part of a case."""
        (self.folder / self.reader.name).write_bytes(self.reader.good)
        self.reader.read(self.folder)

    def outcome(self, content: bytes) -> str | None:
        """What is wrong with how a content is read; nothing where it is read, or refused with a clear error."""
        found = self.findings
        (self.folder / self.reader.name).write_bytes(content)
        found.cases += 1
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        signal.setitimer(signal.ITIMER_REAL, WAIT * LONGEST)
        start = time.process_time()
        try:
            self.reader.read(self.folder)
        except InputError as error:
            found.refused += 1
            return None if len(str(error)) > 20 else f"an error that says nothing: {error}"
        except Slow:
            return f"over {LONGEST:.0f} s"
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            found.slowest = max(found.slowest, time.process_time() - start)
        return None

    def batch(self, number: int) -> None:
        """Try some contents, and make one that shows a new fault as small as can be.

        Args:
            number: Seed.
        """
        known = set(self.findings.faults)

        @seed(number)
        @settings(
            max_examples=BATCH,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(bytes_of(self.reader))
        def tried(content: bytes) -> None:
            if (what := self.outcome(content)) is not None and what not in known:
                smallest = self.findings.faults.get(what, content)
                self.findings.faults[what] = min(smallest, content, key=len)
                raise AssertionError(what)

        try:
            tried()
        except (AssertionError, ExceptionGroup):
            return


def fuzz(reader: Reader, minutes: float, start: int) -> Findings:
    """Try a reader for some minutes."""
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(reader, Path(folder))
        fuzzer.warm_up()
        began, number = time.monotonic(), start
        while time.monotonic() - began < 60 * minutes:
            fuzzer.batch(number)
            number += 1
        fuzzer.findings.seconds = time.monotonic() - began
    return fuzzer.findings


def listen() -> None:
    """Let a case that takes too long end."""

    def slow(signum: int, frame: FrameType | None) -> NoReturn:
        raise Slow

    for signum in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(signum, slow)


def limit() -> None:
    """Bound the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + LARGEST
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def row(name: str, found: Findings) -> str:
    """A line of the table."""
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    numbers = f"{found.cases:,} | {found.seconds / 60:.1f} | {found.refused / max(1, found.cases):.0%}"
    return f"| {name} | {numbers} | {found.slowest:.2f} | {megabytes:.0f} | {len(found.faults)} |"


def main(args: Sequence[str] | None = None) -> None:
    """Try the readers and print a line of a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = readers()
    parser.add_argument("--minutes", type=float, default=10.0, help="of each reader")
    parser.add_argument(
        "--reader", nargs="+", choices=known, default=list(known), metavar="NAME", help=", ".join(known)
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the contents that show faults")
    given_args = parser.parse_args(args)
    warnings.simplefilter("ignore")
    print(HEAD)
    faults: dict[str, bytes] = {}
    listen()
    limit()
    for name in given_args.reader:
        found = fuzz(known[name], given_args.minutes, given_args.seed)
        print(row(name, found), flush=True)
        faults |= {f"{name}: {what}": content for what, content in found.faults.items()}
    for i, (what, content) in enumerate(faults.items()):
        print(f"- {what}, for {content[:SHOWN]!r}")
        if given_args.keep is not None:
            given_args.keep.mkdir(parents=True, exist_ok=True)
            (given_args.keep / f"{i}").write_bytes(content)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
