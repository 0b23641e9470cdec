import pytest
from check.subjects import subject
from checkpoints import loaded
from training import counting, grpo

from vrft_pl.check.section import TrainerSection
from vrft_pl.check.speed import num_steps
from vrft_pl.types import InputError


def test_section_counts_the_devices_of_all_nodes():
    section = TrainerSection.of({"accelerator": "cpu", "devices": 2, "num_nodes": 3, "strategy": "ddp"})
    assert (section.devices, section.gpu, section.available) == (6, False, True)


def test_strategy_that_lightning_does_not_know_is_refused():
    with pytest.raises(InputError, match="Expected `trainer.strategy` to be one of auto, .*, but got 'dpp'"):
        TrainerSection.of({"accelerator": "gpu", "strategy": "dpp"})


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ({}, 1000 * 4),
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
        ({"max_time": "00:01:00:00"}, None),
    ],
)
def test_steps_of_the_run_are_counted(config, steps, tmp_path):
    assert num_steps(subject(grpo(None, loaded("tiny")), tmp_path, counting(7, 2), **config)) == steps
