"""Tiny random checkpoints of Moonshot's Kimi."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config

from .peculiar import ENCODER


def build_kimi_k25(folder):
    """Keys and values are one small latent, most layers a choice of experts with a bias that no gradient moves."""
    tokenizer = extend_tokenizer({"image_token": "<|media_pad|>", "video_token": "<|kimi_k25_video_placeholder|>"})
    latent = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}
    experts = {"moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2}
    experts |= {"topk_group": 1, "first_k_dense_replace": 1, "num_mtp_layers": 0, "num_key_value_heads": 4}
    config = hf.Kimi_K25Config(
        text_config={"model_type": "deepseek_v3", **text_config(tokenizer, **latent, **experts)},
        vision_config={**ENCODER, "patch_size": 8, "pos_emb_height": 4, "pos_emb_width": 4},
        projection_hidden_size=32,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        tie_word_embeddings=False,
    )
    sizes = {"patch_size": 8, "merge_size": 2, "max_patches": 64, "size": {"max_height": 64, "max_width": 64}}
    processor = hf.Kimi_K25Processor(
        hf.Kimi_K25ImageProcessor(**sizes),
        tokenizer,
        hf.Kimi_K25VideoProcessor(**sizes),
        chat_template=chat_template("<|media_pad|>"),
    )
    return save(folder, hf.Kimi_K25ForConditionalGeneration, config, processor)
