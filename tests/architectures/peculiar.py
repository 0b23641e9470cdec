"""Tiny random checkpoints of architectures that do something their own way."""

import transformers as hf
from checkpoints import CHAT_TEMPLATE, IMAGE, PIXELS, SPECIAL, VIDEO
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config

ENCODER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
ENCODER |= {"initializer_range": 0.15}
GRIDS = [[16, 16], [16, 32], [32, 16], [32, 32]]


def build_video_llama_3(folder):
    """Computes all logits, whatever is asked for."""
    tokenizer = extend_tokenizer({"image_token": IMAGE, "video_token": VIDEO})
    config = hf.VideoLlama3Config(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config={**ENCODER, "patch_size": 8},
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
    )
    images = hf.VideoLlama3ImageProcessor(patch_size=8, merge_size=2, size=PIXELS)
    film = hf.VideoLlama3VideoProcessor(patch_size=8, merge_size=2, size=PIXELS)
    processor = hf.VideoLlama3Processor(images, tokenizer, film, chat_template=CHAT_TEMPLATE)
    return save(folder, hf.VideoLlama3ForConditionalGeneration, config, processor)


def build_llava_next(folder):
    """Keeps one layer of its tower; the others are `None` in a list."""
    tokenizer = extend_tokenizer({"image_token": "<image>"})
    config = hf.LlavaNextConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config={"model_type": "clip_vision_model", **VISION, "patch_size": 8},
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=GRIDS,
    )
    images = hf.LlavaNextImageProcessor(size={"shortest_edge": 16}, crop_size=TILE, image_grid_pinpoints=GRIDS)
    processor = hf.LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template("<image>"),
    )
    return save(folder, hf.LlavaNextForConditionalGeneration, config, processor)


def build_mistral3(folder, model_class=hf.Mistral3ForConditionalGeneration, config_class=hf.Mistral3Config, merge=2):
    """Likewise, on pictures of any size."""
    tokens = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    tokenizer = extend_tokenizer(tokens)
    own = {"spatial_merge_size": 2} if merge == 2 else {"vision_feature_select_strategy": "full"}
    config = config_class(
        text_config={"model_type": "mistral", "head_dim": 8, "sliding_window": None, **text_config(tokenizer)},
        vision_config={"model_type": "pixtral", **ENCODER, "image_size": 64, "patch_size": 8, "head_dim": 16},
        image_token_index=tokenizer.image_token_id,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
        **own,
    )
    processor = hf.PixtralProcessor(
        hf.PixtralImageProcessor(size={"longest_edge": 64}, patch_size=8 * merge),
        tokenizer,
        patch_size=8,
        spatial_merge_size=merge,
        chat_template=chat_template("[IMG]"),
    )
    return save(folder, model_class, config, processor)


def build_pixtral(folder):
    """The same tower in the older LLaVA."""
    return build_mistral3(folder, hf.LlavaForConditionalGeneration, hf.LlavaConfig, 1)


def build_llama4(folder):
    """The projector reads the last hidden state of the tower, which has no other output."""
    names = {"image_token": "<|image|>", "patch_token": "<|patch|>"}
    more = ["<|image_start|>", "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>"]
    tokenizer = extend_tokenizer(names, more)
    experts = {"intermediate_size_mlp": 48, "num_local_experts": 2, "head_dim": 8, "attention_chunk_size": 512}
    vision = {**ENCODER, "image_size": 16, "patch_size": 4, "intermediate_size": 128, "vision_output_dim": 32}
    config = hf.Llama4Config(
        text_config=text_config(tokenizer, **experts),
        vision_config={**vision, "projector_input_dim": 32, "projector_output_dim": 32},
        image_token_index=tokenizer.convert_tokens_to_ids("<|patch|>"),
        boi_token_index=tokenizer.convert_tokens_to_ids("<|image_start|>"),
        eoi_token_index=tokenizer.convert_tokens_to_ids("<|image_end|>"),
    )
    processor = hf.Llama4Processor(
        hf.Llama4ImageProcessor(size=TILE, max_patches=4),
        tokenizer,
        patch_size=4,
        chat_template=chat_template("<|image|>"),
    )
    return save(folder, hf.Llama4ForConditionalGeneration, config, processor)


