"""The table of `vrft_pl/distributed/README.md`: each strategy on two processes is compared with one process.

The columns of a row are run one after the other by one pair of processes. The figures go into the table by
`tools/strategy_table.py`.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from sharding import COLUMNS, STEPS

TESTS = Path(__file__).parents[1]
MOST = {"ddp": 1e-5, "fsdp2": 1e-5, "zero1": 1e-4, "zero2": 1e-4, "zero3": 1e-4, "zero3_offload": 1e-4}
"""Relative difference of the weights after the last step, by strategy."""


def on_two_processes(*args):
    command = [sys.executable, str(TESTS / "sharded_run.py"), *map(str, args)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    return subprocess.run(command, timeout=1800, capture_output=True, text=True, check=False, env=env)


@cache
def on_one_process(column, checkpoint, folder):
    return COLUMNS[column](str(checkpoint), folder / column)


def distance(one, other):
    """Norm of the difference over the norm."""
    assert {name: value.shape for name, value in one.items()} == {name: value.shape for name, value in other.items()}
    flat, difference = (
        torch.cat([value.double().flatten() for value in values])
        for values in (other.values(), [one[name].double() - other[name].double() for name in other])
    )
    return float(difference.norm() / flat.norm())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return tmp_path_factory.mktemp("alone")


@pytest.mark.parametrize(
    ("strategy", "columns"),
    [
        pytest.param("fsdp2", ["GRPO with KL"], id="fsdp2-one"),
        *(pytest.param(strategy, list(COLUMNS), id=strategy, marks=pytest.mark.nightly) for strategy in MOST),
    ],
)
def test_two_processes_are_one(qwen3_vl, alone, tmp_path, record_property, strategy, columns):
    """After five steps with text alone on a rank now and then, dead groups, and completions of any length."""
    done = on_two_processes(strategy, qwen3_vl, tmp_path, *columns)
    apart = {}
    for column in (column for column in columns if (tmp_path / f"{column}.pt").exists()):
        expected = on_one_process(column, qwen3_vl, alone)
        apart[column] = distance(torch.load(tmp_path / f"{column}.pt"), expected)
        record_property(column, f"{apart[column]:.1e}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert {column: value for column, value in apart.items() if value > MOST[strategy]} == {}, f"after {STEPS} steps"
