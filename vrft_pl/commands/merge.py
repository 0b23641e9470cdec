"""``vrft_pl merge``: an adapter and its base as one ordinary checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vrft_pl.commands.errors import OneLineParser
from vrft_pl.policy.adapters import merge
from vrft_pl.policy.parts import Quantization


def main(args: Sequence[str]) -> None:
    """Merge and say where the checkpoint is."""
    parser = OneLineParser(prog="vrft_pl merge", description=__doc__, allow_abbrev=False)
    parser.add_argument("--adapter", type=str, required=True, help="Folder that holds an `adapter_config.json`.")
    parser.add_argument("--base", type=str | None, help="Folder or hub id. Defaults to what the adapter names.")
    parser.add_argument("--output", type=str, required=True, help="Folder to write; it must not exist.")
    parser.add_argument(
        "--quantize", type=Quantization | None, help="How the base was held in training. Defaults to the folder's note."
    )
    given = parser.parse_args(list(args))
    base = merge(Path(given.adapter), given.base, Path(given.output), given.quantize)
    print(f"Checkpoint: {given.output}, {given.adapter} merged into {base}")
