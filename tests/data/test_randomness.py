import random

import numpy as np
import pytest
import torch

from vrft_pl.data.randomness import random_state, set_random_state


def draws():
    numbers = [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]
    return numbers + ([torch.rand((), device="cuda").item()] if torch.cuda.is_available() else [])


def test_every_global_generator_goes_on_where_it_was():
    draws()  # of two normal numbers made together, the second is kept for later
    state = random_state()
    expected = draws()
    draws()
    set_random_state(state)
    assert draws() == expected


def test_a_state_survives_a_checkpoint_that_holds_plain_values_only(tmp_path):
    torch.save(random_state(), tmp_path / "state.pt")
    expected = draws()
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draws() == expected


def test_devices_that_this_machine_lacks_are_left_out(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    state = random_state()
    expected = draws()
    set_random_state({**state, "cuda": [torch.zeros(16, dtype=torch.uint8)]})
    assert draws() == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_generator_of_a_gpu_goes_on_where_it_was():
    state = random_state()
    expected = torch.rand(3, device="cuda").tolist()
    set_random_state(state)
    assert torch.rand(3, device="cuda").tolist() == expected
