"""What the runner asks of whoever carries out its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from vrft_pl.ablation.rows import Probe
from vrft_pl.data import Source
from vrft_pl.runs import RunFolder


class Commands(Protocol):
    """What the runner asks the command line to do, in this process."""

    def check(self, config: Path) -> None:
        """Parse a config of `vrft_pl fit`; raise `InputError` where it is wrong."""

    def fit(self, config: Path, folder: RunFolder) -> None:
        """Train, from the newest checkpoint in the folder if there is one."""

    def test(self, config: Path, folder: RunFolder) -> None:
        """Judge on the test parts."""

    def probe(self, config: Path, completions: int, seed: int) -> Probe:
        """Let a policy write on the training rows of a config."""

    def source(self, config: Path) -> Source:
        """The training rows of a config."""
