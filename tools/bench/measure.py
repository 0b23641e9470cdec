"""Clocks and memory, the same for both sides."""

from __future__ import annotations

import json
import resource
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

TEMPERATURE = 1.0
LEARNING_RATE = 1e-6
CLIP_NORM = 1.0
ADAMW: dict[str, Any] = {"lr": LEARNING_RATE, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "fused": True}


def score(text: str) -> float:
    """A dense reward that is the same for both sides: it differs between random completions."""
    return sum(map(ord, text)) % 97 / 96


class Clock:
    """Collects seconds by phase for each step after the warm-up steps.

    Args:
        device: ``cuda`` waits for the device before it reads the time.
        warmup: Steps that are left out.
    """

    def __init__(self, device: str, warmup: int) -> None:
        self.device, self.warmup = device, warmup
        self.steps: list[dict[str, float]] = []
        self._phases: defaultdict[str, float] = defaultdict(float)
        self._step_start: float | None = None

    def now(self) -> float:
        """Seconds, with all work done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add what happens inside to a phase of the current step."""
        start = self.now()
        yield
        self._phases[name] += self.now() - start

    def add(self, name: str, seconds: float) -> None:
        """Add seconds measured elsewhere."""
        self._phases[name] += seconds

    def start(self) -> None:
        """Begin the first step."""
        self._step_start = self.now()

    def step(self) -> None:
        """End a step and begin the next: everything between two ends belongs to it, data loading included."""
        now = self.now()
        assert self._step_start is not None
        total = now - self._step_start
        known = sum(self._phases.values())
        self.steps.append({"step": total, **self._phases, "update": total - known})
        self._phases.clear()
        if len(self.steps) == self.warmup and self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._step_start = self.now()

    def save(self, path: Path, num_tokens: int, prompt_tokens: int) -> None:
        """Write the measured steps and the peak of memory: of the device, or of the whole process on a CPU."""
        if self.device == "cuda":
            peak = torch.cuda.max_memory_allocated()
        else:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        result = {
            "steps": self.steps[self.warmup :],
            "peak_bytes": peak,
            "completion_tokens": num_tokens,
            "prompt_tokens": prompt_tokens,
        }
        path.write_text(json.dumps(result))
