"""BLIP and its descendants, whose processors drop their chat template."""

import transformers as hf
from families import TILE, VISION, chat_template, extend_tokenizer, save, text_config

QUERIES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 48}
QUERIES |= {"initializer_range": 0.15, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
WIDE = {"initializer_range": 0.15, "initializer_factor": 1.0}


def build_blip(folder):
    """Pictures are seen by cross-attention of each layer, and there is no token for one."""
    tokenizer = extend_tokenizer(bos_token="<|im_start|>")
    text = text_config(tokenizer, bos_token_id=6, sep_token_id=1, projection_dim=32)
    del text["num_key_value_heads"], text["rms_norm_eps"]
    vision = {**VISION, "projection_dim": 32}
    config = hf.BlipConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=32,
        image_text_hidden_size=32,
        tie_word_embeddings=False,
        **WIDE,
    )
    processor = hf.BlipProcessor(hf.BlipImageProcessor(size=TILE), tokenizer)
    processor.chat_template = chat_template("")
    return save(folder, hf.BlipForConditionalGeneration, config, processor)


def opt(tokenizer):
    """OPT behind an adapter: a language model whose positions are a table."""
    sizes = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "init_std": 0.15}
    sizes |= {"word_embed_proj_dim": 32, "max_position_embeddings": 2048, "vocab_size": len(tokenizer), "dropout": 0.0}
    return {"model_type": "opt", **sizes, "pad_token_id": 0, "bos_token_id": 6, "eos_token_id": 1}


def build_blip_2(folder):
    """Queries of one picture go before all text, wherever the picture stood."""
    tokenizer = extend_tokenizer(bos_token="<|im_start|>")
    processor = hf.Blip2Processor(hf.BlipImageProcessor(size=TILE), tokenizer, num_query_tokens=4)
    processor.chat_template = chat_template("")
    config = hf.Blip2Config(
        text_config=opt(tokenizer),
        vision_config=VISION,
        qformer_config=QUERIES,
        num_query_tokens=4,
        image_text_hidden_size=32,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        **WIDE,
    )
    return save(folder, hf.Blip2ForConditionalGeneration, config, processor)


def build_instructblip(folder):
    """Likewise, and the queries read the question too, in a vocabulary of their own."""
    tokenizer = extend_tokenizer(bos_token="<|im_start|>")
    queries = extend_tokenizer()
    images = hf.BlipImageProcessor(size=TILE)
    processor = hf.InstructBlipProcessor(images, tokenizer, queries, num_query_tokens=4)
    processor.chat_template = chat_template("")
    config = hf.InstructBlipConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=VISION,
        qformer_config={**QUERIES, "vocab_size": len(queries)},
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        **WIDE,
    )
    return save(folder, hf.InstructBlipForConditionalGeneration, config, processor)


def build_instructblipvideo(folder):
    """Likewise of film: its processor has no pictures, and takes four frames for one."""
    tokenizer = extend_tokenizer(bos_token="<|im_start|>")
    queries = extend_tokenizer()
    film = hf.InstructBlipVideoVideoProcessor(size=TILE)
    processor = hf.InstructBlipVideoProcessor(film, tokenizer, queries, num_query_tokens=4)
    processor.chat_template = chat_template("")
    config = hf.InstructBlipVideoConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=VISION,
        qformer_config={**QUERIES, "vocab_size": len(queries)},
        num_query_tokens=4,
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        **WIDE,
    )
    return save(folder, hf.InstructBlipVideoForConditionalGeneration, config, processor)
