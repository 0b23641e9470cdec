"""Breaks the surroundings of a run, lets it go on, and writes a table of what the user saw and what was lost.

    python tools/environment_faults.py > vrft_pl/runs/FAULTS.md

Each fault is a run of six steps on the embedded policy. Where it does not come to its end, the surroundings are mended
and it goes on by ``--resume``. Its numbers, completions and predictions are compared with those of a run that nothing
happened to. Exits with 1 where something is lost, or a fault shows a traceback or another exit code than it should.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostile import prepare
from hostile_input import process
from hostile_input.case import Case, base, write_config
from hostile_input.pictures import QUESTION, png
from lightning.pytorch import Callback, LightningModule, Trainer

from vrft_pl.runs import tracking
from vrft_pl.runs.rows import read_rows, read_table

PHASES = {
    "sampling": ("vrft_pl.rollout.local", "LocalSampler.generate"),
    "scoring": ("vrft_pl.rollout.collector", "score"),
    "update": ("vrft_pl.modules.base", "PolicyModule.optimizer_step"),
    "checkpoint writing": ("vrft_pl.runs.checkpoints", "WholeCheckpointIO.save_checkpoint"),
    "evaluation after training": ("vrft_pl.modules.base", "PolicyModule.evaluate"),
    "export": ("vrft_pl.policy.vlm", "VLM.export"),
}
"""A function of each phase in which a signal comes."""
AT = 3
"""Optimizer steps done when something happens."""
VARIABLE = "ENVIRONMENT_FAULT"
"""Kind of a fault, and the phase of a signal behind a slash."""
TMPFS = "disk"
"""Folder of a small file system of its own."""
TMPFS_SIZE = "64m"
LONGEST = 300.0
"""Seconds of a run, on a machine that does something else too."""
WAIT = 3.0
"""Seconds that W&B gets at the end, in place of ten minutes."""
JOB = {
    "NTASKS": "1",
    "NTASKS_PER_NODE": "1",
    "JOB_NAME": "x",
    "JOB_ID": "7",
    "PROCID": "0",
    "LOCALID": "0",
    "NODEID": "0",
}
SLURM = {f"SLURM_{name}": value for name, value in JOB.items()} | {"PATH": f".{os.pathsep}{os.environ['PATH']}"}
"""Environment of a job of SLURM, which finds the stand-in for its ``scontrol`` where the run is started."""


class Fault(Callback):
    """Breaks something after some optimizer steps, as the environment says: the config stays the same."""

    def __init__(self) -> None:
        self.kind, _, self.phase = os.environ.get(VARIABLE, "").partition("/")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for the phase of a signal."""
        if self.kind in signal.Signals.__members__:
            self._signal_in(self.phase)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """Break what breaks before a step."""
        if trainer.global_step == AT and (act := ACTS.get(self.kind)) is not None:
            act(Path(trainer.log_dir or "."))

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Break what breaks before a checkpoint, which comes after all callbacks."""
        if self.kind == "full for a checkpoint" and trainer.global_step == AT + 1:
            fill(Path(TMPFS))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Break what breaks before an export."""
        if self.kind == "full for an export":
            fill(Path(TMPFS))

    def _signal_in(self, phase: str) -> None:
        module, path = PHASES[phase]
        *owners, name = path.split(".")
        owner: Any = __import__(module, fromlist=["_"])
        for part in owners:
            owner = getattr(owner, part)
        plain, calls = getattr(owner, name), list[None]()

        def interrupted(*args: Any, **kwargs: Any) -> Any:
            calls.append(None)
            if len(calls) == 1:
                os.kill(os.getpid(), signal.Signals[self.kind])
            return plain(*args, **kwargs)

        setattr(owner, name, interrupted)


def fill(folder: Path) -> None:
    """Leave no byte free on a file system."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def delete(folder: Path) -> None:
    """Delete the run's folder."""
    shutil.rmtree(folder)


def jump(folder: Path) -> None:
    """Set the clock of this process back by a day, whoever asks for it."""
    real = time.time
    time.time = lambda: real() - 86_400


def no_handles(folder: Path) -> None:
    """Allow for no further open file."""
    most = os.dup(0)  # the lowest number that is free
    os.close(most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def service() -> list[int]:
    """The processes of W&B below this one."""
    texts = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    pids = [int(pid) for text in texts for pid in text.split()]
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().startswith("wandb")]


def to_wandb(signum: signal.Signals) -> Callable[[Path], None]:
    """Send its process a signal; nobody waits for it for ten minutes here."""

    def act(folder: Path) -> None:
        tracking.FINISH_SECONDS = tracking.CALL_SECONDS = WAIT
        for pid in service():
            os.kill(pid, signum)

    return act


