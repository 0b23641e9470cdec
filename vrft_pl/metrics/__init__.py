"""What held-out answers are judged by where the mean of a reward is not enough."""

from vrft_pl.metrics.accuracy import Accuracy
from vrft_pl.metrics.collected import Collected
from vrft_pl.metrics.constant import Constants, constant_scores, judge_constants
from vrft_pl.metrics.detection import COCOAveragePrecision
from vrft_pl.metrics.grounding import GroundingIoU, MaskIoU, Segmenter
from vrft_pl.metrics.interval import wilson_interval
from vrft_pl.metrics.lvis import LVISAveragePrecision

__all__ = [
    "Accuracy",
    "COCOAveragePrecision",
    "Collected",
    "Constants",
    "GroundingIoU",
    "LVISAveragePrecision",
    "MaskIoU",
    "Segmenter",
    "constant_scores",
    "judge_constants",
    "wilson_interval",
]
