"""``vrft_pl serve``: servers of vLLM that `VLLMSampler` samples from and pushes weights to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import torch
from huggingface_hub import snapshot_download

from vrft_pl.commands.errors import fail, last_line
from vrft_pl.commands.parser import ConfigArgumentParser
from vrft_pl.policy.checkpoint import resolve
from vrft_pl.policy.loading import load_processor
from vrft_pl.rollout.vllm.client import LOOPBACK, Server, read_token
from vrft_pl.rollout.vllm.flags import environment, server_flags
from vrft_pl.types import InputError

LOOK_EVERY = 0.5
"""Seconds between two looks at the servers."""
_RAISED = re.compile(r"^(?:.*\bERROR\b.*?\] )?([\w.]*(?:Error|Exception): .+)$", re.M)
"""What was raised, also where a process of vLLM reports it behind its own name."""


@dataclass(frozen=True)
class ServeOptions:
    """What is served, and where.

    Args:
        checkpoint: Folder or hub id of the policy that training starts from; ``tiny`` is the one embedded here.
        port: Of the first server; further ones have those after it.
        count: Servers on this machine, each with a device of its own where there are several.
        host: Address to listen at; one that others reach needs a token.
        token_file: File with the token that clients have to know.
        python: Interpreter of the environment that vLLM is installed in. Defaults to this one.
        dtype: Type of the weights, as that of the policy.
        min_pixels: Fewest pixels of a picture after the processor's resize, as those of the policy.
        max_pixels: Most pixels, likewise; the two sides have to make the same prompt of a picture.
        max_model_len: Most tokens of a prompt and its completion. Defaults to what the model takes.
        push: How weights come in: ``files`` in a folder or in shared memory, ``nccl``, or ``ipc`` on the same GPU.
        lora_rank: Largest rank of an adapter that is pushed as it is; 0 for whole weights.
        sleeps: Whether the server can give up its memory while a trainer on the same GPU works.
        patience: Seconds that a server has until it answers.
        flags: Further flags of vLLM, such as ``--gpu-memory-utilization=0.4``.
    """

    checkpoint: str
    port: int = 8000
    count: int = 1
    host: str = "127.0.0.1"
    token_file: str | None = None
    python: str = sys.executable
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    min_pixels: int | None = None
    max_pixels: int | None = None
    max_model_len: int | None = None
    push: Literal["files", "nccl", "ipc"] = "files"
    lora_rank: int = 0
    sleeps: bool = False
    patience: float = 900.0
    flags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse what can't be served, or would be open to everyone."""
        if self.host not in LOOPBACK and self.token_file is None:
            raise InputError(
                f"Expected `token_file` with `host: {self.host}`, which others reach, but there is none: they could "
                "read what is sampled and replace the weights. Write a long random word into a file."
            )
        if self.count < 1:
            raise InputError(f"Expected `count` to be at least 1 server, but got {self.count}.")


def main(args: Sequence[str]) -> None:
    """Start servers, say when they answer, and end them with this command."""
    parser = ConfigArgumentParser(prog="vrft_pl serve", allow_abbrev=False)
    parser.add_argument("--config", action="config", help="a YAML file; later files and --key value override")
    parser.add_class_arguments(ServeOptions)
    config = parser.parse_args(args)
    config.pop("config", None)
    try:
        options = ServeOptions(**vars(parser.instantiate(config)))
    except InputError as error:
        fail(error, 2)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        serve(options)
    finally:
        signal.signal(signal.SIGTERM, before)  # whoever called this may go on


def serve(options: ServeOptions) -> None:
    """Run servers until one of them ends.

    Raises:
        InputError: If one ends by itself, or does not answer in time.
    """
    running: list[Running] = []
    try:
        for i in range(options.count):
            running.append(Running(options, i))
        for server in running:
            server.wait(time.monotonic() + options.patience)
            print(f"{server.address} answers; what it prints: {server.log.name}", flush=True)
        while True:
            for server in running:
                server.look()
            time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        print("Ended.")
    finally:
        for server in running:
            server.end()


class Running:
    """One server and the processes it has started.

    Args:
        options: What is served.
        number: Which of the servers it is.

    Raises:
        InputError: If it can't be started.
    """

    def __init__(self, options: ServeOptions, number: int) -> None:
        port, token = options.port + number, read_token(options.token_file)
        host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
        self.address = f"http://{host}:{port}"
        self.server = Server(self.address, token, timeout=5.0)
        self.log: IO[bytes] = tempfile.NamedTemporaryFile(prefix=f"vllm-{port}-", suffix=".log", delete=False)  # noqa: SIM115  # the server's, closed with it
        on_cpu = not torch.cuda.is_available()
        flags = server_flags(
            *(self.model(options), options.host, port, options.dtype, options.max_model_len),
            *(options.push, options.lora_rank, options.sleeps, token is not None, on_cpu),
        )
        device = number if torch.cuda.device_count() > 1 else None
        command = [options.python, "-m", "vllm.entrypoints.openai.api_server", *flags, *options.flags]
        try:
            self.process = subprocess.Popen(
                command,
                env=environment(dict(os.environ), token, on_cpu, device),
                stdout=self.log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(f"Expected `python` to be an interpreter with vLLM, but got: {error}") from error

    def model(self, options: ServeOptions) -> str:
        """The checkpoint, or a folder of links to it with a processor of other limits."""
        if options.min_pixels is None and options.max_pixels is None:
            return resolve(options.checkpoint)
        self.scratch = tempfile.TemporaryDirectory(prefix="vrft_pl-served-")
        return with_limits(options.checkpoint, options.min_pixels, options.max_pixels, Path(self.scratch.name))

    def wait(self, until: float) -> None:
        """Wait until the server answers.

        Raises:
            InputError: If it ends, or does not answer until then.
        """
        while not self.server.is_healthy():
            self.look()
            if time.monotonic() > until:
                raise InputError(f"Expected {self.address} to answer in time, but it does not. See {self.log.name}.")
            time.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Raise `InputError` if the server has ended."""
        if (code := self.process.poll()) is not None:
            said = cause(Path(self.log.name).read_text(encoding="utf-8", errors="replace"))
            raise InputError(
                f"Expected {self.address} to go on, but vLLM ended with code {code}: {said!r:.300}. All that it "
                f"printed: {self.log.name}"
            )

    def end(self) -> None:
        """End the server and what it has started."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(timeout=20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self.log.close()


def cause(printed: str) -> str:
    """The first error that vLLM printed, for later ones follow from it; the last line where there is none."""
    raised = _RAISED.search(printed)
    return raised[1] if raised else last_line(printed)


def with_limits(checkpoint: str, min_pixels: int | None, max_pixels: int | None, folder: Path) -> str:
    """Link the files of a checkpoint into a folder, beside its processor with other limits.

    Args:
        checkpoint: Folder or hub id.
        min_pixels: Fewest pixels of a picture after the processor's resize; ``None`` for its own limit.
        max_pixels: Most pixels, likewise.
        folder: An empty folder.
    """
    load_processor(checkpoint, min_pixels, max_pixels).save_pretrained(folder)
    source = Path(resolve(checkpoint))
    source = source if source.is_dir() else Path(snapshot_download(checkpoint))
    for file in source.iterdir():
        # an older file of the processor would override the limits
        if not (folder / file.name).exists() and "processor_config" not in file.name:
            (folder / file.name).symlink_to(file.resolve())
    return str(folder)
