"""Kills runs at random moments, lets them go on, and compares what they leave with runs that nobody killed.

    python tools/chaos.py --kills 200 --seed 0 --output vrft_pl/runs/CHAOS.md

Each case of the matrix runs once undisturbed, and then until it is finished however often it is killed (SIGKILL to all
of its processes): in a phase drawn at random, at a call of it drawn at random, after a share of its usual time drawn
at random. It goes on by ``--resume`` alone. Exported weights have to be the same bit by bit, each record has to be
there once and be the same, and so have the scores. Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHORT = ["--trainer.max_steps", "6", "--trainer.val_check_interval", "3", "--trainer.limit_val_batches", "1"]
SHORT += ["--checkpoint.every_n_train_steps", "2", "--data.init_args.eval_batch_size", "16", "--run.wandb", "off"]
SHORT += ["--trainer.enable_progress_bar", "false", "--run.constants", "false", "--trainer.accelerator", "cpu"]
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
MOST_LIVES = 6
"""Kills of one run, after which it is left alone."""
SHOWN = 160
"""Characters of a record that a difference shows."""
LONGEST = 900
"""Seconds of a run."""


@dataclass(frozen=True)
class Case:
    """A cell of the matrix."""

    kind: str
    """``grpo`` or ``sft``."""
    iterations: int
    accumulate: int
    workers: int
    processes: int
    elsewhere: bool
    """Whether the run's folder lies on another file system than temporary files."""

    @property
    def name(self) -> str:
        """For the table."""
        place = ", other file system" if self.elsewhere else ""
        often = f", {self.iterations} iterations" if self.kind == "grpo" else ""
        return f"{self.kind}{often}, accumulation {self.accumulate}, workers {self.workers}, {self.processes} " + (
            f"process{'es' * (self.processes > 1)}{place}"
        )

    def args(self, folder: Path) -> list[str]:
        """Its command line."""
        config = {"grpo": "configs/quickstart.yaml", "sft": "configs/counting/sft.yaml"}[self.kind]
        batch = 4 // self.processes
        args = ["fit", "--config", str(ROOT / config), *SHORT, "--run.folder", str(folder), "--resume"]
        args += ["--trainer.accumulate_grad_batches", str(self.accumulate)]
        args += ["--data.init_args.batch_size", str(batch), "--data.init_args.num_workers", str(self.workers)]
        if self.kind == "grpo":
            args += ["--model.init_args.num_iterations", str(self.iterations)]
        if self.processes > 1:
            args += ["--trainer.devices", str(self.processes), "--trainer.strategy", "ddp"]
        return args


def matrix() -> list[Case]:
    """All cells; supervised runs have no iterations."""
    cells = itertools.product(("grpo", "sft"), (1, 3), (1, 4), (0, 2), (1, 2), (False, True))
    return [Case(*cell) for cell in cells if cell[0] == "grpo" or cell[1] == 1]


@dataclass
class Timing:
    """How often a phase came in an undisturbed run, and how long it took."""

    calls: int = 0
    seconds: float = 0.0


@dataclass
class Outcome:
    """What became of a case."""

    kills: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Kill:
    """When a run is to be killed."""

    phase: str
    call: int
    delay: float
    """Seconds after the call has begun."""


class Watched:
    """Counts the calls of every phase, and kills all processes of the run when it is time.

    Args:
        kill: When; ``None`` for never.
        note: File for what was counted.
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
        counted = {phase: [timing.calls, timing.seconds] for phase, timing in self.timings.items()}
        self.note.write_text(json.dumps(counted), encoding="utf-8")


def live(case: Case, folder: Path, kill: Kill | None, note: Path) -> int:
    """One life of a run, in a process that has imported everything already. Returns its exit status, -9 for killed."""
    note.unlink(missing_ok=True)
    if (child := os.fork()) == 0:
        code = 1
        try:
            os.setsid()
            log = os.open(note.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1), os.dup2(log, 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            sys.argv = [str(ROOT / "vrft_pl/__main__.py"), *case.args(folder)]  # Lightning starts the others so
            watched = Watched(kill, note)
            watched.install()
            from vrft_pl.__main__ import main

            main(case.args(folder))
            if kill is None:
                watched.write()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except BaseException:  # a child that must not go on with the parent's work
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    return waited(child)


def waited(child: int) -> int:
    """Exit status of a child; it is killed when it takes too long."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"Expected a run to end within {LONGEST} s.")


def drawn(timings: dict[str, Timing], rng: random.Random, phase: str) -> Kill:
    """A moment of a phase."""
    timing = timings[phase]
    share = rng.random() * timing.seconds / timing.calls
    return Kill(phase, rng.randint(1, timing.calls), share)


