"""The policy: a vision-language model, its processor, and how it writes coordinates."""

from vrft_pl.policy.codec import Codec
from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.parts import LoRA
from vrft_pl.policy.vlm import VLM

__all__ = ["Codec", "LoRA", "VLM", "TokenLogprobs"]
