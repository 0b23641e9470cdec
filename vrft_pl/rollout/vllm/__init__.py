"""Sampling with servers of vLLM."""

from vrft_pl.rollout.vllm.sampler import VLLMSampler

__all__ = ["VLLMSampler"]
