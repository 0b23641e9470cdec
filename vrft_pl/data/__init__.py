"""Task families, the sources of their rows, and what is asked of the policy."""

from vrft_pl.data.base import VisionTask
from vrft_pl.data.classification import Classification
from vrft_pl.data.counting import Counting
from vrft_pl.data.detection import Detection
from vrft_pl.data.difficulty import DifficultyBand
from vrft_pl.data.fingerprint import fingerprint
from vrft_pl.data.grounding import Grounding
from vrft_pl.data.listed import Listed
from vrft_pl.data.loading import SampleData
from vrft_pl.data.mixture import Mixture
from vrft_pl.data.open_ended import OpenEnded
from vrft_pl.data.pointing import Pointing
from vrft_pl.data.scenes import (
    ClassificationScenes,
    CountingScenes,
    DetectionScenes,
    GroundingScenes,
    SpatialScenes,
    StructureScenes,
)
from vrft_pl.data.sources import (
    LISA,
    COCODetection,
    COCOSingles,
    ImageFolder,
    LabelCSV,
    LVISDetection,
    ParquetRows,
    Pictures,
    ReasonJSON,
    Record,
    ShareGPT,
    Source,
    VideoJSON,
    VisualRFTDataset,
    VOCDetection,
)
from vrft_pl.data.spatial import Spatial
from vrft_pl.data.structure import Structure
from vrft_pl.data.subsets import FewShot, First, Fraction

__all__ = [
    "LISA",
    "ClassificationScenes",
    "COCODetection",
    "COCOSingles",
    "Classification",
    "Counting",
    "CountingScenes",
    "Detection",
    "DetectionScenes",
    "FewShot",
    "First",
    "DifficultyBand",
    "Fraction",
    "Grounding",
    "GroundingScenes",
    "ImageFolder",
    "LVISDetection",
    "LabelCSV",
    "Listed",
    "Mixture",
    "OpenEnded",
    "ParquetRows",
    "Pictures",
    "Pointing",
    "ReasonJSON",
    "Record",
    "SampleData",
    "ShareGPT",
    "Source",
    "Spatial",
    "SpatialScenes",
    "Structure",
    "StructureScenes",
    "VOCDetection",
    "VideoJSON",
    "VisionTask",
    "VisualRFTDataset",
    "fingerprint",
]
