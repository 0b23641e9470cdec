"""LightningModules: supervised fine-tuning and GRPO."""

from vrft_pl.modules.base import PolicyModule
from vrft_pl.modules.grpo import GRPOModule
from vrft_pl.modules.perception import PerceptionTerm
from vrft_pl.modules.schedule import WarmupDecay
from vrft_pl.modules.sft import SFTModule
from vrft_pl.modules.terms import Term

__all__ = ["GRPOModule", "PerceptionTerm", "PolicyModule", "SFTModule", "Term", "WarmupDecay"]
