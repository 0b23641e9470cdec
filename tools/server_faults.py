"""Breaks a server of vLLM below a run and writes a table of what the user sees.

Each fault is one short run of `vrft_pl fit` on the embedded policy, whose sampler is told to wait 10 s for an answer
and 20 s for a server.

python tools/server_faults.py VLLM_VENV/bin/python [FAULT ...]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from faults import FIT, LONGEST, ROOT, free_port, start
from lightning.pytorch import Callback, Trainer

from vrft_pl.policy.checkpoint import resolve
from vrft_pl.rollout.vllm.client import Server
from vrft_pl.rollout.vllm.flags import environment, server_flags

FAULTS = {
    "killed": "server killed (SIGKILL), as by a machine without memory, and not started anew",
    "asleep": "server asleep (SIGSTOP)",
    "memory": "`vrft_pl serve` of one that wants more memory than there is",
}
SIGNS = {"killed": signal.SIGKILL, "asleep": signal.SIGSTOP}
SAMPLER = "--model.init_args.sampler"


class ServerFault(Callback):
    """Sends a signal to a server after the first optimizer step.

    Args:
        sign: Number of the signal.
    """

    def __init__(self, sign: int) -> None:
        self.sign = sign

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        """Break it."""
        if trainer.global_step == 1:
            Path(os.environ["FAULT_TIME"]).write_text(str(time.time()))
            os.killpg(int(os.environ["FAULT_SERVER"]), self.sign)


def run(fault: str, python: str, folder: Path) -> tuple[str, float, int]:
    """The last line that a user sees, the seconds from the fault to the end, and the exit code."""
    env, port = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tools'}"}, free_port()
    if fault == "memory":
        command = [sys.executable, "-m", "vrft_pl", "serve", "--checkpoint", "tiny", "--port", str(port)]
        command += ["--python", python, "--dtype", "float32", "--max_model_len", "512"]
        return told(command, env | {"VLLM_CPU_KVCACHE_SPACE": "100000"}, folder)
    with ExitStack() as stack:
        flags = server_flags(resolve("tiny"), "127.0.0.1", port, "float32", 512, on_cpu=True)
        serve = [python, "-m", "vllm.entrypoints.openai.api_server", *flags]
        log = stack.enter_context((folder / "server.log").open("w"))
        server = start(serve, environment(dict(os.environ), None, on_cpu=True), stack, log)
        wait(server, Server(f"http://127.0.0.1:{port}", timeout=5.0), folder / "server.log")
        command = [*FIT, "--trainer.strategy", "auto", "--trainer.devices", "1", "--run.folder", str(folder / "run")]
        command += [SAMPLER, "vrft_pl.rollout.VLLMSampler", f"{SAMPLER}.init_args.timeout", "10"]
        command += [f"{SAMPLER}.init_args.servers", f"[http://127.0.0.1:{port}]"]
        command += [f"{SAMPLER}.init_args.patience", "20", f"--trainer.callbacks={Path(__file__).stem}.ServerFault"]
        command += [f"--trainer.callbacks.sign={int(SIGNS[fault])}"]
        return told(command, env | {"FAULT_SERVER": str(server.pid)}, folder)


def told(command: list[str], env: dict[str, str], folder: Path) -> tuple[str, float, int]:
    """Run a command to its end; what `run` returns of it."""
    at, started = folder / "time", time.time()
    done = subprocess.run(
        command, env=env | {"FAULT_TIME": str(at)}, capture_output=True, text=True, check=False, timeout=LONGEST
    )
    lines = (done.stdout + done.stderr).splitlines()
    since = float(at.read_text()) if at.exists() else started
    return ([line for line in lines if line.startswith("vrft_pl: ")] or lines)[-1], time.time() - since, done.returncode


def wait(process: subprocess.Popen[str], server: Server, log: Path) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + LONGEST
    while not server.is_healthy():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Expected a server of vLLM, but it printed: {log.read_text()[-2000:]}")
        time.sleep(1)


def main(args: list[str] | None = None) -> None:
    """Break each server and print its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="interpreter of the environment that vLLM is installed in")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"out of {', '.join(FAULTS)}; all by default")
    options = parser.parse_args(args)
    print("| fault | last line | seconds | exit code |\n|---|---|---|---|")
    for name in options.faults or FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            line, seconds, code = run(name, options.python, Path(folder))
        print(f"| {FAULTS[name]} | {line.replace('|', ' ')} | {seconds:.0f} | {code} |", flush=True)


if __name__ == "__main__":
    main()
