"""Tiny random checkpoints of Meta's Muse."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config

from .peculiar import ENCODER

MARKS = ["<|patch|>", "<|image_start|>", "<|image_end|>", "<|video|>", "<|vid_frame_separator|>", "<|vid_start|>"]
MARKS += ["<|vid_end|>", "<|audio|>", "<|soft_audio_start|>", "<|soft_audio_end|>"]


def muse(folder, family, text=None, audio=None, *hearing):
    """Ropes differ by layer, and logits are capped."""
    tokenizer = extend_tokenizer(more=MARKS)
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16, "head_dim": 8}
    layers |= {"output_multiplier": 1.0, "layer_rope_theta": [100.0, 0]}
    vision = {**ENCODER, "patch_size": 8, "pos_emb_height": 4, "pos_emb_width": 4, "max_position_embeddings": 16}
    config = getattr(hf, f"{family}Config")(
        text_config=text_config(tokenizer, **layers, **(text or {})),
        vision_config={**vision, "layer_types": ["window_attention", "full_attention"]},
        image_token_id=tokenizer.convert_tokens_to_ids("<|patch|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        out_hidden_size=128,
        projector_hidden_size=32,
        tie_word_embeddings=False,
        **(audio or {}),
    )
    if audio:
        config.audio_token_id = tokenizer.convert_tokens_to_ids("<|audio|>")
    processor = getattr(hf, f"{family}Processor")(
        hf.MuseGlimmerImageProcessor(patch_size=8, max_image_tokens=24),
        hf.MuseGlimmerVideoProcessor(patch_size=8),
        tokenizer,
        *hearing,
        chat_template=chat_template("<|patch|>"),
    )
    return save(folder, getattr(hf, f"{family}ForConditionalGeneration"), config, processor)


def build_muse_glimmer(folder):
    """Windows of the tower are those of its table of positions; every layer of text has its rope, or none."""
    return muse(folder, "MuseGlimmer")


def build_muse_spark(folder):
    """Likewise, with experts narrower than the model, gates on what a layer adds, and an ear."""
    experts = {"moe_hidden_size": 16, "moe_intermediate_size": 16, "num_local_experts": 4, "num_experts_per_tok": 2}
    ear = {"hidden_sizes": [8, 16], "patch_sizes": [16, 6], "depths": [1, 1], "num_hidden_layers": 2}
    audio = {"audio_config": {**ear, "out_hidden_size": 32, "initializer_range": 0.15}}
    hearing = hf.MuseSparkFeatureExtractor(samples_per_token=96)
    experts |= {"mlp_layer_types": ["dense", "sparse"]}
    return muse(folder, "MuseSpark", experts, audio, hearing)
