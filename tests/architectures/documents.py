"""Tiny random checkpoints that read pages and are no chat: most are an encoder and a decoder.

Their processors take no chat template, so that it is set beside them.
"""

import transformers as hf
from families import TILE, chat_template, extend_tokenizer, save, text_config
from tokenizers import Regex, normalizers

from .peculiar import ENCODER

DECODER = {"d_model": 32, "decoder_layers": 2, "decoder_ffn_dim": 48, "decoder_attention_heads": 4, "init_std": 0.15}
DECODER |= {"encoder_layers": 2, "encoder_attention_heads": 4, "max_position_embeddings": 512, "dropout": 0.0}
STARTS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 0}


def save_pair(folder, model_class, config, processor):
    """As other checkpoints, with the token that a decoder starts from."""
    save(folder, model_class, config, processor)
    generation = hf.GenerationConfig.from_pretrained(folder)
    generation.decoder_start_token_id = 0
    generation.save_pretrained(folder)
    return str(folder)


def build_fuyu(folder):
    """Has no tower, one picture, and a processor that puts it before the text and calls it by an older name."""
    tokenizer = extend_tokenizer(
        more=[hf.AddedToken(name, normalized=True) for name in ("|SPEAKER|", "|NEWLINE|", "<s>", "<0x04>")]
    )
    config = hf.FuyuConfig(
        text_config={"model_type": "persimmon", **text_config(tokenizer)},
        patch_size=8,
        image_token_id=tokenizer.convert_tokens_to_ids("|SPEAKER|"),
        initializer_range=0.15,
    )
    # the processor drops what a sentence-piece tokenizer puts before everything
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace(Regex(r"^(?=\|SPEAKER\|.)"), " ")
    images = hf.FuyuImageProcessor(size={"height": 96, "width": 96}, patch_size={"height": 8, "width": 8})
    processor = hf.FuyuProcessor(images, tokenizer)
    processor.chat_template = chat_template("")
    return save(folder, hf.FuyuForCausalLM, config, processor)


def build_pix2struct(folder):
    """The question is drawn into the picture, or begins the answer; the decoder reads an encoder."""
    tokenizer = extend_tokenizer()
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    vision = {"hidden_size": 32, "patch_embed_hidden_size": 48, "d_kv": 8, "d_ff": 48, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 4, "seq_len": 256}
    config = hf.Pix2StructConfig(
        text_config={**text, "dropout_rate": 0.0},
        vision_config=vision,
        initializer_range=0.15,
    )
    images = hf.Pix2StructImageProcessor(patch_size={"height": 4, "width": 4})
    processor = hf.Pix2StructProcessor(images, tokenizer)
    processor.chat_template = chat_template("")
    return save_pair(folder, hf.Pix2StructForConditionalGeneration, config, processor)


def build_pp_formulanet(folder):
    """Writes the formula of a picture and is asked nothing."""
    tokenizer = extend_tokenizer()
    tower = {"hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 48}
    tower |= {"image_size": 64, "patch_size": 4, "window_size": 4, "global_attn_indexes": [1]}
    tower |= {"post_conv_in_channels": 16, "post_conv_mid_channels": 16, "post_conv_out_channels": 32}
    config = hf.PPFormulaNetConfig(
        text_config={**DECODER, **STARTS, "vocab_size": len(tokenizer), "forced_eos_token_id": None},
        vision_config={**tower, "decoder_hidden_size": 32, "initializer_range": 0.15},
    )
    images = hf.PPFormulaNetImageProcessor(size={"height": 64, "width": 64})
    processor = hf.PPFormulaNetProcessor(images, tokenizer)
    processor.chat_template = chat_template("")
    return save_pair(folder, hf.PPFormulaNetForConditionalGeneration, config, processor)


def build_vision_encoder_decoder(folder):
    """Any tower before any decoder, here Donut's: the text begins the answer."""
    tokenizer = extend_tokenizer()
    decoder = {"vocab_size": len(tokenizer), "is_decoder": True, "add_cross_attention": True, **DECODER, **STARTS}
    config = hf.VisionEncoderDecoderConfig(
        encoder={"model_type": "vit", **ENCODER, "image_size": 16, "patch_size": 4},
        decoder={"model_type": "mbart", **decoder},
        **STARTS,
    )
    processor = hf.DonutProcessor(hf.DonutImageProcessor(size=TILE), tokenizer)
    processor.chat_template = chat_template("")
    return save_pair(folder, hf.VisionEncoderDecoderModel, config, processor)


NOT_BUILT = {
    "evolla": "reads proteins: its processor takes sequences of amino acids and folds, and no picture",
    "udop": "reads words with boxes, which another program has to find in the picture first",
    "pi0": "moves a robot: it returns actions by flow matching, and no logits of tokens",
}
"""By key of transformers' map: why there is no checkpoint of it."""
