"""Procedural scenes of coloured shapes with exact ground truth: every family runs with no download."""

from vrft_pl.data.scenes.base import DOMAINS, HELD_OUT_PAIRS, Domain, Scenes
from vrft_pl.data.scenes.classification import ClassificationScenes
from vrft_pl.data.scenes.counting import CountingScenes
from vrft_pl.data.scenes.detection import DetectionScenes
from vrft_pl.data.scenes.grounding import GroundingScenes
from vrft_pl.data.scenes.picture import COLOURS, OUTLINES, SceneImage, Shape, draw_shape, overlaps
from vrft_pl.data.scenes.spatial import SpatialScenes
from vrft_pl.data.scenes.structure import FigureImage, StructureScenes

__all__ = [
    "COLOURS",
    "DOMAINS",
    "HELD_OUT_PAIRS",
    "OUTLINES",
    "ClassificationScenes",
    "CountingScenes",
    "DetectionScenes",
    "Domain",
    "FigureImage",
    "GroundingScenes",
    "SceneImage",
    "Scenes",
    "Shape",
    "SpatialScenes",
    "StructureScenes",
    "draw_shape",
    "overlaps",
]
