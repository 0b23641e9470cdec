"""Breaks runs of two processes and writes a table of what the user sees: ``python tools/faults.py [FAULT ...]``.

Each fault is one short run of `vrft_pl fit` on the embedded policy. What is shown is the last line that begins with the
program's name, or else the last of all.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lightning.pytorch import Callback, Trainer

ROOT = Path(__file__).parents[1]
FIT = [sys.executable, "-m", "vrft_pl", "fit", "--config", str(ROOT / "configs/quickstart.yaml")]
FIT += ["--config", str(ROOT / "configs/hardware/cpu_ddp2.yaml"), "--run.wandb", "off", "--export.enabled", "false"]
FIT += ["--trainer.max_steps", "3", "--data.init_args.batch_size", "1", "--trainer.enable_progress_bar", "false"]
FIT += ["--run.evaluate_before", "false", "--run.evaluate_after", "false"]
LONGEST = 600
"""Seconds until a run is given up."""
OTHERS = {"versions": {"transformers": "5.17.0"}, "code": {"code of vrft_pl": "6e0c"}, "order": {"order of rows": "5f"}}
"""What a rank says of itself that differs from the others."""


class Fault(Callback):
    """Breaks one rank at the start of the second micro-batch.

    Args:
        kind: ``killed``, ``stopped``, ``hangs``, ``slow`` or ``raises``; or out of `OTHERS`, which come before any
            micro-batch.
        rank: Which.
    """

    def __init__(self, kind: str, rank: int = 1) -> None:
        self.kind, self.rank = kind, rank
        if kind in OTHERS and os.environ.get("LOCAL_RANK", "0") == str(rank):
            from vrft_pl.commands.fit import FitCLI

            facts = FitCLI.facts
            FitCLI.facts = lambda cli: {**facts(cli), **OTHERS[kind]}  # type: ignore[assignment, method-assign]

    def on_train_batch_start(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Break."""
        if trainer.global_rank != self.rank or trainer.global_step != 1:
            return
        Path(os.environ["FAULT_TIME"]).write_text(str(time.time()))
        if self.kind in ("killed", "stopped"):
            os.kill(os.getpid(), signal.SIGKILL if self.kind == "killed" else signal.SIGSTOP)
        elif self.kind == "raises":
            raise KeyError("a bug of one rank alone")
        elif self.kind not in OTHERS:
            time.sleep(10 if self.kind == "slow" else LONGEST)


@dataclass(frozen=True)
class Case:
    """A fault and how the run is started."""

    what: str
    kind: str | None = None
    """Of `Fault`."""
    rank: int = 1
    args: tuple[str, ...] = ()
    """Over those of all."""
    others: tuple[tuple[str, ...] | None, ...] | None = None
    """Arguments of each further rank, where each is started by hand; ``None`` for one that is not started."""
    torchrun: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    taken: bool = False
    """Whether another program listens on the port."""


FAULTS = {
    "killed": Case("rank 1 killed (SIGKILL)", "killed"),
    "first_killed": Case("rank 0 killed; ranks started by hand", "killed", 0, others=((),)),
    "killed_torchrun": Case("rank 1 killed; torchrun", "killed", torchrun=True),
    "stopped": Case("rank 1 asleep (SIGSTOP)", "stopped"),
    "first_stopped": Case("rank 0 asleep; ranks started by hand", "stopped", 0, others=((),)),
    "stopped_torchrun": Case("rank 1 asleep; torchrun", "stopped", torchrun=True),
    "hangs": Case("rank 1 hangs in its own code", "hangs"),
    "slow": Case("rank 1 slow by 10 s, within the timeout", "slow"),
    "raises": Case("rank 1 raises an exception", "raises"),
    "missing": Case("rank 1 never started", others=(None,)),
    "versions": Case("another transformers on rank 1", "versions"),
    "code": Case("another code of vrft_pl on rank 1", "code"),
    "order": Case("another order of rows on rank 1", "order"),
    "config": Case("another config on rank 1", others=(("--seed_everything", "7"),)),
    "port": Case("port taken", taken=True),
    "world_size": Case("torchrun starts 2, `devices: 3`", args=("--trainer.devices", "3"), torchrun=True),
    "interface": Case("no such network interface", env={"GLOO_SOCKET_IFNAME": "ib7"}),
    "address": Case("machine of rank 0 unknown, seen by rank 1", env={"MASTER_ADDR": "no-such.invalid"}, others=((),)),
    "devices": Case("`devices: -5`", args=("--trainer.devices=-5",)),
    "gpus": Case("99 GPUs on a machine without", args=("--trainer.accelerator", "gpu", "--trainer.devices", "99")),
}
TIMES = ("--watchdog.timeout", "20", "--watchdog.silence", "5", "--watchdog.arrival", "60")


def run(case: Case, folder: Path) -> tuple[str, float, int]:
    """The last line that a user sees, the seconds from the fault to the end, and the exit code."""
    told = folder / "time"
    env = {**os.environ, "FAULT_TIME": str(told), "PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}", **case.env}
    command = [*FIT, *TIMES, "--run.folder", str(folder / "run"), *case.args]
    if case.kind:
        command += [f"--trainer.callbacks={Path(__file__).stem}.Fault", f"--trainer.callbacks.kind={case.kind}"]
        command += [f"--trainer.callbacks.rank={case.rank}"]
    with ExitStack() as stack:
        port = free_port()
        if case.taken:
            env["MASTER_PORT"] = str(stack.enter_context(socket.create_server(("", 0))).getsockname()[1])
        commands = [(command, env)]
        if case.torchrun:
            torchrun = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nproc-per-node",
                "2",
                "--master-port",
                str(port),
            ]
            commands = [([*torchrun, *command[1:]], env)]
        elif case.others is not None:
            by_hand = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", **env}
            extra = [(), *case.others]
            commands = [
                ([*command, *more], by_hand | {"LOCAL_RANK": str(rank)})
                for rank, more in enumerate(extra)
                if more is not None
            ]
        started = time.time()
        runs = [start(*each, stack) for each in commands]
        watched = runs[-1] if case.rank == 0 or "MASTER_ADDR" in case.env else runs[0]
        printed = watched.communicate(timeout=LONGEST)[0]
        ended = time.time()
    lines = [line for line in printed.splitlines() if line.startswith("vrft_pl: ") and "watchdog of" not in line]
    if os.environ.get("FAULT_SHOW"):
        print(printed)
    since = float(told.read_text()) if told.exists() else started
    return (lines or printed.splitlines())[-1], ended - since, watched.returncode


def start(
    command: list[str], env: Mapping[str, str], stack: ExitStack, output: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    """A process that is gone with everything it started when the run is over."""
    process = subprocess.Popen(
        command, env=env, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    stack.callback(end, process)
    return process


def end(process: subprocess.Popen[str]) -> None:
    """End a process and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def main(args: list[str] | None = None) -> None:
    """Break each run and print its row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"out of {', '.join(FAULTS)}; all by default")
    options = parser.parse_args(args)
    print("| fault | last line | seconds | exit code |\n|---|---|---|---|")
    for name in options.faults or FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            line, seconds, code = run(FAULTS[name], Path(folder))
        print(f"| {FAULTS[name].what} | {line.replace('|', ' ')} | {seconds:.0f} | {code} |", flush=True)


if __name__ == "__main__":
    main()
