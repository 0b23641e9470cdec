"""``vrft_pl check``: the mistakes people make, found before training."""

from vrft_pl.check.findings import Finding, Level, Report
from vrft_pl.check.options import CheckOptions
from vrft_pl.check.plan import Plan
from vrft_pl.check.run import CheckTrainer, check_run

__all__ = ["CheckOptions", "CheckTrainer", "Finding", "Level", "Plan", "Report", "check_run"]
