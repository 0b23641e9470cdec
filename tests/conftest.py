import atexit
import gc
import os

import pytest
import torch
from checkpoints import MIXED, build_qwen2_5_vl, build_qwen2_vl, build_qwen3_vl
from families import (
    build_gemma3,
    build_idefics3,
    build_internvl,
    build_llava_onevision,
    build_llava_window,
    build_paligemma,
    build_smolvlm,
    number_words,
)


def pytest_sessionstart():
    gc.disable()  # until all has been imported


def pytest_collection_finish():
    """Leave what has been imported out of the search for garbage: it stays until the end, and is a million objects."""
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_power_cut():
    """Waiting for the disk takes 6 ms a time, 65 times a run; tests of what has to last put their own in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


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


@pytest.fixture(scope="session")
def llava_onevision(tmp_path_factory):
    return build_llava_onevision(tmp_path_factory.mktemp("checkpoints") / "llava_onevision")


@pytest.fixture(scope="session")
def llava_window(tmp_path_factory):
    return build_llava_window(tmp_path_factory.mktemp("checkpoints") / "llava_window")


@pytest.fixture(scope="session")
def smolvlm(tmp_path_factory):
    with number_words():
        yield build_smolvlm(tmp_path_factory.mktemp("checkpoints") / "smolvlm")


@pytest.fixture(scope="session")
def idefics3(tmp_path_factory):
    return build_idefics3(tmp_path_factory.mktemp("checkpoints") / "idefics3")


@pytest.fixture(scope="session")
def internvl(tmp_path_factory):
    return build_internvl(tmp_path_factory.mktemp("checkpoints") / "internvl")


@pytest.fixture(scope="session")
def gemma3(tmp_path_factory):
    return build_gemma3(tmp_path_factory.mktemp("checkpoints") / "gemma3")


@pytest.fixture(scope="session")
def paligemma(tmp_path_factory):
    return build_paligemma(tmp_path_factory.mktemp("checkpoints") / "paligemma")
