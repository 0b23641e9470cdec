"""``vrft_pl check``: the mistakes people make, found before training."""

from vrft_pl.check.findings import Finding, Level, Report
from vrft_pl.check.options import CheckOptions
from vrft_pl.check.run import check_run
from vrft_pl.check.section import TrainerSection

__all__ = ["CheckOptions", "Finding", "Level", "Report", "TrainerSection", "check_run"]
