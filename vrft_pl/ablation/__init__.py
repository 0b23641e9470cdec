"""SFT against reinforcement, and any other arms, on the same rows and at a matched cost."""

from vrft_pl.ablation.arms import ARMS, Arm, ByDifficulty, RightCompletions, Selection, Stage
from vrft_pl.ablation.budget import processes
from vrft_pl.ablation.compose import put
from vrft_pl.ablation.config import Ablation
from vrft_pl.ablation.progress import shown
from vrft_pl.ablation.protocol import Commands
from vrft_pl.ablation.results import changed_keys, collect, print_results
from vrft_pl.ablation.rows import Probe, probe
from vrft_pl.ablation.runner import Cell, Runner
from vrft_pl.ablation.search import GridSearch, OptunaSearch, RandomSearch, Search, Trial
from vrft_pl.ablation.sections import ContrastSpec, Match, Recipe, SearchOptions, Section, Suite
from vrft_pl.ablation.slurm import array_script
from vrft_pl.ablation.store import Busy, Store

__all__ = [
    "ARMS",
    "Ablation",
    "Arm",
    "Busy",
    "ByDifficulty",
    "Cell",
    "Commands",
    "ContrastSpec",
    "GridSearch",
    "Match",
    "OptunaSearch",
    "Probe",
    "RandomSearch",
    "Recipe",
    "RightCompletions",
    "Runner",
    "Search",
    "SearchOptions",
    "Section",
    "Selection",
    "Stage",
    "Store",
    "Suite",
    "Trial",
    "array_script",
    "changed_keys",
    "collect",
    "print_results",
    "probe",
    "processes",
    "put",
    "shown",
]
