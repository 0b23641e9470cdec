"""Tiny random checkpoints of large mixtures of experts, of several houses."""

import transformers as hf
from checkpoints import PIXELS
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


def build_step3p7(folder):
    """A picture is a view of the whole and tiles, in tensors of their own; heads differ by layer, experts by a bias."""
    marks = ["<im_start>", "<im_end>", "<patch_start>", "<patch_end>", "<patch_newline>"]
    tokenizer = extend_tokenizer({"image_token": "<im_patch>"}, marks)
    layers = {"layer_types": ["full_attention", "sliding_attention"], "mlp_layer_types": ["dense", "sparse"]}
    layers |= {"sliding_window": 16, "num_sliding_attention_heads": 6, "swiglu_limits": [None, 7.0], "head_dim": 8}
    experts = {"moe_intermediate_size": 16, "share_expert_dim": 16, "n_routed_experts": 4, "num_experts_per_tok": 2}
    config = hf.Step3p7Config(
        text_config=text_config(tokenizer, **layers, **experts),
        vision_config={**ENCODER, "image_size": 32, "patch_size": 4, "mlp_ratio": 1.5, "layer_scale_init_value": 1.0},
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    images = hf.Step3p7ImageProcessor(
        size={"height": 32, "width": 32}, patch_size=16, max_image_size=96, vision_patch_size=4
    )
    processor = hf.Step3p7Processor(images, tokenizer, chat_template=chat_template("<im_patch>"))
    return save(folder, hf.Step3p7ForConditionalGeneration, config, processor)


def build_minimax_m3_vl(folder):
    """A query reads only the blocks of keys that an index of its own ranks first."""
    words = ("image", "video", "start of image", "end of image")
    tokenizer = extend_tokenizer(more=[f"]<]{word}[>[" for word in words])
    image, video = (tokenizer.convert_tokens_to_ids(f"]<]{word}[>[") for word in words[:2])
    index = {"index_n_heads": 2, "index_head_dim": 8, "index_block_size": 16, "index_topk_blocks": 2}
    index |= {"layer_types": ["full_attention", "minimax_m3_sparse"], "head_dim": 8, "rotary_dim": 4}
    experts = {"mlp_layer_types": ["dense", "sparse"], "dense_intermediate_size": 48, "shared_intermediate_size": 16}
    experts |= {"num_local_experts": 4, "num_experts_per_tok": 2}
    config = hf.MiniMaxM3VLConfig(
        text_config={**text_config(tokenizer, **index, **experts), "intermediate_size": 16},
        vision_config={**ENCODER, "hidden_size": 36, "image_size": 96, "patch_size": 8},
        image_token_index=image,
        video_token_index=video,
        projector_hidden_size=32,
    )
    processor = hf.MiniMaxM3VLProcessor(
        hf.MiniMaxM3VLImageProcessor(patch_size=8, size=PIXELS),
        tokenizer,
        hf.MiniMaxM3VLVideoProcessor(patch_size=8),
        chat_template=chat_template("]<]image[>["),
    )
    return save(folder, hf.MiniMaxM3SparseForConditionalGeneration, config, processor)


def build_nemotron_h_omni(folder):
    """Layers are a state space, an attention or experts, one thing each; the tower is one more model's."""
    names = {"image_token": "<image>", "video_token": "<video>", "audio_token": "<so_embedding>"}
    names |= {"image_start_token": "<img>", "image_end_token": "</img>"}
    tokenizer = extend_tokenizer(names, ["<so_start>", "<so_end>"])
    state = {"ssm_state_size": 8, "mamba_num_heads": 4, "mamba_head_dim": 8, "n_groups": 2, "chunk_size": 16}
    state |= {"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"], "head_dim": 8}
    experts = {"n_routed_experts": 4, "moe_intermediate_size": 16, "moe_shared_expert_intermediate_size": 16}
    text = text_config(tokenizer, **state, **experts)
    del text["num_hidden_layers"]
    config = hf.NemotronH_Omni_Reasoning_V3_Config(
        text_config={"model_type": "nemotron_h", **text},
        vision_config={
            "model_type": "radio",
            **ENCODER,
            "mlp_ratio": 1.5,
            "patch_size": 8,
            "image_size": 64,
            "max_img_size": 64,
            "video_temporal_patch_size": 2,
        },
        vision_hidden_size=32,
        projector_hidden_size=32,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        audio_token_id=tokenizer.audio_token_id,
    )
    images = hf.NemotronH_Omni_Reasoning_V3ImageProcessor(
        patch_size=8, min_num_patches=4, max_num_patches=64, max_model_len=64
    )
    processor = hf.NemotronH_Omni_Reasoning_V3Processor(
        images,
        hf.NemotronH_Omni_Reasoning_V3VideoProcessor(patch_size=8, video_target_num_patches=16),
        tokenizer,
        hf.ParakeetFeatureExtractor(),
        chat_template=chat_template("<image>"),
    )
    return save(folder, hf.NemotronH_Omni_Reasoning_V3, config, processor)
