import pytest
from lightning import Trainer
from training import counting, fit, grpo

from vrft_pl.trainer.plan import training_plan


def trainer(**kwargs):
    return Trainer(accelerator="cpu", devices=1, **{"logger": False, "enable_checkpointing": False, **kwargs})


@pytest.mark.parametrize(
    ("kwargs", "steps"),
    [
        pytest.param({"max_epochs": 3}, 6, id="two-steps-an-epoch"),
        pytest.param({"max_epochs": 3, "max_steps": 5}, 5, id="ends-within-an-epoch"),
        pytest.param({"max_epochs": 2, "max_steps": 5}, 4, id="ends-with-its-epochs"),
        pytest.param({"max_epochs": 3, "accumulate_grad_batches": 2}, 3, id="accumulates"),
        pytest.param({"max_epochs": 3, "limit_train_batches": 1}, 3, id="one-batch"),
        pytest.param({"max_epochs": -1, "max_steps": 7}, 7, id="any-number-of-epochs"),
        pytest.param({"max_epochs": -1}, None, id="without-end"),
    ],
)
def test_steps_are_counted_before_they_are_made(kwargs, steps):
    assert training_plan(counting(size=4), trainer(**kwargs))["number of steps"] == steps


def test_a_run_makes_the_steps_that_were_counted(qwen2_vl):
    kwargs = {"max_epochs": 2, "accumulate_grad_batches": 2}
    ended = fit(grpo(qwen2_vl, num_iterations=3), counting(size=3), **kwargs)
    assert training_plan(counting(size=3), ended, num_iterations=3)["number of steps"] == ended.global_step == 6


def test_the_order_of_rows_is_that_of_the_seed_whoever_asks(monkeypatch):
    orders = [training_plan(counting(size=8, seed=seed), trainer())["order of rows"] for seed in (0, 0, 1)]
    orders.append(training_plan(counting(size=9), trainer())["order of rows"])
    assert orders[0] == orders[1]
    assert len({*orders}) == 3
    monkeypatch.setattr(Trainer, "world_size", 2)  # each of which reads every second row of it
    assert training_plan(counting(size=8), trainer())["order of rows"] == orders[0]


def test_what_is_no_task_has_no_plan():
    assert training_plan(None, trainer()) == {}
