"""How a server of vLLM has to be started so that a trainer can sample from it and push weights to it."""

from __future__ import annotations

import json
import os
from pathlib import Path

INSIDE = Path(__file__).parent / "inside"
"""Modules that vLLM loads into its own processes."""
BACKENDS = {"files": "vrft_pl_files", "nccl": "nccl", "ipc": "ipc"}
"""Names under which vLLM knows the routes of weights."""


def server_flags(
    model: str,
    host: str,
    port: int,
    dtype: str = "auto",
    max_model_len: int | None = None,
    push: str = "files",
    lora_rank: int = 0,
    sleeps: bool = False,
    guarded: bool = False,
    on_cpu: bool = False,
) -> list[str]:
    """Flags behind ``python -m vllm.entrypoints.openai.api_server``.

    Args:
        model: Folder or hub id of the checkpoint.
        host: Address to listen at.
        port: Likewise.
        dtype: Type of the weights.
        max_model_len: Most tokens of a prompt and its completion; ``None`` for what the model takes.
        push: How weights come in; one of `BACKENDS`.
        lora_rank: Largest rank of an adapter; 0 for none.
        sleeps: Whether it can give up its memory.
        guarded: Whether clients need a token.
        on_cpu: Whether it runs without an accelerator.
    """
    flags = [
        *("--model", model, "--host", host, "--port", str(port), "--dtype", dtype),
        *("--worker-extension-cls", "vrft_pl_weights.Extension"),
        *("--weight-transfer-config", json.dumps({"backend": BACKENDS[push]})),
        "--enable-scale-out",  # the route that takes and gives tokens
        *("--generation-config", "vllm"),  # a checkpoint's own would change how tokens are drawn
        *("--logprobs-mode", "processed_logprobs"),  # of the distribution that is drawn from
    ]
    if max_model_len is not None:
        flags += ["--max-model-len", str(max_model_len)]
    if lora_rank:
        flags += ["--enable-lora", "--max-lora-rank", str(lora_rank)]
    if sleeps:
        flags += ["--enable-sleep-mode"]
    if guarded:
        flags += ["--middleware", "vrft_pl_guard.Guard"]
    if on_cpu:
        # a prompt that is read in parts, and has a seed, ends the engine: its generator can't be set back on a CPU
        flags += ["--enforce-eager", "--block-size", "32", "--no-enable-chunked-prefill"]
    return flags


def environment(own: dict[str, str], token: str | None, on_cpu: bool, device: int | None = None) -> dict[str, str]:
    """Environment of the server: what it inherits, and what makes it serve a trainer.

    Args:
        own: What it inherits.
        token: What clients have to know; not a flag, which everyone on the machine could read.
        on_cpu: Whether it runs without an accelerator.
        device: The GPU it runs on; ``None`` leaves the choice to vLLM.
    """
    path = os.pathsep.join(filter(None, (str(INSIDE), own.get("PYTHONPATH"))))
    made = {**own, "PYTHONPATH": path, "VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    if token is not None:
        made["VLLM_API_KEY"] = token
    if device is not None:
        made["CUDA_VISIBLE_DEVICES"] = str(device)
    if on_cpu:  # its threads stay where they are put, beside those of the trainer
        made = {"VLLM_CPU_KVCACHE_SPACE": "1", **made, "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return made
