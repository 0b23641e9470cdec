import pytest
import torch
from checkpoints import MIXED, build_qwen2_5_vl, build_qwen2_vl, build_qwen3_vl


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def qwen2_vl(tmp_path_factory):
    return build_qwen2_vl(tmp_path_factory.mktemp("checkpoints") / "qwen2_vl")


@pytest.fixture(scope="session")
def qwen2_5_vl(tmp_path_factory):
    return build_qwen2_5_vl(tmp_path_factory.mktemp("checkpoints") / "qwen2_5_vl")


@pytest.fixture(scope="session")
def qwen3_vl(tmp_path_factory):
    return build_qwen3_vl(tmp_path_factory.mktemp("checkpoints") / "qwen3_vl")


@pytest.fixture(params=["qwen2_vl", "qwen3_vl"])
def checkpoint(request):
    """Both families, one after the other."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def samples():
    """Pictures of different sizes, prompts of different lengths; one picture, two and none."""
    return list(MIXED)


@pytest.fixture
def no_argv(monkeypatch):
    """LightningCLI reads pytest's own arguments otherwise."""
    monkeypatch.setattr("sys.argv", ["vrft_pl"])
