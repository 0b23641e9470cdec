"""Writing completions and turning them into experience."""

from vrft_pl.rollout.collector import Collector
from vrft_pl.rollout.hooks import Hooks, RolloutCallback
from vrft_pl.rollout.loader import RolloutLoader
from vrft_pl.rollout.local import LocalSampler
from vrft_pl.rollout.sampler import Sampler, SamplingParams
from vrft_pl.rollout.vllm import VLLMSampler
from vrft_pl.rollout.writing import Writer

__all__ = [
    "Collector",
    "Hooks",
    "LocalSampler",
    "RolloutCallback",
    "RolloutLoader",
    "Sampler",
    "SamplingParams",
    "VLLMSampler",
    "Writer",
]
