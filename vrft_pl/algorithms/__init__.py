"""The mathematics of GRPO: pure functions on tensors, and the loss that calls them."""

from vrft_pl.algorithms.advantage import group_advantage
from vrft_pl.algorithms.kl import token_kl
from vrft_pl.algorithms.loss import GRPOLoss, LossOutput

__all__ = ["GRPOLoss", "LossOutput", "group_advantage", "token_kl"]
