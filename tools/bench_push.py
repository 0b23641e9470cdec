"""Seconds that a push of weights to a server of vLLM takes, by the size of the policy and by where its files lie.

Policies are random Qwen3-VLs around the embedded one's processor. Each size gets a server of its own.

python tools/bench_push.py --python VLLM_ENVIRONMENT/bin/python --layers 2 8 24 --widths 96 512 1536
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from vrft_pl.commands.serve import Running, ServeOptions
from vrft_pl.policy import VLM
from vrft_pl.policy.checkpoint import TINY
from vrft_pl.rollout.vllm.client import Server
from vrft_pl.rollout.vllm.push import SHARED_MEMORY, FilePush

PATIENCE = 600.0
"""Seconds that a server has until it answers."""


def build(folder: Path, layers: int, width: int, dtype: torch.dtype) -> None:
    """Write a random checkpoint: the embedded one at another depth and width of the language model."""
    shutil.copytree(TINY, folder)
    config = AutoConfig.from_pretrained(TINY)
    text = config.text_config
    text.num_hidden_layers, text.hidden_size, text.intermediate_size = layers, width, 3 * width
    text.num_attention_heads, text.num_key_value_heads = max(4, width // 32), max(2, width // 64)
    config.vision_config.out_hidden_size = width
    config.dtype = text.dtype = config.vision_config.dtype = dtype
    AutoModelForImageTextToText.from_config(config, dtype=dtype).save_pretrained(folder)


def measure(policy: VLM, server: Server, folder: str, pushes: int) -> tuple[float, float]:
    """Median seconds to write the files and to have the server load them; the first push is left out."""
    push, seconds = FilePush(folder), []
    for step in range(pushes + 1):
        start = time.perf_counter()
        push.pack(policy, str(step))
        packed = time.perf_counter()
        push.load(server)
        seconds.append((packed - start, time.perf_counter() - packed))
    push.close()
    written, loaded = zip(*seconds[1:], strict=True)
    return median(written), median(loaded)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter of the environment that vLLM is installed in")
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 8, 24])
    parser.add_argument("--widths", type=int, nargs="+", default=[96, 512, 1536])
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--pushes", type=int, default=5)
    parser.add_argument("--port", type=int, default=8300)
    args = parser.parse_args()
    places = {"shared memory": str(SHARED_MEMORY), "files": tempfile.gettempdir()}
    print(f"| parameters | MB | {' | '.join(f'{place}: write | load' for place in places)} |")
    print("|---|---|" + "---|---|" * len(places))
    for layers, width in zip(args.layers, args.widths, strict=True):
        with tempfile.TemporaryDirectory() as scratch:
            checkpoint = Path(scratch) / "checkpoint"
            build(checkpoint, layers, width, getattr(torch, args.dtype))
            options = ServeOptions(
                str(checkpoint), args.port, python=args.python, dtype=args.dtype, max_model_len=512, patience=PATIENCE
            )
            running = Running(options, 0)
            try:
                running.wait(time.monotonic() + PATIENCE)
                server = Server(running.address, timeout=PATIENCE)
                policy = VLM(str(checkpoint), dtype=args.dtype).load()
                size = sum(parameter.numel() for parameter in policy.parameters())
                cells = [measure(policy, server, place, args.pushes) for place in places.values()]
            finally:
                running.end()
        row = " | ".join(f"{written:.2f} | {loaded:.2f}" for written, loaded in cells)
        megabytes = size * torch.finfo(getattr(torch, args.dtype)).bits / 8e6
        print(f"| {size / 1e6:,.1f} M | {megabytes:,.0f} | {row} |", flush=True)


if __name__ == "__main__":
    main()
