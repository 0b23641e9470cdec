"""Rebuild the embedded default policy from nothing: tokeniser, random weights, two supervised stages, card.

python tools/build_tiny_policy.py            # about 10 minutes on two CPU cores, writes vrft_pl/policy/tiny
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from lightning import Callback, LightningModule, Trainer, seed_everything
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.optim import AdamW
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from vrft_pl.data import Counting, CountingScenes, Grounding, GroundingScenes, Mixture, SampleData
from vrft_pl.data.scenes import DOMAINS
from vrft_pl.data.sources import Source
from vrft_pl.modules import SFTModule, WarmupDecay
from vrft_pl.policy import VLM
from vrft_pl.policy.coordinates import DESCRIPTIONS, answer_frame
from vrft_pl.prompts import question, target_text
from vrft_pl.rewards import BoxAccuracy, BoxIoU, Format, NumberMatch
from vrft_pl.rollout import SamplingParams
from vrft_pl.styles import STYLES, StyleName

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
TAGS = [f"<{slash}{tag}>" for tag in ("think", "answer", "summary", "caption") for slash in ("", "/")]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHIFTS = tuple(DOMAINS)
EVAL_SIZE = 512
"""Held-out scenes of each domain."""
STYLES_KNOWN: tuple[StyleName, ...] = ("think", "answer")
"""Styles that the policy writes in the end."""
IMAGE_SIZE = 64
"""Side of the pictures in pixels; each becomes 16 visual tokens."""


def build_task(seed: int, batch_size: int, styles: Sequence[StyleName] = ("think",), size: int = 1 << 20) -> Mixture:
    """Counting and grounding on the base domain; evaluation on the base domain and on its shifts."""
    tasks: dict[str, SampleData] = {}
    for style in styles:
        counting: dict[str, Source] = {domain: CountingScenes(domain, EVAL_SIZE) for domain in SHIFTS}
        grounding: dict[str, Source] = {domain: GroundingScenes(domain, EVAL_SIZE) for domain in SHIFTS}
        tasks[f"counting-{style}"] = Counting(CountingScenes(size=size), val=counting, style=style)
        tasks[f"grounding-{style}"] = Grounding(train=GroundingScenes(size=size), val=grounding, style=style)
    return Mixture(tasks, batch_size=batch_size, eval_batch_size=128, seed=seed)


def build_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on the questions and targets of the tasks; digits and tags are single tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d|[^\s\w]| ?[^\s\w\d]| ?[^\W\d]+|\s+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(TAGS), special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_tokens(TAGS)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL[1:],
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
    )


def corpus() -> list[str]:
    """Text in which every word of the tasks' questions and thoughts occurs often enough to become a token."""
    frame = answer_frame("resized_pixels", (IMAGE_SIZE, IMAGE_SIZE), (IMAGE_SIZE, IMAGE_SIZE))
    task = build_task(seed=0, batch_size=1, size=2000)
    samples = task.datasets("train").values()
    words = "You are a helpful assistant. diamond cross star white blood cell red platelet objects"
    texts = [f"\nassistant\nsystem\nuser\n{words}"] * 50
    for part in samples:
        for i in range(len(part)):  # type: ignore[arg-type]  # sized
            sample = part[i]
            texts += [question(sample, DESCRIPTIONS["resized_pixels"]), target_text(sample, frame)]
    return [*texts, *[style.instruction for style in STYLES.values() for _ in range(50)]]


def build_untrained(folder: Path, vocab_size: int = 512) -> None:
    """Write a Qwen3-VL of random weights with its processor."""
    tokenizer = build_tokenizer(vocab_size)
    ids: dict[str, Any] = {
        name: tokenizer.convert_tokens_to_ids(f"<|{name}|>")
        for name in ("image_pad", "video_pad", "vision_start", "vision_end")
    }
    sections = {"mrope_section": [4, 6, 6], "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config={
            **{"vocab_size": len(tokenizer), "hidden_size": 96, "intermediate_size": 288, "num_hidden_layers": 2},
            **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 2048},
            **{"initializer_range": 0.08, "pad_token_id": tokenizer.pad_token_id, "tie_word_embeddings": True},
            "rope_parameters": {"rope_type": "default", "rope_theta": 16.0, **sections},
        },
        vision_config={
            **{"depth": 2, "hidden_size": 96, "intermediate_size": 288, "num_heads": 4, "patch_size": 8},
            **{"spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 96, "initializer_range": 0.08},
            **{"num_position_embeddings": 64, "deepstack_visual_indexes": []},
        },
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
    )
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id], pad_token_id=tokenizer.pad_token_id
    )
    pixels = {"shortest_edge": IMAGE_SIZE**2, "longest_edge": IMAGE_SIZE**2}
    patches: dict[str, Any] = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": pixels}
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**patches),
        chat_template=CHAT_TEMPLATE,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


class PrintLoss(Callback):
    """Prints the loss now and then."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print every 250 steps."""
        if (batch_idx + 1) % 250 == 0:
            print(f"step {batch_idx + 1}: loss {trainer.callback_metrics['train/loss']:.3f}", flush=True)


