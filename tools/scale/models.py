"""Well-known models from the numbers of their published `config.json`, without weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

QWEN2_5_TOWER = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "patch_size": 14, "fullatt_block_indexes": [7, 15]}
SMALL_TOWER = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]}
LARGE_TOWER = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]}


def text(hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int, vocabulary: int) -> dict[str, int]:
    """Sizes of a language model under the names of transformers."""
    return {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "vocab_size": vocabulary,
    }


def qwen2_5_vl(sizes: dict[str, int], tower_intermediate: int, tied: bool = False) -> dict[str, Any]:
    """https://huggingface.co/Qwen/Qwen2.5-VL-7B-Instruct/blob/main/config.json and its sisters."""
    vision = {**QWEN2_5_TOWER, "intermediate_size": tower_intermediate, "out_hidden_size": sizes["hidden_size"]}
    return {"model_type": "qwen2_5_vl", "text_config": sizes, "vision_config": vision, "tie_word_embeddings": tied}


def qwen3_vl(sizes: dict[str, int], tower: dict[str, Any], tied: bool = False) -> dict[str, Any]:
    """https://huggingface.co/Qwen/Qwen3-VL-4B-Instruct/blob/main/config.json and its sisters."""
    vision = {**tower, "num_heads": 16, "patch_size": 16, "out_hidden_size": sizes["hidden_size"]}
    return {
        "model_type": "qwen3_vl",
        "text_config": {**sizes, "head_dim": 128, "tie_word_embeddings": tied},
        "vision_config": vision,
        "tie_word_embeddings": tied,
    }


def internvl(sizes: dict[str, int], vision: dict[str, Any]) -> dict[str, Any]:
    """https://huggingface.co/OpenGVLab/InternVL3_5-8B-HF/blob/main/config.json and its sisters."""
    return {
        "model_type": "internvl",
        "text_config": {"model_type": "qwen3", **sizes, "head_dim": 128},
        "vision_config": {"image_size": [448, 448], "patch_size": [14, 14], **vision},
        "tie_word_embeddings": False,
    }


CONFIGS: dict[str, dict[str, Any]] = {
    "Qwen2.5-VL-3B": qwen2_5_vl(text(2048, 11008, 36, 16, 2, 151936), 3420, tied=True),
    "Qwen2.5-VL-7B": qwen2_5_vl(text(3584, 18944, 28, 28, 4, 152064), 3420),
    "Qwen2.5-VL-32B": qwen2_5_vl(text(5120, 27648, 64, 40, 8, 152064), 3456),
    "Qwen2.5-VL-72B": qwen2_5_vl(text(8192, 29568, 80, 64, 8, 152064), 3456),
    "Qwen3-VL-2B": qwen3_vl(text(2048, 6144, 28, 16, 8, 151936), SMALL_TOWER, tied=True),
    "Qwen3-VL-4B": qwen3_vl(text(2560, 9728, 36, 32, 8, 151936), SMALL_TOWER, tied=True),
    "Qwen3-VL-8B": qwen3_vl(text(4096, 12288, 36, 32, 8, 151936), LARGE_TOWER),
    "Qwen3-VL-32B": qwen3_vl(text(5120, 25600, 64, 64, 8, 151936), LARGE_TOWER),
    "InternVL3.5-8B": internvl(
        text(4096, 12288, 36, 32, 8, 151936),
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    ),
}
"""By name. Written by hand from the pages named above; a test compares the counts with those that the hub shows."""


@cache
def build(name: str) -> PreTrainedModel:
    """A model without memory; it is not to be changed."""
    config = dict(CONFIGS[name])
    made = AutoConfig.for_model(config.pop("model_type"), **config)
    made.dtype = torch.bfloat16
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForImageTextToText.from_config(made, dtype=torch.bfloat16)
    return model
