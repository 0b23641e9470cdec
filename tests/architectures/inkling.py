"""Tiny random checkpoints of Thinking Machines' Inkling."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config

from .peculiar import ENCODER

HYBRID = {"layer_types": ["hybrid_sliding", "hybrid"], "sliding_window_size": 16, "head_dim": 8, "d_rel": 4}
HYBRID |= {"swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "swa_head_dim": 8, "rel_extent": 32}
HYBRID |= {"moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2}


def build_inkling_mm_model(folder):
    """Distances weigh on attention, convolutions mix what comes in and goes out of it, and there is no rope."""
    names = {"image_token": "<|image|>", "audio_token": "<|audio|>"}
    tokenizer = extend_tokenizer(names, ["<|content_image|>", "<|content_audio_input|>"])
    more = {"mlp_layer_types": ["dense", "sparse"], "n_shared_experts": 1, "logits_mup_width_multiplier": 1.0}
    config = hf.InklingConfig(
        text_config=text_config(tokenizer, **HYBRID, **more),
        vision_config={"patch_size": 8, "n_layers": 3, "hidden_size": 32, "initializer_range": 0.15},
        audio_config={"n_mel_bins": 8, "mel_vocab_size": 16},
        image_token_id=tokenizer.image_token_id,
        audio_token_id=tokenizer.audio_token_id,
        image_bos_token_id=tokenizer.convert_tokens_to_ids("<|content_image|>"),
        audio_bos_token_id=tokenizer.convert_tokens_to_ids("<|content_audio_input|>"),
    )
    processor = hf.InklingProcessor(
        hf.InklingFeatureExtractor(feature_size=8),
        hf.InklingImageProcessor(size={"height": 8, "width": 8}),
        tokenizer,
        chat_template=chat_template("<|content_image|><|image|>"),
    )
    return save(folder, hf.InklingForConditionalGeneration, config, processor)


def build_inkling2(folder):
    """Layers read an attention over what earlier blocks of layers wrote, and convolutions follow the tokens."""
    tokenizer = extend_tokenizer({"image_token": "<|image|>"})
    more = {"n_layers_per_attn_res_block": 1, "unpadded_vocab_size": len(tokenizer)}
    text = text_config(tokenizer, **HYBRID, **more)
    del text["intermediate_size"]
    config = hf.Inkling2Config(
        text_config=text,
        vision_config={
            **ENCODER,
            "patch_size": 8,
            "posemb_grid_size": 4,
            "projection_hidden_dim": 32,
            "text_hidden_size": 32,
            "layer_scale_init_value": 1.0,
        },
        image_token_id=tokenizer.image_token_id,
    )
    images = hf.Inkling2ImageProcessor(size={"height": 16, "width": 16})
    processor = hf.Inkling2Processor(images, tokenizer, chat_template=chat_template("<|image|>"))
    return save(folder, hf.Inkling2ForConditionalGeneration, config, processor)