def left_behind(folder: Path) -> dict[str, list[str]]:
    """What a run leaves that has to be the same."""
    from vrft_pl.runs import RunFolder

    run = RunFolder(folder)
    summary = {key: value for key, value in run.summary().items() if key in ("before", "after")}
    return {
        "weights": [
            hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "export").glob("*.safetensors")
        ],
        "completions": [repr(record) for record in run.completions()],
        "predictions": [repr(record) for record in run.predictions()],
        "metrics": [
            repr({name: value for name, value in sorted(row.items()) if not name.startswith("time/")})
            for row in run.metrics()
        ],
        "scores": [repr(summary)],
        "half-written files": [
            p.name for p in folder.rglob("*") if ".partial" in p.name or p.name.startswith(".export")
        ],
    }


def difference(got: list[str], expected: list[str]) -> str:
    """How what a run left differs from what it should have left; empty where it does not."""
    if got == expected:
        return ""
    missing, more = Counter(expected) - Counter(got), Counter(got) - Counter(expected)
    parts = [
        f"{len(found)} {word}, such as {next(iter(found))[:SHOWN]}"
        for word, found in (("missing", missing), ("too many", more))
        if found
    ]
    return "; ".join(parts) or "in another order"


def attack(case: Case, kills: int, rng: random.Random, place: Path) -> Outcome:
    """Kill a case that many times, over as many runs as it takes."""
    outcome, note, start = Outcome(), place / "note", time.monotonic()
    whole = place / "whole"
    if (code := live(case, whole, None, note)) != 0:
        outcome.differences.append(f"the undisturbed run ended with {code}: {tail(note)}")
        return outcome
    counted = {phase: Timing(*values) for phase, values in json.loads(note.read_text(encoding="utf-8")).items()}
    phases = [phase for phase, timing in counted.items() if timing.calls]
    expected, runs = left_behind(whole), 0
    while outcome.kills.total() < kills:
        folder, runs = place / f"run{runs}", runs + 1
        for life in range(MOST_LIVES + 1):
            last = life == MOST_LIVES or outcome.kills.total() >= kills
            code = live(case, folder, None if last else drawn(counted, rng, rng.choice(phases)), note)
            if code == -signal.SIGKILL and note.exists():
                outcome.kills[note.read_text(encoding="utf-8")] += 1
            elif code == 0:
                break
            else:
                outcome.differences.append(f"life {life} of run {runs} ended with {code}: {tail(note)}")
                return outcome
        got = left_behind(folder)
        found = {what: difference(got[what], expected[what]) for what in got}
        outcome.differences += [f"{what}: {how}" for what, how in found.items() if how]
        if outcome.differences:
            return outcome
        shutil.rmtree(folder)
    outcome.seconds = time.monotonic() - start
    return outcome


def tail(note: Path) -> str:
    """The last lines that a run printed."""
    return " | ".join(note.with_suffix(".log").read_text(errors="replace").splitlines()[-3:])


def table(outcomes: dict[Case, Outcome], args: argparse.Namespace) -> str:
    """The results as markdown."""
    total = sum((outcome.kills for outcome in outcomes.values()), Counter[str]())
    bad = sum(bool(outcome.differences) for outcome in outcomes.values())
    lines = [
        f"`python tools/chaos.py --kills {args.kills} --seed {args.seed}`:",
        f"{total.total()} kills in {len(outcomes)} kinds of runs,",
        f"{bad or 'none'} of which ended in another way than undisturbed. Kills by phase: "
        + ", ".join(f"{phase} {count}" for phase, count in total.most_common())
        + ".",
        "",
        "| run | kills | differences |",
        "|---|---|---|",
        *(
            f"| {case.name} | {outcome.kills.total()} | {'; '.join(outcome.differences) or 'none'} |"
            for case, outcome in outcomes.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack all cases, print the table, and say whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default="", help="Only those whose name holds this.")
    parser.add_argument("--elsewhere", type=Path, default=Path("/dev/shm"), help="A folder on another file system.")
    parser.add_argument("--output", type=Path, help="File for the table.")
    args = parser.parse_args(arguments)
    import vrft_pl.commands.fit  # noqa: F401  # once, for all lives

    cases = [case for case in matrix() if args.cases in case.name]
    share, more = divmod(args.kills, len(cases))
    outcomes: dict[Case, Outcome] = {}
    for i, case in enumerate(cases):
        if not (own := share + (i < more)):
            continue
        with tempfile.TemporaryDirectory(dir=args.elsewhere if case.elsewhere else None) as place:
            outcomes[case] = attack(case, own, random.Random(f"{args.seed}/{case.name}"), Path(place))
        said = "; ".join(outcomes[case].differences) or "no difference"
        print(f"{case.name}: {outcomes[case].kills.total()} kills, {said}, {outcomes[case].seconds:.0f} s", flush=True)
    print(text := table(outcomes, args))
    if args.output:
        args.output.write_text(text, encoding="utf-8")
    return int(any(outcome.differences for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
