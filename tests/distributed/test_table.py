"""The table of `vrft_pl/distributed/README.md`: each strategy on two processes is compared with one process.

The columns of a row are run one after the other by one pair of processes. The figures go into the table by
`tools/strategy_table.py`.
"""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import torch
from forking import forked
from sharding import COLUMNS, STEPS

TESTS = Path(__file__).parents[1]
MOST = {"ddp": 1e-5, "fsdp2": 1e-5, "zero1": 1e-4, "zero2": 1e-4, "zero3": 1e-4, "zero3_offload": 1e-4}
"""Relative difference of the weights after the last step, by strategy."""


def start(*args, launcher=()):
    command = [sys.executable, *launcher, str(TESTS / "sharded_run.py"), *map(str, args)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)


def end(run):
    try:
        return run.communicate(timeout=1800)[1][-3000:]
    finally:
        run.kill()


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
    run = forked(TESTS / "sharded_run.py", strategy, qwen3_vl, tmp_path, *columns, ranks=2, timeout=1800)
    apart = {}
    for column in (column for column in columns if (tmp_path / f"{column}.pt").exists()):
        expected = on_one_process(column, qwen3_vl, alone)
        apart[column] = distance(torch.load(tmp_path / f"{column}.pt"), expected)
        record_property(column, f"{apart[column]:.1e}")
    assert run.returncode == 0, run.stderr[-3000:]
    assert {column: value for column, value in apart.items() if value > MOST[strategy]} == {}, f"after {STEPS} steps"


@pytest.mark.nightly
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_nodes_of_two_are_one_process(qwen3_vl, alone, tmp_path, strategy):
    """Two agents of torchrun on the loopback, of two processes each."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    column, torchrun = "GRPO with KL", ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "2"]
    torchrun += ["--master-addr", "127.0.0.1", "--master-port", str(port), "--node-rank"]
    nodes = [start(strategy, qwen3_vl, tmp_path, column, launcher=[*torchrun, str(node)]) for node in range(2)]
    with ThreadPoolExecutor() as pool:  # one whose output nobody reads would wait
        said = list(pool.map(end, nodes))
    assert [node.returncode for node in nodes] == [0, 0], said
    assert distance(torch.load(tmp_path / f"{column}.pt"), on_one_process(column, qwen3_vl, alone)) <= MOST[strategy]
