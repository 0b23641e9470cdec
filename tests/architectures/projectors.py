"""Tiny random checkpoints of a tower, a projector of one's own and a language model."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config


def build_aria(folder):
    """Queries read the patches of a picture of 980 pixels, no other size; experts of words see them too."""
    tokenizer = extend_tokenizer({"image_token": "<|img|>"})
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": 980, "patch_size": 49, "initializer_range": 0.15}
    config = hf.AriaConfig(
        text_config=text_config(tokenizer, moe_num_experts=4, moe_topk=2, moe_num_shared_experts=1),
        vision_config={"model_type": "idefics3_vision", **vision},
        projector_patch_to_query_dict={20 * 20: 8},
        image_token_index=tokenizer.image_token_id,
        initializer_range=0.15,
    )
    template = chat_template("<|img|>")
    images = hf.AriaImageProcessor(max_image_size=980)
    processor = hf.AriaProcessor(images, tokenizer, chat_template=template, size_conversion={980: 8})
    return save(folder, hf.AriaForConditionalGeneration, config, processor)


def build_fast_vlm(folder):
    """A tower of timm, which needs `timm`: convolutions, then attention, to one token in 64 by 64 pixels."""
    tokenizer = extend_tokenizer({"image_token": "<image>"})
    sizes = {"layers": [1] * 5, "embed_dims": [8, 8, 16, 32, 32], "layer_scale_init_value": 1.0}
    vision = {"model_type": "timm_wrapper", "architecture": "fastvit_mci3", "hidden_size": 64, "do_pooling": True}
    config = hf.FastVlmConfig(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config={**vision, "initializer_range": 0.15, "model_args": {"inference_mode": True, **sizes}},
        image_token_index=tokenizer.image_token_id,
        image_seq_length=4,
    )
    images = hf.CLIPImageProcessor(size={"shortest_edge": 128}, crop_size={"height": 128, "width": 128})
    template = chat_template("<image>")
    processor = hf.LlavaProcessor(
        images, tokenizer, patch_size=64, vision_feature_select_strategy="full", chat_template=template
    )
    return save(folder, hf.FastVlmForConditionalGeneration, config, processor)
