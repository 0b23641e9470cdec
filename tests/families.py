"""Tiny random checkpoints of families beside Qwen, from transformers' own configs and processors."""

from contextlib import contextmanager
from unittest.mock import patch

import torch
from checkpoints import CHAT_TEMPLATE, END_OF_TURN, EOS, HALT, HEADS, PAD, SIZES, SPECIAL, build_tokenizer
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessor,
    Gemma3Processor,
    GenerationConfig,
    GotOcr2ImageProcessor,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessor,
    Idefics3Processor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    SiglipImageProcessor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)
from transformers.models.smolvlm import processing_smolvlm

from vrft_pl.types import Completions

TILE = {"height": 16, "width": 16}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION |= {"image_size": 16, "patch_size": 4, "initializer_range": 0.15}
ENDS = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1}
ZEROS = (
    "mm_input_projection_weight",  # Gemma 3 starts blind, and T5Gemma without an end of pictures
    "eoi_embedding",
    "high_res_vision_alpha",  # DeepSeek starts without its second tower
    "rel_pos_h",  # as SAM starts without positions
    "rel_pos_w",
    "sam_encoder.pos_embed",
    "vision_encoder.pos_embed",
    "vision_tower.pos_embed",
    "ple.conv1d.weight",  # a layer of n-grams of Qwen 4 that looks no further back
    "gate",  # Mllama starts with closed eyes
    "correct_output_scale",  # the streams of Gemma 3n are not told of each other
    "model.encoder.pos_embed",
    "embeddings.position_embeddings",  # nor does InternVL's tower know places
    "embeddings.cls_token",
    "_input.query",  # Inkling 2 begins with a mean of its blocks
    "sconv.static_weight",  # and with convolutions that do nothing
    "position_embedding_table",  # all places of a picture of Gemma 4 are the same
    "query_tokens",  # the queries of BLIP-2 are all the same
    "softmax_scaling.scale",  # attention of Mistral Large 4 is no sharper far into a text
)
SPLITS = ["<end_of_utterance>", "<fake_token_around_image>", "<global-img>"]
SPLITS += [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]


@contextmanager
def number_words():
    """SmolVLM's processor wants a package that it needs for video only, and that we do not install."""
    with patch.object(processing_smolvlm, "num2words", processing_smolvlm.num2words or str):
        yield


def extend_tokenizer(named=None, more=(), **kwargs):
    """The tokenizer of all tiny checkpoints, with the tokens and names that a processor asks for."""
    named = named or {}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer().backend_tokenizer,
        eos_token=EOS,
        pad_token=PAD,
        extra_special_tokens=SPECIAL[2:],
        model_specific_special_tokens=named,
        model_max_length=2048,
        **kwargs,
    )
    tokenizer.add_special_tokens({"extra_special_tokens": [*SPECIAL[2:], *named.values(), *more]})
    return tokenizer


def chat_template(picture, end=END_OF_TURN):
    return CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", picture).replace(END_OF_TURN, end)


def save(folder, model_class, config, processor):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_class(config).float()
        for name, parameter in model.named_parameters():
            if name.endswith(ZEROS):
                torch.nn.init.normal_(parameter, std=0.15)
    start = getattr(model.generation_config, "decoder_start_token_id", None)
    ends = {"eos_token_id": [SPECIAL.index(HALT), 0], "pad_token_id": 0}
    model.generation_config = GenerationConfig(**ends, decoder_start_token_id=start)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def text_config(tokenizer, **more):
    return {**SIZES, **HEADS, **ENDS, "vocab_size": len(tokenizer), "tie_word_embeddings": False, **more}


def build_llava_onevision(folder, **text):
    """Pictures are cut by their shape, with a token at the end of each line; several pictures are not cut at all."""
    tokenizer = extend_tokenizer({"image_token": "<image>", "video_token": "<video>"})
    grids = [[16, 16], [16, 32], [32, 16], [32, 32]]
    config = LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **text_config(tokenizer), **text},
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION, "patch_size": 8},
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=grids,
    )
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size=TILE, image_grid_pinpoints=grids),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size=TILE),
        num_image_tokens=4,
        vision_feature_select_strategy="full",
        chat_template=chat_template("<image>"),
    )
    return save(folder, LlavaOnevisionForConditionalGeneration, config, processor)


def build_llava_window(folder):
    """Mistral's window is in its config without a word of it in `layer_types`."""
    return build_llava_onevision(folder, model_type="mistral", sliding_window=80)


