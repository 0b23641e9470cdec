"""Tiny random checkpoints of the DeepSeek with eyes."""

import transformers as hf
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config

SIGLIP = {"model_type": "siglip_vision_model", "vision_use_head": False, **VISION}
SAM = {"hidden_size": 32, "mlp_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "output_channels": 16}
SAM |= {"window_size": 4, "initializer_range": 0.15}


def build_deepseek_vl(folder):
    """A fixed number of tokens a picture, which is padded to a square."""
    tokenizer = extend_tokenizer({"image_token": "<image_placeholder>"})
    config = hf.DeepseekVLConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=SIGLIP,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    images = hf.DeepseekVLImageProcessor(size=TILE, min_size=4)
    template = chat_template("<image_placeholder>")
    processor = hf.DeepseekVLProcessor(images, tokenizer, chat_template=template, num_image_tokens=16)
    return save(folder, hf.DeepseekVLForConditionalGeneration, config, processor)


def build_deepseek_vl_hybrid(folder):
    """Two towers see each picture in two sizes, each in a tensor of its own."""
    tokenizer = extend_tokenizer({"image_token": "<image_placeholder>"})
    sam = {"model_type": "sam_vision_model", **SAM, "image_size": 32, "patch_size": 4, "global_attn_indexes": [0]}
    config = hf.DeepseekVLHybridConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=SIGLIP,
        high_res_vision_config=sam,
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    images = hf.DeepseekVLHybridImageProcessor(size=TILE, min_size=4, high_res_size={"height": 32, "width": 32})
    template = chat_template("<image_placeholder>")
    processor = hf.DeepseekVLHybridProcessor(images, tokenizer, chat_template=template, num_image_tokens=16)
    return save(folder, hf.DeepseekVLHybridForConditionalGeneration, config, processor)


def build_deepseek_ocr2(folder):
    """A language model as a tower: 144 queries read a picture, whatever its size, and as many each of its tiles."""
    tokenizer = extend_tokenizer({"image_token": "<image>"})
    sam = {**SAM, "image_size": 48, "patch_size": 1, "global_attn_indexes": [], "downsample_channels": [16, 32]}
    experts = {"moe_intermediate_size": 48, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2}
    config = hf.DeepseekOcr2Config(
        text_config=text_config(tokenizer, mlp_layer_types=["dense", "sparse"], **experts),
        vision_config={"sam_config": sam, "encoder_config": text_config(tokenizer, vocab_size=1)},
        image_token_id=tokenizer.image_token_id,
    )
    images = hf.DeepseekOcr2ImageProcessor(size={"height": 48, "width": 48}, tile_size=48, max_patches=2)
    template = chat_template("<image>")
    processor = hf.DeepseekOcr2Processor(images, tokenizer, chat_template=template, patch_size=1, downsample_ratio=4)
    return save(folder, hf.DeepseekOcr2ForConditionalGeneration, config, processor)
