"""Pages, tables and figures of runs and ablations, from what `vrft_pl.runs` reads alone."""

from vrft_pl.report.report import Report, read_report

__all__ = ["Report", "read_report"]
