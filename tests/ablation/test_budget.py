import pytest

from vrft_pl.ablation.budget import processes, seen_by_step, steps_of
from vrft_pl.types import InputError


def config(batch_size=16, trainer=None, **arguments):
    """As much of a config as a budget needs."""
    data = {"init_args": {"batch_size": batch_size}}
    return {"trainer": trainer or {}, "model": {"init_args": arguments}, "data": data}


def seen(steps, rows, of):
    """Samples after some steps, counted one by one."""
    by_step = seen_by_step(rows, of)
    per_step = [after - before for after, before in zip(by_step, [0, *by_step], strict=False)]
    return sum(per_step[i % len(per_step)] for i in range(steps))


@pytest.mark.parametrize("rows", [1, 6, 16, 17, 31, 50, 64, 250])
def test_small_sets_and_partial_batches_get_as_many_samples_as_whole_ones(rows):
    steps = steps_of(768, rows, config())
    assert abs(seen(steps, rows, config()) - 768) <= min(8, rows / 2)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [pytest.param(64, 48, id="whole"), pytest.param(17, 90, id="16+1"), pytest.param(6, 128, id="less-than-a-batch")],
)
def test_steps_by_hand(rows, expected):
    assert steps_of(768, rows, config()) == expected


@pytest.mark.parametrize(
    ("made", "rows", "expected"),
    [
        pytest.param(config(4, {"accumulate_grad_batches": 2}), 10, [8, 10], id="accumulated"),
        pytest.param(config(4, {"accumulate_grad_batches": 2}, num_iterations=2), 8, [8, 8], id="trained-on-twice"),
        pytest.param(config(4, window=3), 16, [12, 12, 12, 16], id="window"),
        pytest.param(config(5, {"devices": [0, 1], "num_nodes": 2}), 60, [20, 40, 60], id="ranks"),
        pytest.param(config(4, {"devices": "2"}), 16, [8, 16], id="devices-in-letters"),
    ],
)
def test_what_a_step_sees(made, rows, expected):
    assert seen_by_step(rows, made) == expected


def test_a_window_is_trained_on_as_often_as_it_is_meant_to_be():
    made = config(4, {}, num_iterations=3)
    assert steps_of(8, 40, made) == 6
    assert steps_of(1, 40, made) == 1


@pytest.mark.parametrize("devices", [-1, "-1", "auto", "all", None, 0, []])
def test_as_many_devices_as_there_are_is_refused(devices):
    with pytest.raises(InputError, match="Expected `trainer.devices` of an ablation to be a number"):
        processes({"devices": devices})