def build_smolvlm(folder):
    """Pictures are split into tiles, and tiles padded to the most that a prompt of the batch has."""
    tokenizer = extend_tokenizer({"image_token": "<image>", "video_token": "<video>"}, SPLITS)
    config = SmolVLMConfig(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
        pad_token_id=0,
    )
    sizes = {"size": {"longest_edge": 32}, "max_image_size": {"longest_edge": 16}}
    sampling = {"max_frames": 2, "fps": 1, "video_size": {"longest_edge": 16}}
    with number_words():
        processor = SmolVLMProcessor(
            image_processor=SmolVLMImageProcessor(**sizes),
            tokenizer=tokenizer,
            video_processor=SmolVLMVideoProcessor(video_sampling=sampling, **sizes),
            image_seq_len=4,
            chat_template=chat_template("<image>", SPLITS[0]),
        )
    return save(folder, SmolVLMForConditionalGeneration, config, processor)


def build_idefics3(folder):
    """SmolVLM before it had film."""
    tokenizer = extend_tokenizer({"image_token": "<image>"}, SPLITS)
    config = Idefics3Config(
        text_config={"model_type": "llama", **text_config(tokenizer)},
        vision_config=VISION,
        image_token_id=tokenizer.image_token_id,
        scale_factor=2,
        pad_token_id=0,
    )
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(size={"longest_edge": 32}, max_image_size={"longest_edge": 16}),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=chat_template("<image>", SPLITS[0]),
    )
    return save(folder, Idefics3ForConditionalGeneration, config, processor)


def build_internvl(folder):
    """Tiles of all pictures stand in one tensor, that of a batch says nothing of prompts."""
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokenizer = extend_tokenizer(names | {"video_token": "<video>"})
    config = InternVLConfig(
        text_config={"model_type": "qwen2", **text_config(tokenizer)},
        vision_config={**VISION, "layer_scale_init_value": 1.0},
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=TILE, crop_to_patches=True, max_patches=4),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=TILE),
        image_seq_length=4,
        chat_template=chat_template("<IMG_CONTEXT>"),
    )
    return save(folder, InternVLForConditionalGeneration, config, processor)


def build_gemma3(folder):
    """Tokens of a picture see each other in both directions; all layers but some see a window only."""
    names = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = extend_tokenizer(names)
    layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 16}
    sizes = {"head_dim": 8, "query_pre_attn_scalar": 8}
    config = Gemma3Config(
        text_config=text_config(tokenizer, **layers, **sizes),
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION},
        mm_tokens_per_image=4,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        initializer_range=0.15,
        tie_word_embeddings=False,
    )
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size=TILE),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=chat_template("<start_of_image>"),
    )
    return save(folder, Gemma3ForConditionalGeneration, config, processor)


def build_paligemma(folder):
    """All of the prompt sees all of the prompt, and every prompt has a picture."""
    tokenizer = extend_tokenizer({"image_token": "<image>"}, bos_token="<|im_start|>")
    images = SiglipImageProcessor(size=TILE)
    images.image_seq_length = 4
    processor = PaliGemmaProcessor(image_processor=images, tokenizer=tokenizer, chat_template=chat_template("<image>"))
    config = PaliGemmaConfig(
        text_config={"model_type": "gemma", "head_dim": 8, **text_config(tokenizer)},
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **VISION, "patch_size": 8},
        image_token_index=tokenizer.image_token_id,
        vocab_size=len(tokenizer),
        projection_dim=32,
        hidden_size=32,
        tie_word_embeddings=False,
    )
    return save(folder, PaliGemmaForConditionalGeneration, config, processor)


def write(policy, rows):
    """Completions of given tokens, right-padded."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[policy.pad_token_id] * (width - len(row))] for row in rows])
    mask = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
    texts, reasons, frames = (tuple(value for _ in rows) for value in ("", "length", None))
    return Completions(ids, mask, None, texts, reasons, frames)


def noise_rows(lengths, seed=0):
    """Random bytes."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randint(len(SPECIAL), len(SPECIAL) + 256, (n,), generator=g).tolist() for n in lengths]


def gradients(policy, loss):
    policy.zero_grad()
    loss.backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in policy.named_parameters()}


def distance(got, expected):
    """Norm of the largest difference of one parameter's gradient, as a part of the norm of the whole gradient."""
    whole = torch.cat([g.flatten() for g in expected.values()]).norm()
    assert whole > 0.1
    return max((got[name] - expected[name]).norm() / whole for name in expected)
