"""Meta's beside Llama 4."""

import transformers as hf
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config


def build_mllama(folder):
    """Pictures stand beside the text, not in it: layers of cross-attention read them through gates."""
    tokenizer = extend_tokenizer({"image_token": "<|image|>"}, ["<|python_tag|>"], bos_token="<|im_start|>")
    text = text_config(tokenizer, num_hidden_layers=3, cross_attention_layers=[1], bos_token_id=6)
    text |= {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}}
    vision = {**VISION, "attention_heads": 2, "num_global_layers": 1, "intermediate_layers_indices": [0]}
    config = hf.MllamaConfig(
        text_config=text,
        vision_config={**vision, "vision_output_dim": 64},
        image_token_index=tokenizer.image_token_id,
    )
    processor = hf.MllamaProcessor(
        hf.MllamaImageProcessor(size=TILE, max_image_tiles=4), tokenizer, chat_template=chat_template("<|image|>")
    )
    return save(folder, hf.MllamaForConditionalGeneration, config, processor)


def build_perception_lm(folder):
    """A tower of `timm`; tiles of all pictures are pooled after the projector."""
    tokenizer = extend_tokenizer({"image_token": "<|image|>", "video_token": "<|video|>"})
    tower = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": [16, 16], "patch_size": 4, "mlp_ratio": 2}
    tower |= {"global_pool": "", "use_post_transformer_norm": False, "init_values": 1.0, "ref_feat_shape": [4, 4]}
    config = hf.PerceptionLMConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "vit_pe_core_large_patch14_336",
            "model_args": tower,
            "do_pooling": False,
            "initializer_range": 0.15,
        },
        projector_pooling_ratio=2,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        tie_word_embeddings=False,
    )
    processor = hf.PerceptionLMProcessor(
        hf.PerceptionLMVideoProcessor(size=TILE),
        hf.PerceptionLMImageProcessor(tile_size=16, max_num_tiles=4),
        tokenizer,
        patch_size=4,
        pooling_ratio=2,
        chat_template=chat_template("<|image|>"),
    )
    return save(folder, hf.PerceptionLMForConditionalGeneration, config, processor)
