"""Serve tiny checkpoints of architectures with a real vLLM, and compare what it writes with the trainer.

VRFT_PL_VLLM_PYTHON=vllm-venv/bin/python python tools/try_vllm.py qwen3_vl smolvlm

Each is one of the tests' checkpoints, as wide as vLLM's attention on a CPU wants it. A server is started, takes the
trainer's weights three times, each time other ones, and continues questions about one picture, several and none as the
trainer does: `VLLMSampler` itself refuses one that does not. Then it is asked about three pictures within a text. Each
takes half a minute and more.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from vrft_pl.policy import VLM
from vrft_pl.rollout import SamplingParams, VLLMSampler
from vrft_pl.rollout.vllm.probe import ROUNDING
from vrft_pl.types import InputError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import architectures  # the tests' tiny checkpoints
from checkpoints import PLACED
from families import number_words

HIDDEN, HEAD = 128, 32
"""The smallest head that vLLM's attention on a CPU knows, and four of them."""


def widened(folder: str) -> str:
    """Make a checkpoint anew with heads that vLLM takes; what joins towers and language follows by its names."""
    config: Any = AutoConfig.from_pretrained(folder)
    text: Any = config.get_text_config()
    vision: Any = getattr(config, "vision_config", None)
    wide = {"hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "head_dim": HEAD, "query_pre_attn_scalar": HEAD}
    for name, value in wide.items():
        if getattr(text, name, None) is not None:
            setattr(text, name, value)
    rope = getattr(text, "rope_parameters", None) or {}
    if "mrope_section" in rope:
        rope["mrope_section"] = [part * HEAD // (2 * sum(rope["mrope_section"])) for part in rope["mrope_section"]]
        # as real checkpoints have it: transformers interleaves without asking, vLLM asks
        rope["mrope_interleaved"] = config.model_type.startswith("qwen3")
    for holder, name in ((vision, "out_hidden_size"), (config, "hidden_size"), (config, "projection_dim")):
        if isinstance(getattr(holder, name, None), int):
            setattr(holder, name, HIDDEN)
    if hasattr(vision, "embed_dim") and hasattr(vision, "hidden_size"):  # Qwen2-VL's width of the language
        vision.hidden_size = HIDDEN
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForImageTextToText.from_config(config).float().save_pretrained(folder)
    return folder


@contextmanager
def served(folder: str, python: str) -> Iterator[str]:
    """A server of a checkpoint; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "vrft_pl",
        "serve",
        "--checkpoint",
        folder,
        "--port",
        str(port),
        "--python",
        python,
    ]
    command += ["--dtype", "float32", "--max_model_len", "512"]
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    try:
        assert process.stdout is not None
        said = ""
        for said in process.stdout:
            if " answers" in said:
                break
        else:
            raise InputError(said.strip())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def attempt(name: str, python: str) -> str:
    """What becomes of an architecture, in one line."""
    with tempfile.TemporaryDirectory() as root, number_words(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            policy = VLM(widened(str(architectures.BUILDERS[name](Path(root) / name)))).load()
            with served(policy.weights.checkpoint, python) as address:
                sampler = VLLMSampler([address], probes=3, patience=60.0)
                for step in range(3):
                    sampler.update(policy, step)
                    check_placed(policy, sampler)
                    with torch.no_grad():
                        for parameter in policy.parameters():
                            parameter.add_(0.02 * torch.randn_like(parameter))
                sampler.close()
        except InputError as refusal:
            return f"refused: {line(refusal)}"
        except Exception as error:  # whatever a stranger's code raises is what this looks for
            return f"crash: {type(error).__name__}: {line(error)}"
    return "right"


def check_placed(policy: VLM, sampler: VLLMSampler) -> None:
    """Raise `InputError` where pictures within a text are continued otherwise than by the trainer."""
    if 2 in policy.untaken:
        return
    prompts = policy.encode([PLACED])
    written = sampler.generate(policy, prompts, 4, SamplingParams(8), (0,))
    assert written.logprobs is not None
    with policy.evaluating():
        own = policy.logprobs(prompts, written).logprobs
    gap = float(((own - written.logprobs) * written.mask).abs().max())
    if not gap <= ROUNDING[torch.float32]:
        raise InputError(f"Expected the trainer's log-probs of pictures within a text, but they differ by {gap:.2g}.")


def line(error: BaseException) -> str:
    """A message in one line, without folders."""
    return re.sub(r"/\S*/(\w+)", r"\1", " ".join(str(error).split()))[:400]


def main() -> None:
    """Try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="+", choices=sorted(architectures.BUILDERS), metavar="name", help="architectures"
    )
    python = os.environ.get("VRFT_PL_VLLM_PYTHON")
    args = parser.parse_args()
    if python is None:
        parser.error("VRFT_PL_VLLM_PYTHON names the interpreter of an environment that has vLLM")
    for name in args.names:
        print(f"{name:24} {attempt(name, python)}", flush=True)


if __name__ == "__main__":
    main()
