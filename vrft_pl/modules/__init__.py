"""LightningModules: supervised fine-tuning and GRPO."""

from vrft_pl.modules.base import PolicyModule
from vrft_pl.modules.grpo import GRPOModule
from vrft_pl.modules.schedule import WarmupDecay
from vrft_pl.modules.sft import SFTModule

__all__ = ["GRPOModule", "PolicyModule", "SFTModule", "WarmupDecay"]
