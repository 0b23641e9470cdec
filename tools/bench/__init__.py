"""The parts of `tools/bench_grpo.py`: what is measured, by whom, and against which floor."""
