"""The other side: TRL's `GRPOTrainer` on the same checkpoint, pictures and questions.

python tools/bench/trl_peer.py FOLDER STEPS WARMUP OUTPUT
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from datasets import Dataset, Image
from transformers import AutoProcessor, Qwen2VLForConditionalGeneration, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from bench.case import SPECIAL, Case
from bench.measure import ADAMW, CLIP_NORM, LEARNING_RATE, TEMPERATURE, Clock, score


def reward(completions: list[list[dict[str, str]]], **kwargs: Any) -> list[float]:
    """The reward of both sides."""
    return [score(turns[-1]["content"]) for turns in completions]


class Timed(GRPOTrainer):
    """`GRPOTrainer` with a clock around its phases."""

    clock: Clock
    num_tokens = 0
    prompt_tokens = 0

    def _generate(self, prompts: Any) -> Any:
        with self.clock.phase("rollout"):
            return super()._generate(prompts)

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        with self.clock.phase("reward"):
            return super()._calculate_rewards(*args, **kwargs)

    def _get_per_token_logps_and_entropies(self, model: Any, input_ids: Any, attention_mask: Any, keep: int, **kw: Any):  # type: ignore[no-untyped-def]
        if torch.is_grad_enabled():
            return super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, keep, **kw)
        self.num_tokens = int(attention_mask[:, -keep:].sum())
        self.prompt_tokens = int(attention_mask[:, :-keep].sum(dim=1).max())
        with self.clock.phase("reference"):
            return super()._get_per_token_logps_and_entropies(model, input_ids, attention_mask, keep, **kw)


class Stopwatch(TrainerCallback):
    """Tells the clock where a step ends."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock when the model is ready."""
        self.clock.start()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """End a step."""
        self.clock.step()


def main(folder: Path, steps: int, warmup: int, output: Path) -> None:
    """Run the steps and save what they took."""
    warnings.filterwarnings("ignore")
    case = Case.read(folder / "case.json")
    rows = json.loads((folder / "rows.json").read_text())
    texts = [[{"role": "user", "content": f"{row['problem']} Answer with a number only."}] for row in rows]
    images = [str(folder / row["image"]) for row in rows]
    data = Dataset.from_dict({"prompt": texts, "image": images}).cast_column("image", Image())
    checkpoint = str(folder / "checkpoint")
    model = Qwen2VLForConditionalGeneration.from_pretrained(checkpoint, dtype=case.dtype)
    optimizer = torch.optim.AdamW(model.parameters(), **ADAMW)
    # both of any type: TRL's annotations are narrower than what it takes
    optimizers: Any = (optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0))
    reward_function: Any = reward
    media = [SPECIAL.index(token) for token in ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")]
    with tempfile.TemporaryDirectory() as scratch:
        config = GRPOConfig(
            output_dir=scratch,
            per_device_train_batch_size=case.prompts // case.accumulate * case.group,
            gradient_accumulation_steps=case.accumulate,
            steps_per_generation=case.accumulate,
            num_generations=case.group,
            max_completion_length=case.completion,
            # random weights write placeholders of pictures, at which TRL's next forward would stop
            generation_kwargs={"min_new_tokens": case.completion, "suppress_tokens": media},
            temperature=TEMPERATURE,
            beta=case.kl,
            loss_type="grpo",
            learning_rate=LEARNING_RATE,
            max_grad_norm=CLIP_NORM,
            max_steps=steps + warmup,
            bf16=False,
            gradient_checkpointing=False,
            model_init_kwargs={"dtype": case.dtype},
            use_cpu=case.device == "cpu",
            save_strategy="no",
            report_to="none",
            logging_steps=10**6,
            disable_tqdm=True,
        )
        trainer = Timed(
            model,
            reward_function,
            args=config,
            train_dataset=data,
            processing_class=AutoProcessor.from_pretrained(checkpoint),
            optimizers=optimizers,
        )
        trainer.clock = Clock(case.device, warmup)
        trainer.add_callback(Stopwatch(trainer.clock))
        trainer.train()
        trainer.clock.save(output, trainer.num_tokens, trainer.prompt_tokens)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
