"""Draw what policies answer to the same held-out questions: one row a policy, true box green, answered box red.

python tools/draw_answers.py --checkpoint tiny runs/grounding/export --output before_after.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from vrft_pl.callbacks.pictures import draw_answer
from vrft_pl.data import Grounding, GroundingScenes
from vrft_pl.policy import VLM
from vrft_pl.rewards import BoxIoU
from vrft_pl.rollout import LocalSampler, SamplingParams

SCALE, GAP, CAPTION = 3, 6, 14


def main() -> None:
    """Write one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", nargs="+", default=["tiny"], help="folders or hub ids, one row each")
    parser.add_argument("--domain", default="snow", help="domain of the scenes")
    parser.add_argument("--columns", type=int, default=6, help="questions, the first of the held-out split")
    parser.add_argument("--output", type=Path, default=Path("before_after.png"))
    args = parser.parse_args()
    task = Grounding(val={f"ood_{args.domain}": GroundingScenes(args.domain, args.columns)})
    task.setup("validate")
    samples = [part[i] for part in task.datasets("val").values() for i in range(args.columns)]
    side = samples[0].images[0].open().width * SCALE
    rows = len(args.checkpoint)
    sheet = Image.new(
        "RGB", ((side + GAP) * args.columns + GAP, (side + CAPTION + GAP) * rows + CAPTION + GAP), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for column, sample in enumerate(samples):
        draw.text((GAP + column * (side + GAP), 1), sample.problem, fill="black")
    for row, checkpoint in enumerate(args.checkpoint):
        policy = VLM(checkpoint).load()
        greedy = SamplingParams(max_tokens=48, temperature=0.0)
        completions = LocalSampler().generate(policy, policy.encode(samples), 1, greedy, range(len(samples)))
        for column, (sample, text) in enumerate(zip(samples, completions.texts, strict=True)):
            frame = completions.frames[column]
            picture = draw_answer(sample, text, frame, scale=SCALE)
            assert picture is not None
            corner = GAP + column * (side + GAP), CAPTION + GAP + row * (side + CAPTION + GAP)
            sheet.paste(picture, corner)
            iou = BoxIoU().grade_one(text, sample, frame) or 0.0
            draw.text((corner[0], corner[1] + side), f"IoU {iou:.2f}", fill="black")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.output)
    print(f"Wrote {args.output}")


if __name__ == "__main__":
    main()
