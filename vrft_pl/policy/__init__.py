"""The policy: a vision-language model, its processor, and how it writes coordinates."""

from vrft_pl.policy.logprobs import TokenLogprobs
from vrft_pl.policy.parts import LoRA
from vrft_pl.policy.vlm import VLM

__all__ = ["LoRA", "VLM", "TokenLogprobs"]
