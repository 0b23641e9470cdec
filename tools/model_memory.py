"""Print the smallest common card for well-known models, by how they are trained with GRPO.

What stays is exact, what comes and goes is reckoned by the formulas of `vrft_pl/check/transient.py`. No weights are
loaded, and nothing here has run on a GPU.

python tools/model_memory.py
python tools/model_memory.py --prompt 1024 --completion 1024 --rows 64
"""

from __future__ import annotations

import argparse

from scale.memory import Training, staying_bytes
from scale.models import CONFIGS, build

from vrft_pl.check.transient import Shape, Work, smallest_card, transient_bytes

TRAININGS: tuple[Training, ...] = ("full", "lora", "qlora")


def needed(name: str, training: Training, work: Work, rank: int) -> tuple[int, int]:
    """Bytes that stay and bytes that come and go, bf16 arithmetic, activations computed again."""
    model = build(name)
    tower = Shape.of(model.config.vision_config) if training == "full" else None
    shape = Shape.of(model.config.get_text_config())
    coming = transient_bytes(shape, tower, work, width=2, checkpointing=True, adapters=training != "full")
    return staying_bytes(model, training, rank, reference=True), sum(coming.values())


def table(work: Work, rank: int) -> str:
    """Stays + comes and goes, in 10^9 bytes, and the card; a line a model."""
    lines = ["| model | 10^9 parameters | " + " | ".join(TRAININGS) + " |", "|---|" + "---|" * (1 + len(TRAININGS))]
    for name in CONFIGS:
        cells = []
        for training in TRAININGS:
            staying, coming = needed(name, training, work, rank)
            card = smallest_card(staying + coming)
            cells.append(f"{staying / 1e9:.1f} + {coming / 1e9:.1f}: {'none' if card is None else f'**{card} GB**'}")
        billions = sum(p.numel() for p in build(name).parameters()) / 1e9
        lines.append(f"| {name} | {billions:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt", type=int, default=600, help="tokens of a prompt, pictures included")
    parser.add_argument("--completion", type=int, default=512, help="most tokens of a completion")
    parser.add_argument("--group", type=int, default=8, help="completions a prompt")
    parser.add_argument("--rows", type=int, default=32, help="completions written at once (`sampler.max_rows`)")
    parser.add_argument("--rank", type=int, default=64, help="of the adapters")
    args = parser.parse_args()
    print(table(Work(args.prompt, args.completion, args.group, 1, args.rows), args.rank))


if __name__ == "__main__":
    main()
