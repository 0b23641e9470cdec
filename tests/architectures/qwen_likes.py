"""Tiny random checkpoints of houses that took over Qwen's patches, grids and marks of pictures."""

import transformers as hf
from checkpoints import CHAT_TEMPLATE, IMAGE, PIXELS, ROPE, SPECIAL, VIDEO
from families import chat_template, extend_tokenizer, save, text_config

from architectures.qwen import DEPTH, LEARNED, PATCHES, save_qwen3

EXPERTS = {"moe_intermediate_size": 48, "n_routed_experts": 4, "num_experts_per_tok": 2}


def build_ernie4_5_vl_moe(folder):
    """Tokens of pictures, and the brackets around them, have experts of their own; a resampler is its projector."""
    names = {"image_token": "<|IMAGE_PLACEHOLDER|>", "image_start_token": "<|IMAGE_START|>"}
    names |= {"image_end_token": "<|IMAGE_END|>", "video_token": "<|VIDEO_PLACEHOLDER|>"}
    tokenizer = extend_tokenizer(names | {"video_start_token": "<|VIDEO_START|>", "video_end_token": "<|VIDEO_END|>"})
    experts = {"moe_intermediate_size": [48, 32], "moe_k": 2, "moe_num_experts": 4, "moe_num_shared_experts": 1}
    rope = {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [1, 1, 2]}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 8}
    places = ["image_token", "image_start_token", "image_end_token", "video_token", "video_start_token"]
    config = hf.Ernie4_5_VLMoeConfig(
        text_config=text_config(tokenizer, rope_parameters=rope, **experts) | {"tie_word_embeddings": True},
        vision_config={**vision, "initializer_range": 0.15},
        **{f"{place}_id": getattr(tokenizer, f"{place}_id") for place in [*places, "video_end_token"]},
    )
    patches = {"patch_size": 8, "merge_size": 2, "size": PIXELS}
    images, film = hf.Ernie4_5_VLMoeImageProcessor(**patches), hf.Ernie4_5_VLMoeVideoProcessor(**patches)
    film.draw_on_frames = False  # with a font that we lack
    template = chat_template("<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>")
    processor = hf.Ernie4_5_VLMoeProcessor(images, tokenizer, film, chat_template=template)
    return save(folder, hf.Ernie4_5_VLMoeForConditionalGeneration, config, processor)


def build_exaone4_5(folder):
    """Qwen 2.5's tower; a language model that counts tokens of pictures like others, and by layers sees a window."""
    tokenizer = extend_tokenizer()
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
    config = hf.Exaone4_5_Config(
        text_config={"model_type": "exaone4", **text_config(tokenizer, **layers)},
        vision_config={**DEPTH, "window_size": 32, "fullatt_block_indexes": [1], "num_key_value_heads": 1},
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
    )
    images, film = hf.Qwen2VLImageProcessor(**PATCHES), hf.Qwen2VLVideoProcessor(**PATCHES)
    processor = hf.Exaone4_5_Processor(images, tokenizer, film, chat_template=CHAT_TEMPLATE)
    return save(folder, hf.Exaone4_5_ForConditionalGeneration, config, processor)


def build_cosmos3_omni(folder):
    """Qwen 3 by another name: the part of a world model that reads."""
    classes = hf.Cosmos3OmniForConditionalGeneration, hf.Cosmos3OmniConfig
    text = {"model_type": "qwen3_vl_text", "head_dim": 8, "rope_parameters": ROPE}
    return save_qwen3(folder, *classes, text, {**LEARNED, "deepstack_visual_indexes": [0]})


def build_cosmos3_edge(folder):
    """A SigLIP of pictures of any size before a language model with places in three directions."""
    tokenizer = extend_tokenizer()
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = hf.Cosmos3EdgeConfig(
        text_config=text_config(tokenizer, head_dim=8, rope_parameters=ROPE),
        vision_config={**vision, "patch_size": 8, "num_patches": 16, "initializer_range": 0.15},
        projector_hidden_size=48,
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )
    patches = {"patch_size": 8, "merge_size": 2, "size": PIXELS}
    images, film = hf.Cosmos3EdgeImageProcessor(**patches), hf.Cosmos3EdgeVideoProcessor(**patches)
    processor = hf.Cosmos3EdgeProcessor(images, tokenizer, film, chat_template=CHAT_TEMPLATE)
    return save(folder, hf.Cosmos3EdgeForConditionalGeneration, config, processor)


def build_dots3_note(folder):
    """Hears as well; latent attention, by layers to a window or to what an indexer picks; a tower with experts."""
    names = {"image_token": "<|imgpad|>", "video_token": "<|video_pad|>", "audio_token": "<|audio_comp_pad|>"}
    tokenizer = extend_tokenizer(names, ["<|img|>", "<|endofimg|>"])
    # many heads: where none fires, scores of an indexer tie, and the shape of a batch decides who is picked
    latent = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 8}
    window = {"num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8, **latent}
    text = {"layer_types": ["indexed_attention", "sliding_attention"], "sliding_window": 16, "head_dim": 8}
    text |= {"index_topk": 64, "index_head_dim": 8, "index_n_heads": 16, "shared_experts_intermediate_size": 48}
    text |= {"num_key_value_heads": 4, "per_layer_config": {1: window}, **latent, **EXPERTS}
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"moe_intermediate_size": 48, "num_local_experts": 4, "num_experts_per_tok": 2, "adapter_in_dim": 32}
    vision |= {"adapter_out_dim": 32, "mlp_layer_types": ["dense", "sparse"], "patch_size": 8}
    sound = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    sound |= {"feature_size": 16, "downsample_hidden_size": 8, "adapter_input_size": 32, "adapter_out_dim": 32}
    config = hf.Dots3NoteConfig(
        text_config=text_config(tokenizer, **text),
        vision_config={**vision, "initializer_range": 0.15},
        audio_config={**sound, "initializer_range": 0.15},
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        audio_token_id=tokenizer.audio_token_id,
    )
    patches = PATCHES | {"temporal_patch_size": 1}
    images, film = hf.Qwen2VLImageProcessor(**patches), hf.Qwen2VLVideoProcessor(**patches)
    hearing = hf.Dots3NoteFeatureExtractor(feature_size=16)
    template = chat_template("<|img|><|imgpad|><|endofimg|>")
    processor = hf.Dots3NoteProcessor(images, tokenizer, film, hearing, chat_template=template)
    return save(folder, hf.Dots3NoteForConditionalGeneration, config, processor)
