"""Tiny random checkpoints of dense models of several houses."""

import transformers as hf
from checkpoints import CHAT_TEMPLATE, IMAGE, PIXELS, SPECIAL, VIDEO
from families import TILE, chat_template, extend_tokenizer, save, text_config

from .peculiar import ENCODER

PATCHES = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": PIXELS}


def build_janus(folder):
    """A second model, of pictures it could draw, hangs in it and takes no part in reading."""
    names = {"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = extend_tokenizer(names)
    drawing = {"embed_dim": 8, "num_embeddings": 16, "latent_channels": 32, "base_channels": 32}
    drawing |= {"channel_multiplier": [1, 1], "num_res_blocks": 1, "projection_dim": 32, "image_token_embed_dim": 32}
    config = hf.JanusConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config={**ENCODER, "image_size": 16, "patch_size": 4, "projection_dim": 32, "num_image_tokens": 16},
        vq_config=drawing,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    processor = hf.JanusProcessor(
        hf.JanusImageProcessor(size=TILE, min_size=4),
        tokenizer,
        num_image_tokens=16,
        chat_template=chat_template("<image_placeholder>"),
    )
    return save(folder, hf.JanusForConditionalGeneration, config, processor)


def build_hyperclovax_vision_v2(folder):
    """Qwen2.5-VL's tower before a decoder that scales logits, embeddings and what a layer adds."""
    tokenizer = extend_tokenizer()
    scales = {"embedding_multiplier": 3.0, "logits_scaling": 2.0, "residual_multiplier": 0.7}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32, "num_heads": 2}
    vision |= {"window_size": 32, "fullatt_block_indexes": [1], "patch_size": 8, "initializer_range": 0.15}
    config = hf.HyperCLOVAXVisionV2Config(
        text_config={"model_type": "hyperclovax", **text_config(tokenizer, **scales)},
        vision_config={"model_type": "qwen2_5_vl_vision", **vision},
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        tie_word_embeddings=False,
    )
    processor = hf.HyperCLOVAXVisionV2Processor(
        hf.Qwen2VLImageProcessor(**PATCHES),
        tokenizer,
        hf.Qwen2VLVideoProcessor(**PATCHES),
        chat_template=CHAT_TEMPLATE,
    )
    return save(folder, hf.HyperCLOVAXVisionV2ForConditionalGeneration, config, processor)


def build_lfm3_vl(folder):
    """Layers of text and of pictures are convolutions, the rest full attention and a window's, each with its rope."""
    tokenizer = extend_tokenizer()
    layers = {"layer_types": ["conv", "sliding_attention", "full_attention"], "num_hidden_layers": 3, "head_dim": 8}
    config = hf.Lfm3VlConfig(
        text_config={"model_type": "lfm3", **text_config(tokenizer, **layers), "sliding_window": 16},
        vision_config={
            **ENCODER,
            "patch_size": 8,
            "num_key_value_heads": 1,
            "layer_types": ["conv", "full_attention"],
        },
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        projector_hidden_size=32,
        tie_word_embeddings=False,
    )
    processor = hf.Lfm3VlProcessor(
        hf.Qwen2VLImageProcessor(**PATCHES),
        tokenizer,
        hf.Qwen3VLVideoProcessor(**PATCHES),
        chat_template=CHAT_TEMPLATE,
    )
    return save(folder, hf.Lfm3VlForConditionalGeneration, config, processor)
