"""Lightning's trainer as a run needs it, and what a run does."""

from lightning.pytorch import seed_everything

from vrft_pl.runs import RunFolder
from vrft_pl.trainer.python import Trainer
from vrft_pl.trainer.run import Summary

__all__ = ["RunFolder", "Summary", "Trainer", "seed_everything"]
