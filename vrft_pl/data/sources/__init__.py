"""Where rows come from."""

from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.coco import COCODetection, COCOSingles
from vrft_pl.data.sources.folders import ImageFolder, LabelCSV
from vrft_pl.data.sources.lisa import LISA
from vrft_pl.data.sources.lvis import LVISDetection
from vrft_pl.data.sources.parquet import ParquetRows
from vrft_pl.data.sources.pictures import Pictures
from vrft_pl.data.sources.rows import ReasonJSON
from vrft_pl.data.sources.sharegpt import ShareGPT
from vrft_pl.data.sources.videos import VideoJSON
from vrft_pl.data.sources.visual_rft import VisualRFTDataset
from vrft_pl.data.sources.voc import VOCDetection

__all__ = [
    "LISA",
    "COCODetection",
    "COCOSingles",
    "ImageFolder",
    "LVISDetection",
    "LabelCSV",
    "ParquetRows",
    "Pictures",
    "ReasonJSON",
    "Record",
    "ShareGPT",
    "Source",
    "VOCDetection",
    "VideoJSON",
    "VisualRFTDataset",
]
