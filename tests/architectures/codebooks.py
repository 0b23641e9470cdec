"""Tiny random checkpoints that turn a picture into words of their vocabulary: no gradient gets past the codebook."""

import transformers as hf
from families import chat_template, extend_tokenizer, save, text_config

ENCODER = {"base_channels": 32, "num_res_blocks": 1, "initializer_range": 0.15}


def build_chameleon(folder):
    """Forbids itself to write words of pictures; its processor ends each prompt by a separator."""
    digits = str.maketrans("0123456789", "ABCDEFGHIJ")
    codes = [f"IMGIMG{str(i).translate(digits)}Z" for i in range(16)]
    names = {"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>"}
    tokenizer = extend_tokenizer(names, codes, sep_token="<|im_start|>")
    vq = {"num_embeddings": 16, "embed_dim": 8, "latent_channels": 8, "resolution": 16}
    config = hf.ChameleonConfig(
        **text_config(tokenizer),
        vq_config={**ENCODER, **vq, "channel_multiplier": [1, 1, 1]},
        vocabulary_map=tokenizer.get_vocab(),
    )
    images = hf.ChameleonImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = hf.ChameleonProcessor(images, tokenizer, image_seq_length=16)
    processor.chat_template = chat_template("<image>")
    return save(folder, hf.ChameleonForConditionalGeneration, config, processor)


def build_emu3(folder):
    """Pictures are padded to the largest beside them, which changes their words; attention has dropout."""
    names = {"image_token": "<image>", "boi_token": "<|image start|>", "eoi_token": "<|image end|>"}
    names |= {"image_wrapper_token": "<|image token|>", "eof_token": "<|extra_201|>"}
    codes = [f"<|visual token {i:06d}|>" for i in range(16)]
    tokenizer = extend_tokenizer(names, ["<|extra_200|>", *codes], bos_token="<|im_start|>")
    vq = {"codebook_size": 16, "channel_multiplier": [1, 1, 1, 1], "hidden_size": 32, "attn_resolutions": []}
    config = hf.Emu3Config(
        text_config=text_config(tokenizer, bos_token_id=tokenizer.bos_token_id),
        vq_config={**ENCODER, **vq, "temporal_downsample_factor": 2},
        vocabulary_map=tokenizer.get_vocab(),
    )
    images = hf.Emu3ImageProcessor(min_pixels=16 * 16, max_pixels=32 * 32)
    processor = hf.Emu3Processor(images, tokenizer, chat_template=chat_template("<image>"))
    return save(folder, hf.Emu3ForConditionalGeneration, config, processor)
