"""Tiny random checkpoints of the GLM with eyes."""

import transformers as hf
from checkpoints import PIXELS, ROPE
from families import chat_template, extend_tokenizer, save, text_config

VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32, "patch_size": 8}
VISION |= {"num_heads": 2, "image_size": 32, "initializer_range": 0.15}
EXPERTS = {"moe_intermediate_size": 48, "n_routed_experts": 4, "num_experts_per_tok": 2}
HALF = {**ROPE, "mrope_section": [1, 1, 0], "partial_rotary_factor": 0.5}
PATCHES = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2}
BRACKETS = ["<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"]


def build_glm4v(
    folder,
    model_class=hf.Glm4vForConditionalGeneration,
    config_class=hf.Glm4vConfig,
    processor_class=hf.Glm4vProcessor,
    image_class=hf.Glm4vImageProcessor,
    video_class=hf.Glm4vVideoProcessor,
    text=None,
    vision=None,
    sizes=None,
):
    """Turns half of each head by the place in a picture; tokens of a film are tokens of pictures, in other brackets."""
    tokenizer = extend_tokenizer({"image_token": "<|image|>", "video_token": "<|video|>"}, BRACKETS)
    start, end, film, cut = tokenizer.convert_tokens_to_ids(BRACKETS)
    config = config_class(
        text_config=text_config(tokenizer, **{"rope_parameters": HALF} | (text or {})),
        vision_config={**VISION, **(vision or {})},
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        image_start_token_id=start,
        image_end_token_id=end,
        video_start_token_id=film,
        video_end_token_id=cut,
    )
    sizes = sizes or {"size": PIXELS}
    processor = processor_class(
        image_class(**PATCHES, **sizes),
        tokenizer,
        video_class(**PATCHES, **sizes),
        chat_template=chat_template("<|begin_of_image|><|image|><|end_of_image|>"),
    )
    return save(folder, model_class, config, processor)


def build_glm4v_moe(folder):
    """Likewise, with experts but in its first layer."""
    classes = {"model_class": hf.Glm4vMoeForConditionalGeneration, "config_class": hf.Glm4vMoeConfig}
    return build_glm4v(folder, **classes, text={"first_k_dense_replace": 1, **EXPERTS})


def build_glm46v(folder, config_class=hf.Glm46VConfig, image=hf.Glm46VImageProcessor, film=hf.Glm46VVideoProcessor):
    """Shell of a text model and a tower that other architectures define."""
    classes = {"model_class": hf.Glm46VForConditionalGeneration, "config_class": config_class}
    classes |= {"processor_class": hf.Glm46VProcessor, "image_class": image, "video_class": film}
    return build_glm4v(folder, **classes, text={"model_type": "glm4v_text"}, vision={"model_type": "glm4v_vision"})


def build_glmga(folder):
    """A config of its own for the same model."""
    return build_glm46v(folder, hf.GlmgaConfig, hf.GlmgaImageProcessor, hf.GlmgaVideoProcessor)


def build_glm_ocr(folder):
    """A tower with biases and norms of queries and keys; turns whole heads."""
    classes = {"model_class": hf.GlmOcrForConditionalGeneration, "config_class": hf.GlmOcrConfig}
    classes |= {"processor_class": hf.Glm46VProcessor, "image_class": hf.Glm46VImageProcessor}
    return build_glm4v(folder, **classes, video_class=hf.Glm46VVideoProcessor, text={"rope_parameters": ROPE})


def build_glm5_next(folder):
    """Linear attention beside latent attention to blocks that an indexer picks; several residuals, mixed by a table."""
    text = {"layer_types": ["linear_attention", "indexed_attention"], "mlp_layer_types": ["dense", "sparse"], **EXPERTS}
    text |= {"num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16, "v_head_dim": 8, "qk_nope_head_dim": 8}
    # many heads: where none fires, scores of an indexer tie, and the shape of a batch decides who is picked
    text |= {"index_topk": 64, "index_kpool": 4, "index_head_dim": 8, "index_n_heads": 16}
    text |= {"linear_head_dim": 8, "linear_num_heads": 2, "hc_mult": 2}
    return build_glm4v(
        folder,
        hf.Glm5NextForConditionalGeneration,
        hf.Glm5NextConfig,
        hf.Glm5NextProcessor,
        hf.Glm5NextImageProcessor,
        hf.Glm5NextVideoProcessor,
        text,
        {"projection_intermediate_size": 48},
        {"min_image_tokens": 4, "max_image_tokens": 36},
    )
