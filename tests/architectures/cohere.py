"""Tiny random checkpoints of the Cohere with eyes."""

import transformers as hf
from checkpoints import PIXELS, ROPE
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config

SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False, **VISION}
LAYERS = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16, "logit_scale": 1.0}
LAYERS |= {"tie_word_embeddings": True}


def build_aya_vision(folder):
    """Tiles of a picture are named in its prompt; layers without positions see all, the others a window."""
    names = ["<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE", "TILE_GLOBAL"]
    tokenizer = extend_tokenizer({"image_token": "<image>"}, [*names, *(f"TILE_{i}" for i in range(1, 5))])
    config = hf.AyaVisionConfig(
        text_config={"model_type": "cohere2", **text_config(tokenizer, **LAYERS)},
        vision_config=SIGLIP,
        image_token_index=tokenizer.convert_tokens_to_ids("<|IMG_PATCH|>"),
        alignment_intermediate_size=48,
    )
    images = hf.GotOcr2ImageProcessor(size=TILE, crop_to_patches=True, max_patches=4)
    sizes = {"patch_size": 4, "img_size": 16, "downsample_factor": 2}
    processor = hf.AyaVisionProcessor(images, tokenizer, chat_template=chat_template("<image>"), **sizes)
    return save(folder, hf.AyaVisionForConditionalGeneration, config, processor)


def build_cohere2_vision(folder):
    """Its successor: a break at the end of each tile instead of its name."""
    names = {"image_token": "<|IMG_PATCH|>", "boi_token": "<|START_OF_IMG|>", "eoi_token": "<|END_OF_IMG|>"}
    tokenizer = extend_tokenizer(names | {"img_line_break_token": "<|IMG_LINE_BREAK|>"})
    config = hf.Cohere2VisionConfig(
        text_config={"model_type": "cohere2", **text_config(tokenizer, **LAYERS)},
        vision_config=SIGLIP,
        image_token_id=tokenizer.image_token_id,
        alignment_intermediate_size=96,
    )
    images = hf.Cohere2VisionImageProcessor(size=TILE, patch_size=2, downsample_factor=2, max_patches=4)
    processor = hf.Cohere2VisionProcessor(images, tokenizer, chat_template=chat_template("<|IMG_PATCH|>"))
    return save(folder, hf.Cohere2VisionForConditionalGeneration, config, processor)


def build_cohere_compass(folder):
    """Qwen 3's tower with Cohere's language model; each kind of layer has its own rope, or none."""
    marks = ["<|IMAGE_PAD|>", "<|VIDEO_PAD|>", "<|VISION_START|>", "<|VISION_END|>"]
    tokenizer = extend_tokenizer({"image_token": marks[0], "video_token": marks[1]}, marks)
    ids = tokenizer.convert_tokens_to_ids(marks)
    keys = ["image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"]
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32, "num_heads": 2}
    vision |= {"patch_size": 8, "initializer_range": 0.15, "num_position_embeddings": 64}
    ropes = dict.fromkeys(LAYERS["layer_types"], ROPE)
    config = hf.CohereCompassConfig(
        text_config=text_config(tokenizer, **LAYERS, rope_parameters=ropes),
        vision_config={**vision, "deepstack_visual_indexes": [0]},
        tie_word_embeddings=True,
        **dict(zip(keys, ids, strict=True)),
    )
    patches = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": PIXELS}
    images, film = hf.CohereCompassImageProcessor(**patches), hf.CohereCompassVideoProcessor(**patches)
    template = chat_template("<|VISION_START|><|IMAGE_PAD|><|VISION_END|>")
    processor = hf.CohereCompassProcessor(images, tokenizer, film, chat_template=template)
    return save(folder, hf.CohereCompassForConditionalGeneration, config, processor)
