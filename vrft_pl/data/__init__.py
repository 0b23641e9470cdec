"""Task families, the sources of their rows, and what is asked of the policy."""

from vrft_pl.data.base import VisionTask
from vrft_pl.data.counting import Counting
from vrft_pl.data.detection import Detection
from vrft_pl.data.grounding import Grounding
from vrft_pl.data.mixture import Mixture
from vrft_pl.data.scenes import CountingScenes, GroundingScenes
from vrft_pl.data.sources import (
    COCODetection,
    COCOSingles,
    LVISDetection,
    ReasonJSON,
    Record,
    Source,
    VOCDetection,
)

__all__ = [
    "COCODetection",
    "COCOSingles",
    "Counting",
    "CountingScenes",
    "Detection",
    "Grounding",
    "GroundingScenes",
    "LVISDetection",
    "Mixture",
    "ReasonJSON",
    "Record",
    "Source",
    "VOCDetection",
    "VisionTask",
]
