import pytest
from check.subjects import subject
from checkpoints import loaded
from training import counting, grpo

from vrft_pl.check.plan import Plan
from vrft_pl.check.speed import num_steps


def test_plan_counts_the_devices_of_all_nodes():
    plan = Plan.of({"accelerator": "cpu", "devices": 2, "num_nodes": 3, "strategy": "ddp"})
    assert (plan.devices, plan.gpu, plan.available) == (6, False, True)


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({}, (-1, 1000)),
        ({"max_steps": 5}, (5, -1)),
        ({"max_epochs": 2}, (-1, 2)),
        ({"max_steps": 5, "max_epochs": 2}, (5, 2)),
        ({"max_steps": -1, "max_epochs": -1}, (-1, -1)),
    ],
)
def test_length_is_that_of_lightning(config, length):
    plan = Plan.of(config)
    assert (plan.max_steps, plan.max_epochs) == length


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ({"max_steps": 5}, 5),
        ({"max_epochs": 3}, 3 * 4),  # 7 rows, 2 a batch
        ({"max_epochs": 3, "accumulate_grad_batches": 3}, 3 * 2),
        ({"max_epochs": 3, "devices": 2}, 3 * 2),
        ({"max_steps": 5, "max_epochs": 3}, 5),
        ({"max_epochs": 3, "limit_train_batches": 3}, 3 * 3),
        ({"max_epochs": 3, "limit_train_batches": 3, "accumulate_grad_batches": 2}, 3 * 2),
        ({"max_epochs": 3, "limit_train_batches": 100}, 3 * 4),
        ({"max_epochs": 3, "limit_train_batches": 3.0}, 3 * 3),
        ({"max_epochs": 3, "limit_train_batches": 1}, 3),
        ({"max_epochs": 3, "limit_train_batches": 1.0}, 3 * 4),
        ({"max_epochs": 3, "limit_train_batches": 0.7}, 3 * 2),
        ({"max_epochs": 3, "limit_train_batches": 0}, 0),
        ({"max_steps": -1, "max_epochs": -1}, None),
    ],
)
def test_steps_of_the_run_are_counted(config, steps, tmp_path):
    assert num_steps(subject(grpo(None, loaded("tiny")), tmp_path, counting(7, 2), **config)) == steps
