"""LLaVA, and those that grew out of it: a CLIP tower before a Llama."""

import transformers as hf
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config

from architectures.peculiar import GRIDS

CLIP = {"model_type": "clip_vision_model", **VISION, "patch_size": 8}
CROP = {"size": {"shortest_edge": 16}, "crop_size": TILE}
VIEWS = {"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
MEDIA = {"image_token": "<image>", "video_token": "<video>"}


def build_llava_clip(folder, model_class=hf.LlavaForConditionalGeneration, config_class=hf.LlavaConfig, **own):
    """The features are those of the layer before the last, without that of the class: the last layer learns nothing."""
    tokenizer = extend_tokenizer({"image_token": "<image>"})
    config = config_class(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=CLIP,
        image_token_index=tokenizer.image_token_id,
        image_seq_length=4,
        **own,
    )
    images = hf.CLIPImageProcessor(**CROP)
    processor = hf.LlavaProcessor(images, tokenizer, chat_template=chat_template("<image>"), **VIEWS)
    return save(folder, model_class, config, processor)


def build_vipllava(folder):
    """The projector reads several layers of the tower side by side."""
    classes = hf.VipLlavaForConditionalGeneration, hf.VipLlavaConfig
    return build_llava_clip(folder, *classes, vision_feature_layer=[-1, -2])


def build_llava_next_video(folder):
    """LLaVA-NeXT with film: a list of pictures, each of its own number of tiles."""
    tokenizer = extend_tokenizer(MEDIA)
    config = hf.LlavaNextVideoConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=CLIP,
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=GRIDS,
        image_seq_length=4,
    )
    processor = hf.LlavaNextVideoProcessor(
        hf.LlavaNextVideoVideoProcessor(**CROP),
        hf.LlavaNextImageProcessor(image_grid_pinpoints=GRIDS, **CROP),
        tokenizer,
        chat_template=chat_template("<image>"),
        **VIEWS,
    )
    return save(folder, hf.LlavaNextVideoForConditionalGeneration, config, processor)


def build_video_llava(folder):
    """Pictures come as `pixel_values_images`, and have a tower of their own beside that of film."""
    tokenizer = extend_tokenizer(MEDIA)
    config = hf.VideoLlavaConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=CLIP,
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_seq_length=4,
    )
    processor = hf.VideoLlavaProcessor(
        hf.VideoLlavaImageProcessor(**CROP),
        hf.VideoLlavaVideoProcessor(**CROP),
        tokenizer,
        chat_template=chat_template("<image>"),
        **VIEWS,
    )
    return save(folder, hf.VideoLlavaForConditionalGeneration, config, processor)
