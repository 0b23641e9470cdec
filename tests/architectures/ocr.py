"""Tiny random checkpoints of models that read documents."""

import transformers as hf
from checkpoints import CHAT_TEMPLATE, IMAGE, PIXELS, SPECIAL, VIDEO
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config

from .peculiar import ENCODER


def build_hunyuan_vl(folder):
    """One axis of positions is a picture's number in the batch; each line of a picture ends in a token of its own."""
    tokenizer = extend_tokenizer(
        {"image_token": IMAGE, "image_start_token": "<|vision_start|>", "image_end_token": "<|vision_end|>"}
    )
    rope = {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [1, 1, 1, 1]}
    config = hf.HunYuanVLConfig(
        text_config=text_config(tokenizer, head_dim=8, rope_parameters=rope),
        vision_config={**ENCODER, "patch_size": 8, "max_image_size": 64, "out_hidden_size": 32},
        image_token_id=tokenizer.image_token_id,
        im_start_id=tokenizer.image_start_token_id,
        im_end_id=tokenizer.image_end_token_id,
        tie_word_embeddings=False,
    )
    images = hf.HunYuanVLImageProcessor(patch_size=8, size=PIXELS)
    processor = hf.HunYuanVLProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE)
    return save(folder, hf.HunYuanVLForConditionalGeneration, config, processor)


def build_paddleocr_vl(folder):
    """Patches of a picture are pictures of their own, and positions those of Qwen2-VL."""
    tokenizer = extend_tokenizer({"image_token": IMAGE})
    rope = {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [2, 1, 1]}
    config = hf.PaddleOCRVLConfig(
        text_config=text_config(tokenizer, head_dim=8, rope_parameters=rope),
        vision_config={**ENCODER, "image_size": 32, "patch_size": 8},
        image_token_id=tokenizer.image_token_id,
        video_token_id=SPECIAL.index(VIDEO),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    images = hf.PaddleOCRVLImageProcessor(patch_size=8, size=PIXELS)
    processor = hf.PaddleOCRVLProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE)
    return save(folder, hf.PaddleOCRVLForConditionalGeneration, config, processor)


def build_lighton_ocr(folder):
    """Pictures of a batch are padded to the largest, and cut back in the model."""
    names = {"image_token": IMAGE, "image_break_token": "<|vision_pad|>", "image_end_token": "<|vision_end|>"}
    tokenizer = extend_tokenizer(names)
    config = hf.LightOnOcrConfig(
        text_config={"model_type": "qwen3", **text_config(tokenizer, head_dim=8)},
        vision_config={"model_type": "pixtral", **ENCODER, "image_size": 64, "patch_size": 8, "head_dim": 16},
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    processor = hf.LightOnOcrProcessor(
        hf.PixtralImageProcessor(size={"longest_edge": 64}, patch_size=16),
        tokenizer,
        patch_size=8,
        chat_template=chat_template(IMAGE),
    )
    return save(folder, hf.LightOnOcrForConditionalGeneration, config, processor)


def build_qianfan_ocr(folder):
    """Layers of the tower are dropped at random in training; the template's mark of a picture is no token."""
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = extend_tokenizer(names)
    config = hf.QianfanOCRConfig(
        text_config={"model_type": "qwen3", **text_config(tokenizer, head_dim=8)},
        vision_config={**VISION, "layer_scale_init_value": 1.0},
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
    )
    images = hf.GotOcr2ImageProcessor(size=TILE, crop_to_patches=True, max_patches=4)
    processor = hf.QianfanOCRProcessor(images, tokenizer, image_seq_length=4, chat_template=chat_template("<image>"))
    return save(folder, hf.QianfanOCRForConditionalGeneration, config, processor)


def build_unlimited_ocr(folder):
    """What it writes sees a window of what it wrote and all of the prompt: a text read at once sees all of itself."""
    tokenizer = extend_tokenizer({"image_token": "<image>"})
    experts = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    sam = {"hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 48}
    sam |= {"image_size": 32, "patch_size": 4, "window_size": 4, "global_attn_indexes": [1]}
    sam |= {"downsample_channels": [16, 32], "initializer_range": 0.15}
    config = hf.UnlimitedOcrConfig(
        text_config=text_config(tokenizer, sliding_window=4, mlp_layer_types=["dense", "sparse"], **experts),
        vision_config={"sam_config": sam, "encoder_config": {**ENCODER, "image_size": 8, "patch_size": 4}},
        image_token_id=tokenizer.image_token_id,
    )
    processor = hf.UnlimitedOcrProcessor(
        hf.UnlimitedOcrImageProcessor(size={"height": 32, "width": 32}, tile_size=16, max_patches=4),
        tokenizer,
        chat_template=chat_template("<image>"),
        patch_size=4,
    )
    return save(folder, hf.UnlimitedOcrForConditionalGeneration, config, processor)
