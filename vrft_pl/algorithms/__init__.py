"""The mathematics of GRPO: pure functions on tensors, and the advantages and losses that call them."""

from vrft_pl.algorithms.advantage import Advantage, GroupAdvantage, group_advantage
from vrft_pl.algorithms.cispo import CISPOLoss
from vrft_pl.algorithms.grpo import GRPOLoss
from vrft_pl.algorithms.gspo import GSPOLoss
from vrft_pl.algorithms.kl import token_kl
from vrft_pl.algorithms.loss import Loss, LossOutput
from vrft_pl.algorithms.sapo import SAPOLoss
from vrft_pl.algorithms.surrogate import SurrogateLoss, TokenLoss

__all__ = [
    "Advantage",
    "CISPOLoss",
    "GRPOLoss",
    "GSPOLoss",
    "GroupAdvantage",
    "Loss",
    "LossOutput",
    "SAPOLoss",
    "SurrogateLoss",
    "TokenLoss",
    "group_advantage",
    "token_kl",
]