def build_ovis2(folder):
    """Features of pictures come with others that belong to no picture."""
    marks = ["<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tokenizer = extend_tokenizer({"image_token": "<image>"}, ["<IMG_ATOM>", *marks])
    config = hf.Ovis2Config(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config={**ENCODER, "image_size": 16, "patch_size": 8, "vocab_size": 40, "hidden_stride": 1},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_ATOM>"),
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(marks),
        vocab_size=len(tokenizer),
        hidden_size=32,
        tie_word_embeddings=False,
    )
    processor = hf.Ovis2Processor(
        hf.Ovis2ImageProcessor(size=TILE, max_patches=4, crop_to_patches=True),
        tokenizer,
        image_seq_length=4,
        chat_template=chat_template("<image>"),
    )
    return save(folder, hf.Ovis2ForConditionalGeneration, config, processor)


def build_qwen3_5(folder):
    """Every other layer is linear attention, whose state is no list of keys."""
    tokenizer = extend_tokenizer()
    linear = {"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "head_dim": 8}
    linear |= {"linear_num_value_heads": 4, "layer_types": ["linear_attention", "full_attention"]}
    rope = {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [1, 1, 0], "partial_rotary_factor": 0.5}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "out_hidden_size": 32, "patch_size": 8}
    vision |= {"num_position_embeddings": 64, "num_heads": 2, "initializer_range": 0.15}
    config = hf.Qwen3_5Config(
        text_config=text_config(tokenizer, rope_parameters=rope, **linear),
        vision_config=vision,
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )
    patches = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 2, "size": PIXELS}
    processor = hf.Qwen3VLProcessor(
        hf.Qwen2VLImageProcessor(**patches), tokenizer, hf.Qwen3VLVideoProcessor(**patches), chat_template=CHAT_TEMPLATE
    )
    return save(folder, hf.Qwen3_5ForConditionalGeneration, config, processor)


def build_lfm2_vl(folder):
    """Every other layer is a convolution."""
    names = {"image_token": "<image>", "image_start_token": "<|image_start|>", "image_end_token": "<|image_end|>"}
    tokenizer = extend_tokenizer(names | {"image_thumbnail_token": "<|img_thumbnail|>"})
    layers = {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}
    config = hf.Lfm2VlConfig(
        text_config={"model_type": "lfm2", **text_config(tokenizer, **layers)},
        vision_config={"model_type": "siglip2_vision_model", **ENCODER, "patch_size": 8, "num_patches": 16},
        image_token_id=tokenizer.image_token_id,
        projector_hidden_size=32,
        tie_word_embeddings=False,
    )
    sizes = {"min_image_tokens": 1, "max_image_tokens": 4, "encoder_patch_size": 8, "max_num_patches": 16}
    images = hf.Lfm2VlImageProcessor(do_image_splitting=False, tile_size=32, **sizes)
    processor = hf.Lfm2VlProcessor(images, tokenizer, chat_template=chat_template("<image>"))
    return save(folder, hf.Lfm2VlForConditionalGeneration, config, processor)


def build_molmo2(folder):
    """Numbers of a processor count the patches of the pictures it was given together."""
    names = {"image_token": "<|image|>", "video_token": "<|video|>"}
    more = ["<im_patch>", "<im_col>", "<im_start>", "<im_end>", "<low_res_im_start>", "<frame_start>", "<frame_end>"]
    more += ["<im_low>"]
    tokenizer = extend_tokenizer(names, more)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16}
    text = text_config(tokenizer, head_dim=8, additional_vocab_size=0)
    config = hf.Molmo2Config(
        text_config=text,
        vit_config={**ENCODER, **heads, "image_size": [16, 16], "patch_size": 4, "num_position_embeddings": 16},
        adapter_config={
            **heads,
            "hidden_size": 32,
            "intermediate_size": 48,
            "text_hidden_size": 32,
            "vision_feature_layer": [-1],
            "initializer_range": 0.15,
        },
        image_patch_id=tokenizer.convert_tokens_to_ids("<im_patch>"),
        image_start_token_id=tokenizer.convert_tokens_to_ids("<im_start>"),
        tie_word_embeddings=False,
    )
    images = hf.Molmo2ImageProcessor(size=TILE, patch_size=4, max_crops=2, overlap_margins=[1, 1], pooling_size=[2, 2])
    processor = hf.Molmo2Processor(
        images, hf.Molmo2VideoProcessor(size=TILE, patch_size=4), tokenizer, chat_template=chat_template("<|image|>")
    )
    return save(folder, hf.Molmo2ForConditionalGeneration, config, processor)
