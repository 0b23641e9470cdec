"""GOT-OCR 2, and what was made of it."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config

PAGE = {"height": 128, "width": 128}
SAM = {"hidden_size": 16, "output_channels": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 32}
SAM |= {"image_size": 128, "patch_size": 2, "window_size": 4, "global_attn_indexes": [], "initializer_range": 0.15}


def build_got_ocr2(folder):
    """Pages of 256 tokens each, as the processor has it whatever the size; it has no text without a page."""
    return build(folder, hf.GotOcr2Config, hf.GotOcr2Processor, hf.GotOcr2ImageProcessor, "<imgpad>")


def build_pp_chart2table(folder):
    """GOT whose processor leaves all tokens of a picture to the chat template."""
    classes = hf.PPChart2TableConfig, hf.PPChart2TableProcessor, hf.PPChart2TableImageProcessor
    return build(folder, *classes, "<imgpad>" * 256)


def build(folder, config_class, processor_class, image_class, picture):
    """GOT's language model and tower."""
    tokenizer = extend_tokenizer({"image_token": "<imgpad>"}, ["<img>", "</img>"])
    config = config_class(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config=SAM,
        image_token_index=tokenizer.image_token_id,
        image_seq_length=256,
        tie_word_embeddings=False,
    )
    template = chat_template(f"<img>{picture}</img>")
    processor = processor_class(image_class(size=PAGE), tokenizer, chat_template=template)
    return save(folder, hf.GotOcr2ForConditionalGeneration, config, processor)
