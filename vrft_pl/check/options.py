"""What a check looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Step = Literal[
    "data", "boxes", "labels", "tokens", "gold", "constant", "signal", "pictures", "parameters", "memory", "speed"
]


@dataclass(frozen=True)
class CheckOptions:
    """What ``vrft_pl check`` looks at.

    Args:
        rows: Most rows read of each part of the data, drawn with the seed; 64 of a procedural one.
        prompts: Prompts of the training rows for which the policy samples a group of completions.
        pictures: Samples drawn with the true and the answered boxes.
        skip: Steps to leave out.
        device_memory: GiB of a device to compare what stays with. Defaults to that of this machine's.
        write_difficulty: File to write the policy's success rate on every training row to, for `DifficultyBand`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    rows: int = 4096
    prompts: int = 16
    pictures: int = 3
    skip: tuple[Step, ...] = ()
    device_memory: float | None = None
    write_difficulty: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value in {"rows": self.rows, "prompts": self.prompts}.items():
            if value < 1:
                raise ValueError(f"Expected `check.{name}` to be at least 1, but got {value}.")
        if self.pictures < 0:
            raise ValueError(f"Expected `check.pictures` to be 0 or more, but got {self.pictures}.")
        if self.device_memory is not None and not self.device_memory > 0:
            raise ValueError(f"Expected `check.device_memory` to be above 0 GiB, but got {self.device_memory}.")
