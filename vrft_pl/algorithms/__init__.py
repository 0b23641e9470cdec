"""The mathematics of GRPO: pure functions on tensors, and the advantages and losses that call them."""

from vrft_pl.algorithms.advantage import Advantage, GroupAdvantage, group_advantage
from vrft_pl.algorithms.kl import token_kl
from vrft_pl.algorithms.loss import GRPOLoss, Loss, LossOutput

__all__ = ["Advantage", "GRPOLoss", "GroupAdvantage", "Loss", "LossOutput", "group_advantage", "token_kl"]
