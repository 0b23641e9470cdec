"""Mistral's beside Mistral 3 and Pixtral: latent attention and experts behind the same tower."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config

from architectures.peculiar import ENCODER

LATENT = {"kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8, "num_key_value_heads": 4}
EXPERTS = {"moe_intermediate_size": 16, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1}
YARN = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 64}


def build_mistral4(
    folder, model_class=hf.Mistral3ForConditionalGeneration, config_class=hf.Mistral3Config, kind="mistral4", **text
):
    """The key's own class sees nothing; as published it is the language model of a Mistral 3, its keys are latent."""
    tokens = {"image_token": "[IMG]", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    tokenizer = extend_tokenizer(tokens)
    text = text or {"q_lora_rank": 16, "rope_parameters": {**YARN, "llama_4_scaling_beta": 0.1}}
    config = config_class(
        text_config={"model_type": kind, **text_config(tokenizer), **LATENT, **EXPERTS, **text},
        vision_config={"model_type": "pixtral", **ENCODER, "image_size": 64, "patch_size": 8, "head_dim": 16},
        image_token_index=tokenizer.image_token_id,
        vision_feature_layer=-1,
        spatial_merge_size=2,
        tie_word_embeddings=False,
    )
    processor = hf.PixtralProcessor(
        hf.PixtralImageProcessor(size={"longest_edge": 64}, patch_size=16),
        tokenizer,
        patch_size=8,
        spatial_merge_size=2,
        chat_template=chat_template("[IMG]"),
    )
    return save(folder, model_class, config, processor)


def build_mistral_large4(folder):
    """An indexer picks the tokens that are attended to, some layers borrow its choice and others' keys."""
    # many heads: where none fires, scores of an indexer tie, and the shape of a batch decides who is picked
    index = {"index_topk": 16, "index_head_dim": 8, "index_n_heads": 16, "indexer_types": ["full", "full", "shared"]}
    layers = {"num_hidden_layers": 3, "kv_source_layers": [0, 1, 1], "no_rope_layers": [1, 0, 0]}
    classes = hf.MistralLarge4ForConditionalGeneration, hf.MistralLarge4Config, "mistral_large4_text"
    return build_mistral4(folder, *classes, rope_parameters={**YARN, "attention_factor": 1.0}, **index, **layers)
