"""Sampling with servers of vLLM."""
