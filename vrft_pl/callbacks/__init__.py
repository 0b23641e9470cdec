"""Callbacks around rollouts, records, exports and progress."""

from vrft_pl.callbacks.blind import BlindAccuracy
from vrft_pl.callbacks.checkpoint import StepCheckpoint
from vrft_pl.callbacks.completions import CompletionRecorder
from vrft_pl.callbacks.cost import CostMeter
from vrft_pl.callbacks.curriculum import Curriculum
from vrft_pl.callbacks.dynamic import DynamicSampling
from vrft_pl.callbacks.export import HFExport
from vrft_pl.callbacks.finite import NonFiniteGuard
from vrft_pl.callbacks.hacking import RewardHackingAlarm
from vrft_pl.callbacks.noisy import NoisyRollout
from vrft_pl.callbacks.owed import OwedValidation
from vrft_pl.callbacks.predictions import PredictionWriter
from vrft_pl.callbacks.profile import StepProfile
from vrft_pl.callbacks.progress import RewardProgressBar
from vrft_pl.callbacks.progress_lines import ProgressLines
from vrft_pl.callbacks.reference import ReferenceUpdate
from vrft_pl.callbacks.replay import Replay
from vrft_pl.callbacks.spikes import SpikeFlag
from vrft_pl.callbacks.stop import StopOnSignal
from vrft_pl.callbacks.subset import ValSubset
from vrft_pl.callbacks.watchdog import RankWatchdog
from vrft_pl.rollout import RolloutCallback

__all__ = [
    "BlindAccuracy",
    "CompletionRecorder",
    "CostMeter",
    "Curriculum",
    "DynamicSampling",
    "HFExport",
    "NoisyRollout",
    "NonFiniteGuard",
    "OwedValidation",
    "PredictionWriter",
    "ProgressLines",
    "RankWatchdog",
    "ReferenceUpdate",
    "Replay",
    "RewardHackingAlarm",
    "RewardProgressBar",
    "RolloutCallback",
    "SpikeFlag",
    "StepCheckpoint",
    "StepProfile",
    "StopOnSignal",
    "ValSubset",
]
