"""Verifiable rewards, each also a metric."""

from vrft_pl.rewards.answer import ChoiceMatch, GradedNumber, LabelMatch, NumberMatch
from vrft_pl.rewards.base import Grades, Judge, Reward
from vrft_pl.rewards.boxes import BoxAccuracy, BoxGIoU, BoxIoU
from vrft_pl.rewards.detection import DetectionConfidence, DetectionIoU
from vrft_pl.rewards.format import Format
from vrft_pl.rewards.function import FunctionReward
from vrft_pl.rewards.guarded import GuardedJudges, GuardedReward, OnRewardError
from vrft_pl.rewards.judge import JudgeReward
from vrft_pl.rewards.length import LengthPenalty, Overlong
from vrft_pl.rewards.marks import answered_marks
from vrft_pl.rewards.mathematics import MathMatch
from vrft_pl.rewards.paper import paper_rewards
from vrft_pl.rewards.parsing import Unread
from vrft_pl.rewards.points import PointCount, PointMatch
from vrft_pl.rewards.precision import DetectionAP, DetectionPrecision, DetectionRecall
from vrft_pl.rewards.reasoning import ReasoningSteps, Repetition
from vrft_pl.rewards.sam import SamSegmenter
from vrft_pl.rewards.segment import SegmentIoU
from vrft_pl.rewards.staged import Staged
from vrft_pl.rewards.transformation import TransformationExact, TransformationMatch
from vrft_pl.rewards.values import answered_value

__all__ = [
    "BoxAccuracy",
    "BoxGIoU",
    "BoxIoU",
    "ChoiceMatch",
    "DetectionAP",
    "DetectionConfidence",
    "DetectionIoU",
    "DetectionPrecision",
    "DetectionRecall",
    "Format",
    "FunctionReward",
    "GradedNumber",
    "Grades",
    "GuardedJudges",
    "GuardedReward",
    "Judge",
    "JudgeReward",
    "LabelMatch",
    "LengthPenalty",
    "MathMatch",
    "NumberMatch",
    "OnRewardError",
    "Overlong",
    "PointCount",
    "PointMatch",
    "ReasoningSteps",
    "Repetition",
    "Reward",
    "SamSegmenter",
    "SegmentIoU",
    "Staged",
    "TransformationExact",
    "TransformationMatch",
    "Unread",
    "answered_marks",
    "answered_value",
    "paper_rewards",
]
