"""IBM's Granite."""

import transformers as hf
from families import SPLITS, TILE, VISION, chat_template, extend_tokenizer, save, text_config

from architectures.llava import CROP
from architectures.peculiar import GRIDS
from architectures.salesforce import QUERIES

MULTIPLIERS = {"embedding_multiplier": 2.0, "logits_scaling": 0.5, "residual_multiplier": 0.5}
MULTIPLIERS |= {"attention_multiplier": 0.3}


def build_granite4_vision(folder):
    """Queries look at windows of several layers of the tower, and enter at several layers of the language model."""
    tokenizer = extend_tokenizer({"image_token": "<image>"})
    vision = {"model_type": "siglip_vision_model", "vision_use_head": False, **VISION, "hidden_size": 64}
    config = hf.Granite4VisionConfig(
        text_config=text_config(tokenizer, **MULTIPLIERS, num_hidden_layers=4),
        vision_config={**vision, "num_attention_heads": 2},
        qformer_config={**QUERIES, "num_hidden_layers": 1},
        image_token_index=tokenizer.image_token_id,
        vision_feature_select_strategy="full",
        image_grid_pinpoints=GRIDS,
        downsample_rate="2/4",
        deepstack_layer_map=[[-1, 0]],
        spatial_target_layers=[0, 1, 2, 3],
        projector_dropout=0.0,
    )
    processor = hf.Granite4VisionProcessor(
        hf.LlavaNextImageProcessor(image_grid_pinpoints=GRIDS, **CROP),
        tokenizer,
        patch_size=4,
        vision_feature_select_strategy="full",
        downsample_rate="2/4",
        chat_template=chat_template("<image>"),
    )
    return save(folder, hf.Granite4VisionForConditionalGeneration, config, processor)


def build_granite_docling(folder):
    """Tiles of pages, whose layers of the tower enter at several layers of the language model."""
    tokenizer = extend_tokenizer({"image_token": "<image>"}, SPLITS)
    config = hf.GraniteDoclingConfig(
        text_config=text_config(tokenizer, **MULTIPLIERS),
        vision_config={**VISION, "out_hidden_size": 32, "scale_factor": 2, "deepstack_visual_indexes": [0]},
        image_token_id=tokenizer.image_token_id,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    processor = hf.GraniteDoclingProcessor(
        hf.GraniteDoclingImageProcessor(size=TILE, max_patches=4),
        tokenizer,
        image_seq_len=4,
        chat_template=chat_template("<image>"),
    )
    return save(folder, hf.GraniteDoclingForConditionalGeneration, config, processor)
