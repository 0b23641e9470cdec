"""A real vLLM, in an environment of its own that `VRFT_PL_VLLM_PYTHON` names; `stub` tests have the rest."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.probes import OTHERS, PICTURED
from vrft_pl.rollout import LocalSampler, SamplingParams, VLLMSampler
from vrft_pl.rollout.vllm.client import Refused, Server

PYTHON = os.environ.get("VRFT_PL_VLLM_PYTHON")
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(PYTHON is None, reason="needs a vLLM: VRFT_PL_VLLM_PYTHON names the interpreter beside it"),
]
SEEDS = (5, 6, 7, 8)


class Served:
    """`vrft_pl serve` in a process of its own, which is waited for."""

    def __init__(self, folder, *args):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.token = folder / "token"
        self.token.write_text("secret")
        self.command = [
            *(sys.executable, "-m", "vrft_pl", "serve", "--checkpoint", "tiny", "--port", str(self.port)),
            *("--python", PYTHON, "--dtype", "float32", "--max_model_len", "512", "--token_file", str(self.token)),
            *args,
        ]
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        root = str(Path(__file__).parents[3])
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
        )
        assert f"{self.address} answers" in self.process.stdout.readline()

    def end(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        self.process.wait(timeout=60)

    def sampler(self, **kwargs):
        return VLLMSampler([self.address], str(self.token), patience=120.0, **kwargs)


@pytest.fixture(scope="module", params=[(), ("--lora_rank", "8")], ids=["weights", "adapters"])
def server(request, tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("served"), *request.param)
    served.lora = bool(request.param)
    yield served
    served.end()


def disturbed(policy, scale=0.02):
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter += scale * torch.randn_like(parameter)


def test_after_every_push_it_writes_what_the_policy_would(server):
    """Weights, or an adapter: probes pass, log-probs and greedy tokens are the policy's, seeds decide."""
    policy = VLM(lora=LoRA(rank=8) if server.lora else None).load()
    ours, prompts = server.sampler(probes=4), policy.encode(PICTURED + OTHERS)
    written = set()
    for step in range(4):
        ours.update(policy, step)
        made = ours.generate(policy, prompts, 4, SamplingParams(16, 0.9, top_p=0.95), SEEDS)
        again = ours.generate(policy, prompts.select([3, 2, 1, 0]), 4, SamplingParams(16, 0.9, top_p=0.95), SEEDS[::-1])
        assert again.texts[12:] == made.texts[:4]
        made = ours.generate(policy, prompts, 4, SamplingParams(16), SEEDS)
        with torch.no_grad():
            own = policy.logprobs(prompts, made).logprobs
        torch.testing.assert_close(made.logprobs, own * made.mask, atol=1e-3, rtol=0)
        greedy = SamplingParams(16, temperature=0.0)
        texts = ours.generate(policy, prompts, 1, greedy, SEEDS).texts
        assert texts == LocalSampler().generate(policy, prompts, 1, greedy, SEEDS).texts
        written.add(texts)
        disturbed(policy, 0.1 if server.lora else 0.02)
    assert len(written) > 1  # else old weights would have passed
    ours.close()


def test_nobody_pushes_weights_without_the_token(server):
    with pytest.raises(Refused, match="401"):
        Server(server.address).start_weight_update()


def test_a_killed_server_that_is_started_anew_goes_on_where_it_was(server):
    policy = VLM(lora=LoRA(rank=8) if server.lora else None).load()
    disturbed(policy)
    ours, prompts = server.sampler(), policy.encode(PICTURED)
    ours.update(policy, 0)
    made = ours.generate(policy, prompts, 4, SamplingParams(16), SEEDS[:2])
    server.end()
    server.start()
    again = ours.generate(policy, prompts, 4, SamplingParams(16), SEEDS[:2])
    assert again.texts == made.texts
    torch.testing.assert_close(again.logprobs, made.logprobs, atol=1e-4, rtol=0)
    ours.close()