def second(folder: Path) -> None:
    """Start another run in the same folder, and say how it ended."""
    args = [sys.executable, "-m", "vrft_pl", "fit", "--config", "config.yaml"]
    env = {**os.environ, VARIABLE: "", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(args, capture_output=True, text=True, timeout=LONGEST, env=env)
    print(f"vrft_pl: the second run: exit code {done.returncode}: {done.stderr.strip()[-300:]}", file=sys.stderr)


def cut_pictures(folder: Path) -> None:
    """Cut every picture but the last in two."""
    for path in sorted(Path("pictures").glob("*.png"))[:-1]:
        path.write_bytes(path.read_bytes()[:60])


ACTS: dict[str, Callable[[Path], None]] = {
    "deleted": delete,
    "full for records": lambda folder: fill(Path(TMPFS)),
    "clock": jump,
    "no handles": no_handles,
    "W&B killed": to_wandb(signal.SIGKILL),
    "W&B frozen": to_wandb(signal.SIGSTOP),
    "second": second,
    "cut": cut_pictures,
}
"""What happens before a step, by the kind of fault."""


@dataclass(frozen=True)
class Trouble:
    """A fault, and how a run should take it."""

    what: str
    kind: str | None = None
    phase: str = "update"
    code: int = 0
    """Exit code of the run that it happens to."""
    env: dict[str, str] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    fresh: bool = False
    folder: str = "run"
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the config."""
    same: bool = True
    """Whether the run goes on to the same end; not where rows are others, or what was recorded is deleted."""
    gone: str = "nothing"
    """What is lost where it does not."""


def full(what: str, kind: str, code: int = 1) -> Trouble:
    """A disk that is full."""
    return Trouble(what, kind, code=code, folder=f"{TMPFS}/run")


PICTURED: dict[str, Any] = {
    "data__init_args__train": {
        "class_path": "vrft_pl.data.ReasonJSON",
        "init_args": {"path": "rows.json", "image_root": "pictures"},
    }
}
TROUBLES = {
    "stdout": Trouble("closed standard output", closed=(1,), fresh=True),
    "locale": Trouble("`LC_ALL=C`, a folder in Greek", env={"LC_ALL": "C"}, fresh=True, folder="αβγ"),
    "home": Trouble("an unwritable HOME, W&B offline", env={"HOME": "/proc/x"}, changes={"run__wandb": "offline"}),
    "deleted": Trouble("the run's folder is deleted", "deleted", same=False, gone="what was deleted"),
    "checkpoint": full("disk full while a checkpoint is written", "full for a checkpoint"),
    "records": full("disk full while records are written", "full for records"),
    "export": full("disk full while weights are exported", "full for an export"),
    "clock": Trouble("the clock jumps back by a day", "clock"),
    "handles": Trouble("out of file handles", "no handles", code=1),
    "wandb_killed": Trouble("W&B's process is killed", "W&B killed", changes={"run__wandb": "offline"}),
    "wandb_frozen": Trouble("W&B's process is frozen", "W&B frozen", changes={"run__wandb": "offline"}),
    "second": Trouble("a second run in the same folder", "second"),
    "cut": Trouble("pictures are cut, `on_bad_row: error`", "cut", code=1, changes=PICTURED, same=False),
    "cut_skipped": Trouble(
        "pictures are cut, `on_bad_row: skip`",
        "cut",
        changes={**PICTURED, "data__init_args__on_bad_row": "skip"},
        same=False,
    ),
    **{f"sigterm_{phase.split()[0]}": Trouble(f"SIGTERM in {phase}", "SIGTERM", phase, code=143) for phase in PHASES},
    **{
        f"slurm_{phase.split()[0]}": Trouble(f"SLURM's SIGUSR1 in {phase}", "SIGUSR1", phase, code=138, env=SLURM)
        for phase in PHASES
    },
}
"""By name."""


def config(trouble: Trouble) -> dict[str, Any]:
    """The config of a run that something happens to."""
    made = base(**{"trainer__max_steps": 6, "run__evaluate_after": True, "checkpoint__every_n_train_steps": 2})
    made["run"]["folder"], made["export"] = trouble.folder, {"enabled": True}
    made["completions"] = {"every_n_rollouts": 1}
    for key, value in trouble.changes.items():
        section = made
        *above, last = key.split("__")
        for name in above:
            section = section.setdefault(name, {})
        section[last] = value
    made["trainer"]["callbacks"] = [{"class_path": f"{Path(__file__).stem}.Fault"}]
    return made


def write_pictures(folder: Path) -> None:
    """Write rows with a picture each."""
    (folder / "pictures").mkdir()
    rows = [{**QUESTION, "id": f"q{i}", "image": f"{i}.png"} for i in range(8)]
    for i in range(8):
        (folder / f"pictures/{i}.png").write_bytes(png(32 + i, 32))
    (folder / "rows.json").write_text(json.dumps(rows))


def carried_out(trouble: Trouble, folder: Path, broken: bool) -> process.Outcome:
    """A run in a folder that has been used already or not."""

    def make(folder: Path) -> list[str]:
        return ["fit", *write_config(folder, config(trouble)), "--resume"]

    shutil.rmtree(folder / process.TEMPORARY, ignore_errors=True)
    (folder / "scontrol").write_text("#!/bin/sh\nexit 0\n")
    (folder / "scontrol").chmod(0o700)
    for name in (process.OUTPUT, process.ERRORS):
        (folder / name).unlink(missing_ok=True)
    env = {**trouble.env, "PYTHONPATH": os.pathsep.join(sys.path)} if broken else {}
    env[VARIABLE] = f"{trouble.kind}/{trouble.phase}" if broken and trouble.kind else ""
    closed = trouble.closed if broken else ()
    return process.run(Case(make, 0, env, closed, leaves=True, fresh=trouble.fresh), folder)


def left(folder: Path) -> dict[str, Any]:
    """What a run has recorded, without what is measured by the clock."""
    rows = [
        {name: value for name, value in row.items() if not name.startswith("time/")}
        for row in read_table(folder / "metrics.csv")
    ]
    kept = {name: list(read_rows(folder / f"{name}.jsonl")) for name in ("completions", "predictions")}
    summary = folder / "summary.json"
    after = json.loads(summary.read_text()).get("after") if summary.exists() else None
    weights = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("export/*.safetensors")}
    return {"numbers": rows, **kept, "summary": after, "weights": weights}


def lost(folder: Path, expected: dict[str, Any]) -> str:
    """What differs from a run that nothing happened to."""
    got = left(folder)
    return ", ".join(name for name in expected if got[name] != expected[name]) or "nothing"


def mount(folder: Path) -> bool:
    """Make a folder a small file system; whether that is allowed."""
    folder.mkdir()
    flags = 0
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.mount(b"none", os.fsencode(folder), b"tmpfs", flags, f"size={TMPFS_SIZE}".encode()) == 0


def unmount(folder: Path) -> None:
    """Undo it."""
    ctypes.CDLL(None).umount2(os.fsencode(folder), 2)


def seen(said: str) -> str:
    """The last line that is about what happened."""
    lines = [line.strip() for line in said.splitlines()]
    about = [line for line in lines if line.startswith(("vrft_pl: ", "W&B ", "Got SIG")) or "Warning: " in line]
    return about[-1].removeprefix("vrft_pl: ").rpartition("Warning: ")[2] if about else ""


def row(trouble: Trouble, expected: dict[str, Any]) -> tuple[str, bool]:
    """A line of the table, and whether all is as it should be."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, disk = Path(scratch), Path(scratch) / TMPFS
        if trouble.folder.startswith(TMPFS) and not mount(disk):
            return f"| {trouble.what} | not tried: file systems can't be mounted here | | |", True
        try:
            if trouble.changes is not None and "data__init_args__train" in trouble.changes:
                write_pictures(folder)
            first = carried_out(trouble, folder, broken=True)
            (disk / "filler").unlink(missing_ok=True)
            for path in folder.glob("pictures/*.png"):
                path.write_bytes(png(32 + int(path.stem), 32))
            again = "" if first.code == 0 and (folder / trouble.folder / "summary.json").exists() else "; goes on"
            last = carried_out(trouble, folder, broken=False) if again else first
            what = lost(folder / trouble.folder, expected) if trouble.same else trouble.gone
        finally:
            unmount(disk)
    line = seen(first.said).replace("|", "\\|")[:260]
    good = first.code == trouble.code and last.code == 0 and what == trouble.gone and "Traceback" not in first.said
    code = f"{first.code}{again}{f' with {last.code}' if again else ''}"
    return f"| {trouble.what} | {line} | {code} | {what} |", good


def main(args: Sequence[str] | None = None) -> None:
    """Break each run and print its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"out of {', '.join(TROUBLES)}; all by default")
    names = parser.parse_args(args).faults or list(TROUBLES)
    process.LONGEST = LONGEST
    prepare()
    with tempfile.TemporaryDirectory() as scratch:
        reference = carried_out(Trouble("nothing"), Path(scratch), broken=False)
        expected = left(Path(scratch) / "run")
    if reference.code:
        sys.exit(f"The run that nothing happens to ended with {reference.code}: {reference.said[-2000:]}")
    print("# Faults of the surroundings, and what is lost\n")
    print("Made by `python tools/environment_faults.py > vrft_pl/runs/FAULTS.md`.\n")
    print("| fault | what the user sees | exit code | what was lost |\n|---|---|---|---|", flush=True)
    wrong = []
    for name in names:
        line, good = row(TROUBLES[name], expected)
        print(line, flush=True)
        wrong += [] if good else [name]
    print(f"\n{len(names)} faults, {len(wrong)} not as it should be{': ' if wrong else ''}{', '.join(wrong)}.")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
