"""Say how to spread GRPO over many GPUs: strategy, split of engine and trainer, seconds of a step, what limits it.

A cost model, calibrated as tools/plan_scale.md says; nothing here has run on a GPU.

python tools/plan_scale.py --model Qwen2.5-VL-7B --card H100 --cards 1024 --prompts 4096
python tools/plan_scale.py --calibration
"""

from __future__ import annotations

import argparse
from typing import Any

from scale.calibration import our_rows, published_rows, push_rows, table
from scale.cards import CARDS
from scale.job import Job
from scale.models import CONFIGS, build
from scale.plan import Plan, plans

from vrft_pl.check.transient import Shape
from vrft_pl.policy.anatomy import Anatomy


def read_job(name: str, **given: int | str | bool) -> Job:
    """A job of a known model; a merged token stands for four patches."""
    model = build(name)
    output: Any = model.get_output_embeddings()
    inputs: Any = model.get_input_embeddings()
    head, embedding = output.weight.numel(), inputs.weight
    part_of = Anatomy.of(model).part_of
    language = sum(p.numel() for key, p in model.named_parameters() if part_of(key) == "language")
    tied = embedding is output.weight
    layers = language - head - (0 if tied else embedding.numel())
    tower = sum(p.numel() for p in model.parameters()) - language
    shape = Shape.of(model.config.get_text_config())
    return Job(layers=layers, head=head, tower=tower, cache=2 * shape.layers * shape.key_value, **given)  # type: ignore[arg-type]


def row(plan: Plan) -> str:
    """One line of the table."""
    split = "take turns" if plan.taking_turns else f"{plan.engines} : {plan.trainers}"
    terms = " | ".join(f"{seconds:.2f}" for seconds in plan.terms.values())
    total = f"{plan.seconds:.1f}" if plan.fits else "-"
    cells = f"{plan.strategy} | {split} | {plan.tensor_parallel} | {total} | {terms} | {plan.bytes_held / 1e9:.0f}"
    return f"| {cells} | {plan.limit} |"


def shown(found: list[Plan], most: int) -> str:
    """The best plan of each strategy and way to split, the fastest first, and what does not fit last."""
    kinds: dict[tuple[str, bool], Plan] = {}
    for plan in found:
        kinds.setdefault((plan.strategy, plan.taking_turns), plan)
    best = list(kinds.values())[:most]
    names = " | ".join(best[0].terms)
    head = f"| strategy | engine : trainer | cards an engine | s a step | {names} | GB stay | limit |"
    return "\n".join([head, "|---" * (6 + len(best[0].terms)) + "|", *map(row, best)])


def main() -> None:
    """Print the plans, or the calibration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(CONFIGS), default="Qwen2.5-VL-7B")
    parser.add_argument("--card", choices=list(CARDS), default="H100")
    parser.add_argument("--cards", type=int, default=1024)
    parser.add_argument("--prompts", type=int, default=4096, help="of a step, on all cards together")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=600, help="tokens, pictures included")
    parser.add_argument("--patches", type=int, default=2048, help="of the pictures of a prompt")
    parser.add_argument("--completion", type=int, default=512, help="mean tokens of a completion")
    parser.add_argument("--longest", type=int, default=1024, help="most tokens of a completion")
    parser.add_argument("--training", choices=["full", "lora"], default="full")
    parser.add_argument("--reference", action="store_true", help="a KL divergence is measured")
    parser.add_argument("--micro", type=int, default=1, help="micro-batches of a step on each card that trains")
    parser.add_argument("--most", type=int, default=8, help="plans to print")
    parser.add_argument("--calibration", action="store_true", help="print the model beside measurements and stop")
    args = parser.parse_args()
    if args.calibration:
        print(table([*our_rows(), *push_rows()], "s"), table(published_rows(), "tokens/s and card"), sep="\n\n")
        return
    names = ("prompts", "group", "prompt", "patches", "completion", "longest", "training", "reference")
    job = read_job(args.model, **{name: getattr(args, name) for name in names})
    print(shown(plans(job, CARDS[args.card], args.cards, args.micro), args.most))


if __name__ == "__main__":
    main()
