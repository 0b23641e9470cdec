"""The table of `vrft_pl/distributed/README.md`: each strategy on two processes is compared with one process.

``python -m pytest -m "nightly or not nightly" tests/distributed/test_table.py`` fills it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sharding import COLUMNS, STEPS

TESTS = Path(__file__).parents[1]
MOST = {"ddp": 1e-5, "fsdp2": 1e-5, "zero1": 1e-4, "zero2": 1e-4, "zero3": 1e-4, "zero3_offload": 1e-4}
"""Relative difference of the weights after the last step, by strategy."""
BY_DEFAULT = {("fsdp2", "GRPO with KL")}
"""What every run of the tests tries; the rest takes minutes."""
CELLS = [
    pytest.param(row, column, marks=() if (row, column) in BY_DEFAULT else pytest.mark.nightly)
    for row in MOST
    for column in COLUMNS
]


def on_two_processes(*args):
    command = [sys.executable, str(TESTS / "sharded_run.py"), *map(str, args)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    done = subprocess.run(command, timeout=600, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr[-3000:]


def distance(one, other):
    """Norm of the difference over the norm."""
    assert one.keys() == other.keys()
    flat, difference = (
        torch.cat([value.double().flatten() for value in values])
        for values in (other.values(), [one[name].double() - other[name].double() for name in other])
    )
    return float(difference.norm() / flat.norm())


@pytest.mark.parametrize(("strategy", "column"), CELLS)
def test_two_processes_are_one(qwen3_vl, tmp_path, strategy, column):
    """After five steps with text alone on a rank now and then, dead groups, and completions of any length."""
    on_two_processes(strategy, column, qwen3_vl, tmp_path)
    weights = torch.load(tmp_path / "weights.pt")
    expected = COLUMNS[column](str(qwen3_vl), tmp_path).policy.state_dict()
    assert distance(weights, expected) <= MOST[strategy], f"after {STEPS} steps"
