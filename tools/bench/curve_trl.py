"""The other side of the learning curve: TRL's `GRPOTrainer` on the same weights, rows, reward and settings.

python tools/bench/curve_trl.py SEED STEPS OUTPUT
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from datasets import Dataset, Image
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback, set_seed
from trl import GRPOConfig, GRPOTrainer

from bench.curve import ADAMW, CLIP_NORM, GROUP, MAX_TOKENS, PROMPTS, SCHEDULE, Recorder, build_task, reward
from vrft_pl.modules import WarmupDecay
from vrft_pl.policy import VLM
from vrft_pl.policy.checkpoint import TINY
from vrft_pl.policy.coordinates import DESCRIPTIONS
from vrft_pl.prompts import question
from vrft_pl.types import Sample


class SamePrompts(GRPOTrainer):
    """`GRPOTrainer` that makes sure that its prompts are those of the other side, token by token."""

    known: frozenset[tuple[int, ...]]

    def _get_per_token_logps_and_entropies(self, model: Any, input_ids: Any, attention_mask: Any, keep: int, **kw: Any):  # type: ignore[no-untyped-def]
        prompts = zip(input_ids[:, :-keep].tolist(), attention_mask[:, :-keep].tolist(), strict=True)
        for ids, mask in prompts:
            prompt = tuple(token for token, real in zip(ids, mask, strict=True) if real)
            if prompt not in self.known:
                asked = AutoProcessor.from_pretrained(TINY).tokenizer.decode(prompt)
                raise RuntimeError(f"Expected TRL to ask what the other side asks, but it asks {asked!r}.")
        return super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, keep, **kw)


class Watch(TrainerCallback):
    """Tells the recorder of each step."""

    def __init__(self, recorder: Recorder, rewards: list[float]) -> None:
        self.recorder, self.rewards = recorder, rewards

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock when the model is ready."""
        self.recorder.start()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """End a step."""
        self.recorder.step(self.rewards[-1])


def build_rows(samples: list[Sample], policy: VLM) -> tuple[Dataset, frozenset[tuple[int, ...]]]:
    """The rows as TRL reads them, and the prompts that they should become."""
    coordinates = DESCRIPTIONS[policy.codec.coordinates]
    texts = [[{"role": "user", "content": question(sample, coordinates)}] for sample in samples]
    pictures = [sample.images[0].open() for sample in samples]
    data = Dataset.from_dict({"prompt": texts, "image": pictures, "row": list(range(len(samples)))})
    known = frozenset(tuple(prompt.inputs["input_ids"][0].tolist()) for prompt in policy.codec.encode(samples))
    return data.cast_column("image", Image()), known


def main(seed: int, steps: int, output: Path) -> None:
    """Train, and save the curve."""
    warnings.filterwarnings("ignore")
    set_seed(seed)
    task = build_task(seed)
    task.setup("fit")
    (rows,) = task.datasets("train").values()
    samples = [rows[i] for i in range(len(rows))]  # type: ignore[arg-type]  # sized
    data, known = build_rows(samples, VLM("tiny"))
    model = AutoModelForImageTextToText.from_pretrained(TINY, dtype=torch.float32)
    means: list[float] = []

    def graded(completions: list[list[dict[str, str]]], row: list[int], **kwargs: Any) -> list[float]:
        scores = [reward(turns[-1]["content"], samples[i]) for turns, i in zip(completions, row, strict=True)]
        means.append(fmean(scores))
        return scores

    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            output_dir=scratch,
            per_device_train_batch_size=PROMPTS * GROUP,
            num_generations=GROUP,
            max_completion_length=MAX_TOKENS,
            temperature=1.0,
            beta=0.0,
            loss_type="grpo",
            max_grad_norm=CLIP_NORM,
            max_steps=steps,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            seed=seed,
            save_strategy="no",
            report_to="none",
            logging_steps=10**6,
            disable_tqdm=True,
        )
        graders: Any = graded  # TRL's annotations are narrower than what it takes
        optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
        optimizers: Any = (optimizer, WarmupDecay(optimizer, total_steps=steps, **SCHEDULE))
        recorder = Recorder(seed, steps, model.state_dict)
        trainer = SamePrompts(
            model,
            graders,
            args=config,
            train_dataset=data,
            processing_class=AutoProcessor.from_pretrained(TINY),
            optimizers=optimizers,
        )
        trainer.known = known
        trainer.add_callback(Watch(recorder, means))
        trainer.train()
        recorder.save(output)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
