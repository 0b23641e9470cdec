"""Two processes that sample from one server are one process that does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from vllm_run import ENDS, grpo
from vllm_server import StubServer

TESTS = Path(__file__).parents[2]


@pytest.mark.nightly
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_the_first_rank_pushes_and_each_asks_for_its_own(qwen3_vl, tmp_path, strategy):
    with StubServer(str(qwen3_vl), max_pixels=1024) as server:
        server.policy.codec.end_token_ids = ENDS
        command = [sys.executable, str(TESTS / "vllm_run.py"), strategy, str(qwen3_vl), str(tmp_path), server.address]
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
        done = subprocess.run(command, timeout=600, capture_output=True, text=True, check=False, env=env)
        assert done.returncode == 0, done.stderr[-3000:]
        assert server.routes.count("update_weights") == 5
        alone = grpo(str(qwen3_vl), server.address).policy.state_dict()
    for name, weight in torch.load(tmp_path / "weights.pt").items():
        torch.testing.assert_close(weight, alone[name], atol=1e-5, rtol=1e-4)
