"""What needs no vLLM to be loaded; `test_real.py` has the rest."""

import asyncio
import importlib.util

import pytest

from vrft_pl.rollout.vllm.flags import INSIDE, environment, server_flags


def guard(monkeypatch, token):
    monkeypatch.setenv("VLLM_API_KEY", token)
    spec = importlib.util.spec_from_file_location("vrft_pl_guard", INSIDE / "vrft_pl_guard.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Guard


def status(guarded, path, *headers, kind="http"):
    """Status of the answer to one request: 200 where it reaches the server."""
    sent = []

    async def server(scope, receive, send):
        await send({"status": 200})

    async def send(message):
        sent.append(message)

    asyncio.run(guarded(server)({"type": kind, "path": path, "headers": list(headers)}, None, send))
    return sent[0].get("status", sent[0].get("code"))


def test_no_route_but_health_is_open(monkeypatch):
    guarded = guard(monkeypatch, "secret")
    right, wrong = ((b"authorization", f"Bearer {token}".encode()) for token in ("secret", "secreT"))
    for path in ("/update_weights", "/inference/v1/generate", "/collective_rpc", "/healthy", "/"):
        assert status(guarded, path) == 401
        assert status(guarded, path, wrong) == 401
        assert status(guarded, path, right) == 200
    assert status(guarded, "/health") == 200
    assert status(guarded, "/v1/realtime", kind="websocket") == 1008
    assert status(guarded, "", kind="lifespan") == 200


def test_a_guard_without_a_token_would_be_none(monkeypatch):
    with pytest.raises(RuntimeError, match="a token in `VLLM_API_KEY`"):
        guard(monkeypatch, "")(None)


def test_flags_open_the_routes_and_show_no_token():
    flags = server_flags("folder", "10.0.0.7", 8000, guarded=True)
    assert flags[flags.index("--middleware") + 1] == "vrft_pl_guard.Guard"
    assert flags[flags.index("--logprobs-mode") + 1] == "processed_logprobs"
    assert flags[flags.index("--weight-transfer-config") + 1] == '{"backend": "vrft_pl_files"}'
    assert not {"--enforce-eager", "--enable-lora", "--enable-sleep-mode", "--max-model-len"} & set(flags)
    more = server_flags("folder", "::1", 1, "float32", 99, "nccl", lora_rank=8, sleeps=True, on_cpu=True)
    assert {
        "--enforce-eager",
        "--no-enable-chunked-prefill",
        "--enable-lora",
        "--enable-sleep-mode",
        "--max-model-len",
        "99",
    } <= set(more)
    assert "--middleware" not in more


def test_the_environment_holds_the_token_and_the_modules():
    made = environment({"PYTHONPATH": "own", "PATH": "p"}, "secret", on_cpu=True, device=3)
    assert made["PYTHONPATH"].split(":") == [str(INSIDE), "own"]
    assert (made["VLLM_API_KEY"], made["CUDA_VISIBLE_DEVICES"], made["PATH"]) == ("secret", "3", "p")
    assert made["VLLM_SERVER_DEV_MODE"] == "1"
    assert not {"VLLM_API_KEY", "CUDA_VISIBLE_DEVICES", "VLLM_CPU_KVCACHE_SPACE"} & set(environment({}, None, False))
    assert environment({"VLLM_CPU_KVCACHE_SPACE": "4"}, None, True)["VLLM_CPU_KVCACHE_SPACE"] == "4"
