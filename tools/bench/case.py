"""What one measurement is about, and the checkpoint, pictures and questions that both sides are given."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL = [
    "<|endoftext|>",
    "<|im_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|im_start|>",
    "<|vision_start|>",
    "<|vision_end|>",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PATCH, MERGE = 14, 2
NUM_PICTURES = 16


@dataclass(frozen=True)
class Size:
    """Widths and depths of a Qwen2-VL."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    vision_width: int
    vision_depth: int
    vision_heads: int


SIZES = {
    "25m": Size(512, 1536, 6, 8, 2, 10240, 128, 4, 4),
    "2b": Size(1536, 8960, 28, 12, 2, 151936, 1280, 32, 16),
}


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Args:
        visual: Visual tokens of each picture, a square number.
        group: ``G``, completions per prompt.
        completion: ``T``, tokens that each completion is forced to have.
        text: Prompt tokens beside the visual ones.
        prompts: ``P``, prompts of a step.
        micro: Prompts of a micro-batch, whose gradients are accumulated; 0 takes all of a step at once.
        size: Key of `SIZES`.
        dtype: Type of the weights and of all arithmetic.
        device: ``cpu`` or ``cuda``.
        kl: KL coefficient; 0 leaves the reference out.
    """

    visual: int
    group: int
    completion: int = 64
    text: int = 55
    prompts: int = 4
    micro: int = 0
    size: str = "25m"
    dtype: str = "float32"
    device: str = "cpu"
    kl: float = 0.04

    def __post_init__(self) -> None:
        """Check what a picture of that many tokens can be."""
        if round(self.visual**0.5) ** 2 != self.visual or self.visual < 1:
            raise ValueError(f"Expected `visual` to be a square number of tokens, but got {self.visual}.")
        if min(self.group, self.completion, self.prompts) < 1:
            counts = self.prompts, self.group, self.completion
            raise ValueError(f"Expected prompts, completions and their tokens to be at least 1, but got {counts}.")
        if self.micro and self.prompts % self.micro:
            raise ValueError(
                f"Expected {self.prompts} prompts to be a multiple of the micro-batch, but got {self.micro}."
            )

    @property
    def accumulate(self) -> int:
        """Micro-batches of a step."""
        return self.prompts // (self.micro or self.prompts)

    @property
    def name(self) -> str:
        """Short name, with what differs from the usual."""
        parts = [f"v{self.visual}_g{self.group}"]
        usual = Case(self.visual, self.group)
        for field, letter in (("completion", "t"), ("prompts", "p"), ("micro", "m")):
            if getattr(self, field) != getattr(usual, field):
                parts.append(f"{letter}{getattr(self, field)}")
        parts += [self.size] if self.size != usual.size else []
        return "_".join(parts)

    def write(self, path: Path) -> None:
        """Save as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def read(path: Path) -> Case:
        """Load from JSON."""
        return Case(**json.loads(path.read_text()))


def build_inputs(case: Case, folder: Path) -> None:
    """Write a random checkpoint to ``folder/checkpoint``, pictures, and rows that ask about them to ``rows.json``."""
    case.write(folder / "case.json")
    build_checkpoint(case, folder / "checkpoint")
    side = round(case.visual**0.5) * PATCH * MERGE
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i in range(NUM_PICTURES):
        pixels = torch.randint(0, 256, (side, side, 3), generator=generator).to(torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{i}.png")
        rows.append({"id": str(i), "image": f"{i}.png", "problem": "x", "answer": i})
    # the template and the instruction take tokens as well: fill up with a question of the right length
    overhead = prompt_length(folder, rows[0]) - case.visual
    question = ("How many marks are there? " * 40)[: max(1, case.text - overhead + 1)]
    rows = [row | {"problem": question} for row in rows]
    (folder / "rows.json").write_text(json.dumps(rows))


def prompt_length(folder: Path, row: dict[str, Any]) -> int:
    """Tokens of one prompt."""
    processor: Any = Qwen2VLProcessor.from_pretrained(folder / "checkpoint")
    content = [{"type": "image"}, {"type": "text", "text": f"{row['problem']} Answer with a number only."}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return processor(text=[text], images=[Image.open(folder / row["image"])])["input_ids"][0].__len__()


def build_checkpoint(case: Case, folder: Path) -> None:
    """Save a random Qwen2-VL with a byte-level tokenizer and a processor that keeps pictures as they are."""
    size = SIZES[case.size]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    filler = [f"w{i}" for i in range(size.vocabulary - len(SPECIAL) - len(alphabet))]
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *alphabet, *filler])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=SPECIAL[1],
        pad_token=SPECIAL[0],
        additional_special_tokens=SPECIAL[2:],
        chat_template=CHAT_TEMPLATE,
    )
    half = size.hidden // size.heads // 2
    quarter = half // 4
    config = Qwen2VLConfig(
        text_config={
            "hidden_size": size.hidden,
            "intermediate_size": size.intermediate,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.kv_heads,
            "vocab_size": size.vocabulary,
            "max_position_embeddings": 32768,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [quarter, (half - quarter) // 2, (half - quarter) // 2],
            },
            "pad_token_id": 0,
            "bos_token_id": None,
            "eos_token_id": 1,
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": size.vision_depth,
            "embed_dim": size.vision_width,
            "hidden_size": size.hidden,
            "num_heads": size.vision_heads,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
        },
        image_token_id=SPECIAL.index("<|image_pad|>"),
        video_token_id=SPECIAL.index("<|video_pad|>"),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model: Any = Qwen2VLForConditionalGeneration(config).to(getattr(torch, case.dtype))
    model.generation_config = GenerationConfig(eos_token_id=1, pad_token_id=0)
    limits = {"shortest_edge": (PATCH * MERGE) ** 2, "longest_edge": case.visual * (PATCH * MERGE) ** 2}
    patches: dict[str, Any] = {"patch_size": PATCH, "merge_size": MERGE, "temporal_patch_size": 2, "size": limits}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches),
        tokenizer=fast,
        video_processor=Qwen2VLVideoProcessor(**patches),
        chat_template=CHAT_TEMPLATE,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
