"""Florence, GIT and Kosmos, whose processors drop their chat template and take one picture a text."""

import transformers as hf
from families import TILE, VISION, chat_template, extend_tokenizer, save


def build_florence2(folder):
    """An encoder reads picture and question, a decoder of BART answers; a tower of windows and of channels."""
    tokenizer = extend_tokenizer({"image_token": "<image>"}, bos_token="<|im_start|>")
    half = {"layers": 2, "attention_heads": 2, "ffn_dim": 48}
    bart = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in half.items()}
    bart |= {"d_model": 32, "init_std": 0.15, "dropout": 0.0, "max_position_embeddings": 2048, "bos_token_id": 6}
    bart |= {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 1, "forced_eos_token_id": None}
    stages = {"depths": [1] * 4, "embed_dim": [16, 16, 32, 32], "num_heads": [2] * 4, "num_groups": [2] * 4}
    config = hf.Florence2Config(
        text_config={"model_type": "bart", **bart, "vocab_size": len(tokenizer)},
        vision_config={
            **stages,
            "window_size": 4,
            "projection_dim": 32,
            "drop_path_rate": 0.0,
            "initializer_range": 0.15,
        },
        image_token_id=tokenizer.image_token_id,
        initializer_range=0.15,
    )
    images = hf.CLIPImageProcessor(size={"height": 64, "width": 64}, do_center_crop=False)
    images.image_seq_length = 5
    processor = hf.Florence2Processor(images, tokenizer)
    processor.chat_template = chat_template("")
    return save(folder, hf.Florence2ForConditionalGeneration, config, processor)


def build_git(folder):
    """Features of a picture go before the text without a token of their own; logits are of both."""
    tokenizer = extend_tokenizer(bos_token="<|im_start|>")
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.15}
    text |= {"pad_token_id": 0, "bos_token_id": 6, "eos_token_id": 1, "vocab_size": len(tokenizer)}
    config = hf.GitConfig(vision_config=VISION, max_position_embeddings=2048, **text)
    processor = hf.GitProcessor(hf.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=TILE), tokenizer)
    processor.chat_template = chat_template("")
    return save(folder, hf.GitForCausalLM, config, processor)


def build_kosmos_2(folder):
    """Tokens of a picture are those that follow the unknown one; a mask says where they stand."""
    tokenizer = extend_tokenizer(bos_token="<|im_start|>", unk_token="<|halt|>")
    images = hf.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=TILE)
    processor = hf.Kosmos2Processor(images, tokenizer, num_patch_index_tokens=4)
    processor.chat_template = chat_template("")
    config = hf.Kosmos2Config(
        text_config=kosmos(tokenizer), vision_config=VISION, latent_query_num=64, initializer_range=0.15
    )
    return save(folder, hf.Kosmos2ForConditionalGeneration, config, processor)


def kosmos(tokenizer):
    """The language model of both."""
    text = {"embed_dim": 32, "layers": 2, "attention_heads": 2, "ffn_dim": 48, "init_std": 0.15, "dropout": 0.0}
    text |= {"attention_dropout": 0.0, "pad_token_id": 0, "bos_token_id": 6, "eos_token_id": 1}
    return {**text, "vocab_size": len(tokenizer), "max_position_embeddings": 2048, "initializer_range": 0.15}


def build_kosmos_2_5(folder):
    """Pages of any shape as at most 4096 patches, a number that its processor does not save."""
    names = {"image_token": "<s>", "boi_token": "<image>", "eoi_token": "</image>"}
    tokenizer = extend_tokenizer(names, bos_token="<|im_start|>")
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"head_dim": 16, "patch_embed_hidden_size": 48, "max_num_patches": 4096, "initializer_range": 0.15}
    config = hf.Kosmos2_5Config(
        text_config=kosmos(tokenizer), vision_config=vision, latent_query_num=4, initializer_range=0.15
    )
    images = hf.Kosmos2_5ImageProcessor(patch_size={"height": 4, "width": 4})
    processor = hf.Kosmos2_5Processor(images, tokenizer, num_image_tokens=4)
    processor.chat_template = chat_template("")
    return save(folder, hf.Kosmos2_5ForConditionalGeneration, config, processor)
