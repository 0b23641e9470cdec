"""Tiny random checkpoints of OpenBMB's MiniCPM-V."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config

from .peculiar import ENCODER

LINEAR = {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4}
LINEAR |= {"head_dim": 8, "layer_types": ["linear_attention", "full_attention"]}
ROPE = {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [1, 1, 0], "partial_rotary_factor": 0.5}
NAMES = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "image_start_token": "<image>",
    "image_end_token": "</image>",
    "slice_start_token": "<slice>",
    "slice_end_token": "</slice>",
    "image_id_start_token": "<image_id>",
    "image_id_end_token": "</image_id>",
}


def minicpm(folder, family, mode, films=None, **own):
    """A tower packs all pictures in a row of length one, and halves its grid in the midst of its layers."""
    tokenizer = extend_tokenizer(NAMES)
    config = getattr(hf, f"{family}Config")(
        text_config={"model_type": "qwen3_5_text", **text_config(tokenizer, rope_parameters=ROPE, **LINEAR)},
        vision_config={**ENCODER, "image_size": 64, "patch_size": 4},
        insert_layer_id=0,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        downsample_mode=mode,
        tie_word_embeddings=False,
        **{name: tokenizer.convert_tokens_to_ids(token) for name, token in own.items()},
    )
    sizes = {"patch_size": 4, "scale_resolution": 32, "max_slice_nums": 4, "downsample_mode": mode}
    pictures = films or family
    processor = getattr(hf, f"{family}Processor")(
        getattr(hf, f"{pictures}ImageProcessor")(**sizes),
        getattr(hf, f"{pictures}VideoProcessor")(**sizes),
        tokenizer,
        chat_template=chat_template("<|image_pad|>"),
    )
    return save(folder, getattr(hf, f"{family}ForConditionalGeneration"), config, processor)


def build_minicpmv4_6(folder):
    """All pictures are one row of patches, those of a tile's slices too; every other layer is linear attention."""
    return minicpm(folder, "MiniCPMV4_6", "16x")


def build_minicpmv4_7(folder):
    """Positions of a picture's tokens lie on a canvas, and its marks lie at the corners."""
    marks = {"image_start_id": "<image>", "image_end_id": "</image>", "slice_start_id": "<slice>"}
    marks |= {"slice_end_id": "</slice>", "newline_id": "Ċ"}
    return minicpm(folder, "MiniCPMV4_7", "16x", "MiniCPMV4_6", **marks)


def build_minicpm_ocr(folder):
    """The tower's own merger is skipped."""
    return minicpm(folder, "MiniCPMOcr", "4x")
