"""Tiny random checkpoints of real architectures, and samples to show them."""

from dataclasses import dataclass

import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from vrft_pl.answers import Number
from vrft_pl.policy import VLM
from vrft_pl.types import Sample


def loaded(*args, **kwargs):
    """Return a policy with its weights."""
    return VLM(*args, **kwargs).load()


PAD, EOS, END_OF_TURN, HALT, IMAGE, VIDEO = (
    f"<|{name}|>" for name in ("endoftext", "eos", "im_end", "halt", "image_pad", "video_pad")
)
SPECIAL = [PAD, EOS, END_OF_TURN, HALT, IMAGE, VIDEO, "<|im_start|>", "<|vision_start|>", "<|vision_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "initializer_range": 0.15}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6}
PATCHES = {
    "patch_size": 8,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "num_heads": 2,
    "initializer_range": 0.15,
}
ROPE = {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [2, 1, 1]}
PIXELS = {"shortest_edge": 32 * 32, "longest_edge": 96 * 96}


def build_tokenizer():
    vocab = {token: i for i, token in enumerate([*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=SPECIAL[2:],
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
    )


def build_qwen(folder, model_class, config_class, processor_class, video_class, vision, tied):
    tokenizer = build_tokenizer()
    text = {**SIZES, **HEADS, "vocab_size": len(tokenizer), "rope_parameters": dict(ROPE)}
    text |= {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1, "tie_word_embeddings": tied}
    if config_class is Qwen3VLConfig:
        text |= {"head_dim": 8}
    config = config_class(
        text_config=text,
        vision_config={**PATCHES, **vision},
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        tie_word_embeddings=tied,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_class(config).float()
    model.generation_config = GenerationConfig(eos_token_id=[SPECIAL.index(HALT), 0], pad_token_id=0)
    patches = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": PIXELS}
    processor = processor_class(
        image_processor=Qwen2VLImageProcessor(**patches),
        tokenizer=tokenizer,
        video_processor=video_class(**patches),
        chat_template=CHAT_TEMPLATE,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def build_qwen2_vl(folder):
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2}
    classes = Qwen2VLForConditionalGeneration, Qwen2VLConfig, Qwen2VLProcessor, Qwen2VLVideoProcessor
    return build_qwen(folder, *classes, vision, tied=False)


def build_qwen2_5_vl(folder):
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32}
    vision |= {"window_size": 32, "fullatt_block_indexes": [1]}
    classes = Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig, Qwen2_5_VLProcessor, Qwen2VLVideoProcessor
    return build_qwen(folder, *classes, vision, tied=True)


def build_qwen3_vl(folder):
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32}
    vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    classes = Qwen3VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLProcessor, Qwen3VLVideoProcessor
    return build_qwen(folder, *classes, vision, tied=False)


def wide_checkpoint(folder):
    """Build a Qwen3-VL whose layers are as wide as a block of four-bit weights."""
    build_qwen3_vl(folder)
    config = AutoConfig.from_pretrained(folder)
    text = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16}
    text["rope_parameters"] = {**ROPE, "mrope_section": [4, 2, 2]}
    vars(config.text_config).update(text)
    config.vision_config.out_hidden_size = 64
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    return str(folder)


@dataclass(frozen=True)
class NoiseImage:
    """A picture that exists in memory only."""

    width: int
    height: int
    seed: int = 0

    def open(self):
        noise = torch.randint(0, 256, (self.height, self.width, 3), generator=torch.Generator().manual_seed(self.seed))
        return Image.fromarray(noise.to(torch.uint8).numpy())


def sample(problem="How many?", images=(), number=3.0, style="answer", **kwargs):
    return Sample(problem, tuple(images), problem, Number(number), style=style, **kwargs)


MIXED = (
    sample("How many?", [NoiseImage(48, 48)]),
    sample(
        "Compare the two pictures, and say how many more there are.", [NoiseImage(64, 32, 1), NoiseImage(32, 80, 2)]
    ),
    sample("What is one and two?"),
    sample("Count.", [NoiseImage(96, 64, 3)], system="Be brief."),
)
"""Pictures of different sizes, prompts of different lengths; one picture, two and none."""
PLACED = sample(
    "<image> becomes <image> by <image>", [NoiseImage(48, 48), NoiseImage(64, 32, 1), NoiseImage(32, 80, 2)]
)
"""Three pictures of different sizes, within the text and behind it."""