def imitate(policy: VLM, task: SampleData, steps: int, lr: float) -> SFTModule:
    """Train a policy by supervision."""
    module = SFTModule(
        policy=policy,
        metrics=[Format(), NumberMatch(), BoxIoU(), BoxAccuracy()],
        optimizer=lambda params: AdamW(params, lr=lr, betas=(0.9, 0.95), weight_decay=0.01),
        scheduler=lambda optimizer: WarmupDecay(optimizer, warmup_steps=20, final=0.05),
        eval_params=SamplingParams(max_tokens=48, temperature=0.0),
    )
    trainer = Trainer(
        accelerator="cpu",
        max_steps=steps,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        logger=False,
        callbacks=[PrintLoss()],
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(module, datamodule=task)
    return module


def held_out_scores(module: SFTModule, task: SampleData) -> dict[str, float]:
    """Greedy scores on held-out scenes."""
    evaluator = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    scores = evaluator.validate(module, datamodule=task, verbose=False)
    return {key: value for part in scores for key, value in part.items()}


def main() -> None:
    """Build, train, score and write the checkpoint with its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("vrft_pl/policy/tiny"))
    parser.add_argument("--steps", type=int, default=2500, help="optimizer steps in the `think` style")
    parser.add_argument("--more_steps", type=int, default=1000, help="optimizer steps in both styles after these")
    parser.add_argument("--batch_size", type=int, default=32, help="fresh samples a step")
    parser.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--more_lr", type=float, default=1e-3, help="peak learning rate in both styles")
    parser.add_argument(
        "--freeze",
        nargs="*",
        default=["vision", "projector"],
        help="parts that the second stage leaves as they are",
    )
    parser.add_argument("--thinking", type=Path, help="what the first stage gave, where it is not to be done again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seed_everything(args.seed)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        thinking = args.thinking
        if thinking is None:
            untrained, thinking = Path(scratch) / "untrained", Path(scratch) / "thinking"
            build_untrained(untrained)
            policy = VLM(str(untrained), coordinates="resized_pixels")
            imitate(policy, build_task(args.seed, args.batch_size), args.steps, args.lr).export(thinking)
        # other scenes than those of the first stage
        task = build_task(args.seed + 1, args.batch_size, STYLES_KNOWN)
        module = imitate(VLM(str(thinking), freeze=args.freeze), task, args.more_steps, args.more_lr)
    scores = held_out_scores(module, task)
    module.export(args.output)
    parameters = sum(p.numel() for p in module.policy.parameters())
    text = card(args, scores, time.perf_counter() - start, parameters)
    (args.output / "README.md").write_text(text, encoding="utf-8")
    print(text)


def card(args: argparse.Namespace, scores: dict[str, float], seconds: float, parameters: int) -> str:
    """Describe data, steps and scores."""
    rows = []
    for domain in SHIFTS:
        keys = [
            f"val/{family}-{style}_{domain}/{metric}"
            for style in STYLES_KNOWN
            for family, metric in (("counting", "NumberMatch"), ("grounding", "BoxIoU"), ("grounding", "BoxAccuracy"))
        ]
        rows.append(f"| {domain} | {' | '.join(f'{scores[key]:.3f}' for key in keys)} |")
    return CARD.format(
        parameters=parameters / 1e6,
        steps=args.steps,
        batch_size=args.batch_size,
        lr=args.lr,
        more_steps=args.more_steps,
        more_lr=args.more_lr,
        frozen=" and ".join(args.freeze) or "nothing",
        seed=args.seed,
        threads=args.threads,
        minutes=seconds / 60,
        eval_size=EVAL_SIZE,
        torch=torch.__version__.partition("+")[0],
        transformers=transformers.__version__,
        rows="\n".join(rows),
    )


CARD = """# The embedded default policy

A Qwen3-VL of {parameters:.2f} M parameters with its own tokeniser, processor and chat template, cold-started from
random weights on procedural scenes. `checkpoint: tiny` names it. It exists so that every part of vrft_pl runs in
minutes on a CPU with nothing downloaded; it knows nothing of the real world. It writes coordinates in pixels of the
resized picture (`coordinates: resized_pixels`).

A policy made in the same way, from nothing, by

    python tools/build_tiny_policy.py --steps {steps} --lr {lr} --more_steps {more_steps} --more_lr {more_lr} \\
        --batch_size {batch_size} --seed {seed}

- Data: counting and grounding scenes of the `base` domain (`vrft_pl/data/scenes`), half and half, 64 x 64 pixels
  (16 visual tokens): {steps} x {batch_size} samples in the `think` style, then {more_steps} x {batch_size} others, half
  of them in the `think` and half in the `answer` style, with {frozen} as they are. None is seen twice in a stage.
- Training: SFTModule, AdamW, learning rates {lr} and {more_lr}, each with warm-up and cosine decay, float32,
  seed {seed}.
- Time: {minutes:.1f} minutes with {threads} CPU threads, scoring included (torch {torch}, transformers {transformers}).

Greedy scores on {eval_size} held-out scenes of each domain in each style: counting accuracy; mean IoU of grounding and
its accuracy at IoU 0.5. All domains but `base` are shifts it was not trained on.

| domain | `think`: counting | IoU | at 0.5 | `answer`: counting | IoU | at 0.5 |
|---|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
