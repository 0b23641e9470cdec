"""When a run is killed: in a phase, at a call of it, after a share of its usual time."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PHASES = {
    "sampling": ("vrft_pl.rollout.local", "LocalSampler.generate"),
    "scoring": ("vrft_pl.rollout.collector", "score"),
    "update": ("vrft_pl.modules.base", "PolicyModule.optimizer_step"),
    "between micro-batches": ("vrft_pl.modules.base", "PolicyModule.on_train_batch_end"),
    "checkpoint writing": ("vrft_pl.runs.checkpoints", "WholeCheckpointIO.save_checkpoint"),
    "evaluation": ("vrft_pl.modules.base", "PolicyModule.evaluate"),
    "export": ("vrft_pl.policy.vlm", "VLM.export"),
}
"""Where each phase begins and ends: a function by the name of its module."""


@dataclass
class Timing:
    """How often a phase came in an undisturbed run, and how long it took."""

    calls: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Kill:
    """When a run is to be killed."""

    phase: str
    call: int
    delay: float
    """Seconds after the call has begun."""

    def __str__(self) -> str:
        return f"{self.phase} {self.call} + {self.delay:.3f} s"


def drawn(timings: Mapping[str, Timing], rng: random.Random, phase: str) -> Kill:
    """A moment of a phase."""
    timing = timings[phase]
    share = rng.random() * timing.seconds / timing.calls
    return Kill(phase, rng.randint(1, timing.calls), share)


def counted(note: Path) -> dict[str, Timing]:
    """The phases that an undisturbed run came to."""
    told = {phase: Timing(*values) for phase, values in json.loads(note.read_text(encoding="utf-8")).items()}
    return {phase: timing for phase, timing in told.items() if timing.calls}


class Watched:
    """Counts the calls of every phase, and kills all processes of the run when it is time.

    Args:
        kill: When; ``None`` for never.
        note: File for what was counted, or for the phase of the kill.
    """

    def __init__(self, kill: Kill | None, note: Path) -> None:
        self.kill, self.note = kill, note
        self.timings = {phase: Timing() for phase in PHASES}

    def install(self) -> None:
        """Put itself around the function of each phase."""
        for phase, (module, path) in PHASES.items():
            *owners, name = path.split(".")
            owner: Any = __import__(module, fromlist=["_"])
            for part in owners:
                owner = getattr(owner, part)
            setattr(owner, name, self.around(phase, getattr(owner, name)))

    def around(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, watched."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            timing, start = self.timings[phase], time.perf_counter()
            timing.calls += 1
            if self.kill is not None and (phase, timing.calls) == (self.kill.phase, self.kill.call):
                self.note.write_text(phase, encoding="utf-8")
                threading.Timer(self.kill.delay, lambda: os.killpg(0, signal.SIGKILL)).start()
            try:
                return function(*args, **kwargs)
            finally:
                timing.seconds += time.perf_counter() - start

        return watched

    def write(self) -> None:
        """Leave what was counted."""
        told = {phase: [timing.calls, timing.seconds] for phase, timing in self.timings.items()}
        self.note.write_text(json.dumps(told), encoding="utf-8")
