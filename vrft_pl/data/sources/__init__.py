"""Where rows come from."""

from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.coco import COCOSingles
from vrft_pl.data.sources.rows import ReasonJSON

__all__ = ["COCOSingles", "ReasonJSON", "Record", "Source"]
