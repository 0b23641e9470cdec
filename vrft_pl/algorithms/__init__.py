"""The mathematics of GRPO: pure functions on tensors, and the advantages and losses that call them."""

from vrft_pl.algorithms.advantage import Advantage, GroupAdvantage, group_advantage
from vrft_pl.algorithms.batch import BatchAdvantage
from vrft_pl.algorithms.cispo import CISPOLoss
from vrft_pl.algorithms.gdpo import GDPOAdvantage
from vrft_pl.algorithms.grpo import GRPOLoss
from vrft_pl.algorithms.gspo import GSPOLoss
from vrft_pl.algorithms.kl import token_kl
from vrft_pl.algorithms.loss import Loss, LossOutput
from vrft_pl.algorithms.maxrl import MaxRLAdvantage
from vrft_pl.algorithms.penalty import KLPenalty
from vrft_pl.algorithms.sapo import SAPOLoss
from vrft_pl.algorithms.surrogate import SurrogateLoss, TokenLoss, aggregated

__all__ = [
    "Advantage",
    "BatchAdvantage",
    "CISPOLoss",
    "GDPOAdvantage",
    "GRPOLoss",
    "GSPOLoss",
    "GroupAdvantage",
    "KLPenalty",
    "Loss",
    "LossOutput",
    "MaxRLAdvantage",
    "SAPOLoss",
    "SurrogateLoss",
    "TokenLoss",
    "aggregated",
    "group_advantage",
    "token_kl",
]
