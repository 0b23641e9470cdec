"""Writing completions and turning them into experience."""

from vrft_pl.rollout.loader import RolloutLoader
from vrft_pl.rollout.local import LocalSampler
from vrft_pl.rollout.sampler import Sampler, SamplingParams

__all__ = ["LocalSampler", "RolloutLoader", "Sampler", "SamplingParams"]
