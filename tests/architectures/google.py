"""Gemma's descendants."""

import transformers as hf
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config

MEDIA = {
    "image_token": "<|image|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "audio_token": "<|audio|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
}
LAYERS = {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_hidden_layers": 4, "sliding_window": 16}
CONFORMER = {"hidden_size": 16, "rms_norm_eps": 1e-6}


def ids(tokenizer, video="<|video|>", index="eoa_token_index"):
    """Numbers of the tokens of media, by the names that configs give them."""
    numbers = {f"{name}_id": tokenizer.convert_tokens_to_ids(token) for name, token in MEDIA.items()}
    numbers["video_token_id"] = tokenizer.convert_tokens_to_ids(video)
    return numbers | {index: numbers.pop("eoa_token_id")}


def build_gemma3n(folder):
    """Four streams at once, a table of tokens for each layer, keys shared by layers, and a convolutional `timm` tower.

    The tower is not MobileNetV5, whose smallest has two million weights.
    """
    tokenizer = extend_tokenizer(MEDIA)
    vision = {"architecture": "test_convnext", "hidden_size": 64, "vocab_size": 1, "initializer_range": 0.15}
    audio = {"conf_num_attention_heads": 2, "conf_num_hidden_layers": 1, "sscp_conv_channel_size": [4, 4]}
    layers = {**LAYERS, "num_kv_shared_layers": 2, "head_dim": 8, "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0]}
    sizes = {"vocab_size_per_layer_input": len(tokenizer), "hidden_size_per_layer_input": 8, "laurel_rank": 4}
    numbers = ids(tokenizer, index="eoa_token_id")
    del numbers["video_token_id"]
    config = hf.Gemma3nConfig(
        text_config=text_config(tokenizer, **layers, **sizes),
        vision_config={**vision, "vocab_offset": len(tokenizer)},
        audio_config={**CONFORMER, **audio, "vocab_size": 1, "vocab_offset": len(tokenizer) + 1},
        vision_soft_tokens_per_image=4,
        audio_soft_tokens_per_image=4,
        initializer_range=0.15,
        tie_word_embeddings=False,
        **numbers,
    )
    processor = hf.Gemma3nProcessor(
        hf.Gemma3nAudioFeatureExtractor(),
        hf.SiglipImageProcessor(size={"height": 64, "width": 64}),
        tokenizer,
        chat_template=chat_template("<|image|>"),
        audio_seq_length=4,
        image_seq_length=4,
    )
    return save(folder, hf.Gemma3nForConditionalGeneration, config, processor)


def build_gemma4(folder, **text):
    """Pictures of any shape in a fixed number of patches; layers of full attention have heads of another size."""
    tokenizer = extend_tokenizer(MEDIA, ["<|video|>"])
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"num_key_value_heads": 2, "head_dim": 16, "position_embedding_size": 64, "initializer_range": 0.15}
    patches = {"patch_size": 4, "pooling_kernel_size": 2}
    sizes = {"head_dim": 8, "global_head_dim": 16, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2}
    sizes |= {"vocab_size_per_layer_input": len(tokenizer)}
    audio = {"num_hidden_layers": 1, "num_attention_heads": 2, "subsampling_conv_channels": [4, 4]}
    config = hf.Gemma4Config(
        text_config=text_config(tokenizer, **LAYERS, **{**sizes, **text}),
        vision_config={**vision, **patches},
        audio_config=None if text else {**CONFORMER, **audio, "output_proj_dims": 16, "initializer_range": 0.15},
        initializer_range=0.15,
        tie_word_embeddings=False,
        **ids(tokenizer),
    )
    processor = hf.Gemma4Processor(
        hf.Gemma4AudioFeatureExtractor(),
        hf.Gemma4ImageProcessor(max_soft_tokens=70, **patches),
        tokenizer,
        hf.Gemma4VideoProcessor(max_soft_tokens=70, **patches),
        chat_template=chat_template("<|image|>"),
    )
    return save(folder, hf.Gemma4ForConditionalGeneration, config, processor)


def build_gemma4_moe(folder):
    """The larger ones: experts beside a dense layer, values that are keys, pictures that see themselves."""
    experts = {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 16}
    plain = {"hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0, "num_global_key_value_heads": 1}
    return build_gemma4(folder, attention_k_eq_v=True, use_bidirectional_attention="vision", **experts, **plain)


def build_gemma4_unified(folder):
    """No tower: patches go through one layer into the language model, in which pictures see themselves."""
    tokenizer = extend_tokenizer(MEDIA, ["<|video|>"])
    patches = {"patch_size": 4, "pooling_kernel_size": 2}
    vision = {"mm_embed_dim": 32, "mm_posemb_size": 70, "output_proj_dims": 32, "initializer_range": 0.15}
    config = hf.Gemma4UnifiedConfig(
        text_config=text_config(tokenizer, **LAYERS, head_dim=8, global_head_dim=16),
        vision_config={**vision, **patches},
        audio_config={"audio_embed_dim": 16, "initializer_range": 0.15},
        initializer_range=0.15,
        tie_word_embeddings=False,
        **ids(tokenizer),
    )
    processor = hf.Gemma4UnifiedProcessor(
        hf.Gemma4UnifiedAudioFeatureExtractor(),
        hf.Gemma4UnifiedImageProcessor(max_soft_tokens=70, **patches),
        tokenizer,
        hf.Gemma4UnifiedVideoProcessor(max_soft_tokens=70, **patches),
        chat_template=chat_template("<|image|>"),
    )
    return save(folder, hf.Gemma4UnifiedForConditionalGeneration, config, processor)


def build_t5gemma2(folder):
    """An encoder reads the question and its pictures, a decoder answers, and attends to both with the same weights."""
    names = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = extend_tokenizer(names, bos_token="<|im_start|>")
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
    text = text_config(tokenizer, **layers, head_dim=8, query_pre_attn_scalar=8, bos_token_id=6)
    text |= {"tie_word_embeddings": True}
    encoder = {
        "text_config": {**text, "model_type": "t5gemma2_text"},
        "vision_config": {"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        "mm_tokens_per_image": 4,
        "image_token_index": tokenizer.image_token_id,
        "boi_token_index": tokenizer.boi_token_id,
        "eoi_token_index": tokenizer.eoi_token_id,
        "initializer_range": 0.15,
    }
    config = hf.T5Gemma2Config(
        encoder=encoder,
        decoder=text,
        image_token_index=tokenizer.image_token_id,
        decoder_start_token_id=6,
        initializer_range=0.15,
    )
    processor = hf.Gemma3Processor(
        hf.Gemma3ImageProcessor(size=TILE),
        tokenizer,
        image_seq_length=4,
        chat_template=chat_template("<start_of_image>"),
    )
    return save(folder, hf.T5Gemma2ForConditionalGeneration, config, processor)


def build_diffusion_gemma(folder):
    """No next token: a canvas of them is cleared block by block, and logits are those of a canvas drawn at random."""
    tokenizer = extend_tokenizer(MEDIA, ["<|video|>"])
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"num_key_value_heads": 2, "head_dim": 16, "position_embedding_size": 64, "initializer_range": 0.15}
    patches = {"patch_size": 4, "pooling_kernel_size": 2}
    experts = {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 16, "head_dim": 8, "global_head_dim": 16}
    numbers = ids(tokenizer)
    config = hf.DiffusionGemmaConfig(
        text_config={**text_config(tokenizer, **LAYERS, **experts), "tie_word_embeddings": True},
        vision_config={"model_type": "gemma4_vision", **vision, **patches},
        initializer_range=0.15,
        canvas_length=8,
        **{name: numbers[name] for name in ("boi_token_id", "eoi_token_id", "image_token_id")},
    )
    processor = hf.Gemma4Processor(
        hf.Gemma4AudioFeatureExtractor(),
        hf.Gemma4ImageProcessor(max_soft_tokens=70, **patches),
        tokenizer,
        hf.Gemma4VideoProcessor(max_soft_tokens=70, **patches),
        chat_template=chat_template("<|image|>"),
    )
    return save(folder, hf.DiffusionGemmaForBlockDiffusion, config, processor)


NOT_BUILT = {
    "shieldgemma2": "a classifier, whose processor asks questions of its own; its language model does not read "
    "what it has saved",
}
