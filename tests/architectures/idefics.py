"""Idefics before its third."""

import transformers as hf
from families import SPLITS, VISION, chat_template, extend_tokenizer, save, text_config

from architectures.peculiar import ENCODER


def build_idefics(folder):
    """Pictures stand beside the text, behind gates; layers of text and vision start frozen.

    The processor drops its chat template, and takes prompts as lists of texts and pictures.
    """
    tokens = ["<fake_token_around_image>", "<end_of_utterance>"]
    tokenizer = extend_tokenizer({"image_token": "<image>"}, tokens, bos_token="<|im_start|>")
    vision = {**VISION, "embed_dim": 32}
    del vision["hidden_size"]
    text = text_config(tokenizer, bos_token_id=6)
    del text["num_key_value_heads"]
    config = hf.IdeficsConfig(
        **text,
        vision_config=vision,
        perceiver_config={
            "resampler_n_latents": 4,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 8,
        },
        use_resampler=True,
        alpha_initializer="ones",
    )
    processor = hf.IdeficsProcessor(hf.IdeficsImageProcessor(image_size=16), tokenizer, image_size=16)
    processor.chat_template = chat_template("<image>")
    return save(folder, hf.IdeficsForVisionText2Text, config, processor)


def build_idefics2(folder):
    """Pictures of any shape are padded to the largest of a prompt, and told by a few latents."""
    tokenizer = extend_tokenizer(
        {"image_token": "<image>", "image_boundary_token": "<fake_token_around_image>"}, SPLITS[:1]
    )
    perceiver = {"resampler_n_latents": 4, "resampler_depth": 1, "resampler_n_heads": 2, "resampler_head_dim": 8}
    config = hf.Idefics2Config(
        text_config={"model_type": "mistral", "head_dim": 8, "sliding_window": None, **text_config(tokenizer)},
        vision_config={**ENCODER, "image_size": 32, "patch_size": 8},
        perceiver_config={**perceiver, "hidden_size": 32, "num_key_value_heads": 1, "initializer_range": 0.15},
        image_token_id=tokenizer.image_token_id,
        tie_word_embeddings=False,
    )
    images = hf.Idefics2ImageProcessor(size={"shortest_edge": 16, "longest_edge": 32})
    processor = hf.Idefics2Processor(
        images, tokenizer, image_seq_len=4, chat_template=chat_template("<image>", SPLITS[0])
    )
    return save(folder, hf.Idefics2ForConditionalGeneration, config, processor)
