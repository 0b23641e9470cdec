"""Tiny random checkpoints of the younger Qwen: experts, omni models without their voice, hyper-connections."""

import transformers as hf
from checkpoints import CHAT_TEMPLATE, IMAGE, PIXELS, ROPE, SPECIAL, VIDEO
from families import extend_tokenizer, save, text_config

EXPERTS = {"moe_intermediate_size": 48, "num_experts": 4, "num_experts_per_tok": 2}
LINEAR = {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "head_dim": 8}
LINEAR |= {"linear_num_value_heads": 4}
PARTIAL_ROPE = {**ROPE, "mrope_section": [1, 1, 0], "partial_rotary_factor": 0.5}
DEPTH = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32, "patch_size": 8}
DEPTH |= {"num_heads": 2, "initializer_range": 0.15}
LEARNED = {"num_position_embeddings": 64}
PATCHES = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": PIXELS}
AUDIO = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "d_model": 32, "output_dim": 32}
AUDIO |= {"num_mel_bins": 16, "n_window": 4, "max_source_positions": 64, "initializer_range": 0.15}


def save_qwen3(folder, model_class, config_class, text, vision):
    tokenizer = extend_tokenizer()
    config = config_class(
        text_config=text_config(tokenizer, **text),
        vision_config={**DEPTH, **LEARNED, **vision},
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )
    images, film = hf.Qwen2VLImageProcessor(**PATCHES), hf.Qwen3VLVideoProcessor(**PATCHES)
    processor = hf.Qwen3VLProcessor(images, tokenizer, film, chat_template=CHAT_TEMPLATE)
    return save(folder, model_class, config, processor)


def build_qwen3_vl_moe(folder):
    """Experts of a layer stand in one tensor."""
    text = {"rope_parameters": ROPE, "head_dim": 8, **EXPERTS}
    classes = hf.Qwen3VLMoeForConditionalGeneration, hf.Qwen3VLMoeConfig
    return save_qwen3(folder, *classes, text, {"deepstack_visual_indexes": [0]})


def build_qwen3_5_moe(folder):
    """Linear attention and experts, one of which every token passes."""
    text = {"layer_types": ["linear_attention", "full_attention"], "shared_expert_intermediate_size": 48}
    text |= {"rope_parameters": PARTIAL_ROPE, **LINEAR, **EXPERTS}
    return save_qwen3(folder, hf.Qwen3_5MoeForConditionalGeneration, hf.Qwen3_5MoeConfig, text, {})


def build_qwen4_exp(folder):
    """Reads n-grams of token ids beside their embeddings; attends to blocks that an indexer picks; four residuals."""
    text = {"layer_types": ["linear_attention", "indexed_attention"], "shared_expert_intermediate_size": 48}
    text |= {"hc_count": 2, "hc_lowrank": 8, "ple_layer_ids": [1], "heads_per_ngram": 2, "ngram_vocab_size_base": 50}
    # many heads: where none fires, scores of an indexer tie, and the shape of a batch decides who is picked
    text |= {"split_ngram_parts": 2, "indexer_n_heads": 16, "indexer_kv_heads": 1, "indexer_head_dim": 8}
    text |= {"indexer_budget": 64, "indexer_compress_ratio": 4, "rope_parameters": PARTIAL_ROPE, **LINEAR, **EXPERTS}
    return save_qwen3(folder, hf.Qwen4ExpForConditionalGeneration, hf.Qwen4ExpConfig, text, {})


def save_omni(folder, model_class, config_class, processor_class, text, vision, audio):
    names = {"image_token": IMAGE, "video_token": VIDEO, "audio_token": "<|audio_pad|>"}
    names |= {"vision_bos_token": "<|vision_start|>", "vision_eos_token": "<|vision_end|>"}
    tokenizer = extend_tokenizer(names | {"audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>"})
    config = config_class(
        text_config=text_config(tokenizer, rope_parameters=ROPE, **text),
        vision_config={**DEPTH, **vision},
        audio_config={**AUDIO, **audio},
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        audio_token_id=tokenizer.audio_token_id,
        audio_start_token_id=tokenizer.audio_bos_token_id,
        vision_start_token_id=tokenizer.vision_bos_token_id,
        initializer_range=0.15,
    )
    images, film = hf.Qwen2VLImageProcessor(**PATCHES), hf.Qwen2VLVideoProcessor(**PATCHES)
    sound = hf.WhisperFeatureExtractor(feature_size=16)
    processor = processor_class(images, film, sound, tokenizer, chat_template=CHAT_TEMPLATE)
    return save(folder, model_class, config, processor)


def build_qwen2_5_omni_thinker(folder):
    """The part that writes, of a model that also speaks; hears as well as it sees."""
    classes = hf.Qwen2_5OmniThinkerForConditionalGeneration, hf.Qwen2_5OmniThinkerConfig, hf.Qwen2_5OmniProcessor
    return save_omni(folder, *classes, {}, {"window_size": 32, "fullatt_block_indexes": [1]}, {})


def build_qwen3_omni_moe_thinker(folder):
    """Likewise, with experts."""
    classes = hf.Qwen3OmniMoeThinkerForConditionalGeneration, hf.Qwen3OmniMoeThinkerConfig, hf.Qwen3OmniMoeProcessor
    audio = {"n_window_infer": 8, "downsample_hidden_size": 8}
    return save_omni(folder, *classes, EXPERTS, {**LEARNED, "deepstack_visual_indexes": [0]}, audio)
