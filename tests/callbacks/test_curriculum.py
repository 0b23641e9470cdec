from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import lengths_mask, make_experience, make_sample
from training import Share, counting, fit, grpo, run

from vrft_pl.callbacks import Curriculum, DynamicSampling
from vrft_pl.data import Mixture
from vrft_pl.data.samples import TrainingRows
from vrft_pl.distributed import DataShare
from vrft_pl.rewards import Format
from vrft_pl.types import InputError

G = 4


def groups(rates, judged=None):
    """A group of each row, of whose completions a share is right."""
    scores = torch.tensor([[float(i < rate * G) for i in range(G)] for rate in rates.values()]).flatten()
    experience = make_experience(lengths_mask([1] * len(scores)), torch.zeros(len(scores)), G)
    codes = torch.tensor([0 if judged is None or row in judged else -1 for row in rates for _ in range(G)])
    samples = tuple(make_sample(row=row) for row in rates)
    values = {"samples": samples, "scores": {"Share": scores}, "parse_failures": {"Share": codes}}
    return replace(experience, **values)


class Module:
    seed = 0

    def __init__(self, *rewards):
        self.rewards, self.noted = rewards or (Share(),), {}

    def more(self, count, key):
        raise AssertionError

    def note(self, numbers):
        self.noted = numbers


def curriculum(size=8, module=None, **kwargs):
    callback, data = Curriculum(**kwargs), counting(size=size)
    trainer = SimpleNamespace(datamodule=data, callbacks=[callback])
    callback.setup(trainer, module or Module(), "fit")
    data.order(data.datasets("train")["train"], DataShare(1, 0))
    return callback


def told(callback, **windows):
    module = Module()
    for rates in windows.values():
        callback.on_rollout_end(None, module, groups(rates))
    return module.noted


def test_rows_in_the_band_and_those_never_drawn_come_most_often():
    callback = curriculum(low=0.25, high=0.75, outside=0.2)
    noted = told(callback, first={0: 0.0, 1: 0.25, 2: 0.75, 3: 1.0})
    assert callback.weights().tolist() == [0.2, 1, 1, 0.2, 1, 1, 1, 1]
    assert noted == {"train/in_band": 0.5, "train/measured_rows": 0.5}


def test_a_rate_moves_towards_the_newest():
    callback = curriculum(memory=0.75)
    told(callback, first={5: 1.0}, second={5: 0.0})
    assert callback.rates[5] == pytest.approx(0.75)


def test_rates_are_those_of_all_ranks_whatever_their_order(monkeypatch):
    monkeypatch.setattr("vrft_pl.callbacks.curriculum.gather", lambda own: [[(3, 1.0)], own])
    callback = curriculum()
    told(callback, first={1: 0.5})
    assert callback.rates[[1, 3]].tolist() == [0.5, 1.0]


def test_what_is_right_and_by_which_reward_can_be_said():
    callback = curriculum(module=Module(Format(), Share()), right=0.5)
    assert callback.success.names == ["Share"]
    assert curriculum(module=Module(Format(), Share()), reward="Format").success.names == ["Format"]
    callback.on_rollout_end(None, Module(), groups({2: 0.5, 4: 0.5}, judged=[4]))
    assert np.flatnonzero(~np.isnan(callback.rates)).tolist() == [4]


def test_rows_of_a_mixture_are_told_apart():
    data = Mixture({"a": counting(size=3), "b": counting(size=3)}, batch_size=2)
    callback = Curriculum()
    callback.setup(SimpleNamespace(datamodule=data, callbacks=[callback]), Module(), "fit")
    rows = TrainingRows(data.datasets("train").values())
    data.order(rows, DataShare(1, 0))
    experience = groups({0: 1.0, 1: 0.5})
    callback.on_rollout_end(None, Module(), replace(experience, samples=(rows[1], rows[4])))
    assert np.flatnonzero(~np.isnan(callback.rates)).tolist() == [1, 4]


def test_training_reads_what_the_rates_ask_for(qwen3_vl):
    callback = Curriculum(low=0.0, high=0.0, outside=1e-9, right=2.0)  # nothing is ever right: all rows stay in
    fit(grpo(qwen3_vl), counting(size=6), callbacks=[callback], max_epochs=2)
    assert len(callback.rows.drawn) == 6
    assert not np.isnan(callback.rates).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"low": 0.9}, "Expected 0 <= `low` <= `high` <= 1, but got 0.9 and 0.8.", id="band"),
        pytest.param({"outside": 0.0}, "`outside` to be above 0 and at most 1, but got 0.0.", id="outside"),
        pytest.param({"memory": 1.0}, "`memory` to be from 0 to below 1, but got 1.0.", id="memory"),
    ],
)
def test_arguments_out_of_their_range_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Curriculum(**kwargs)


def test_what_cannot_be_measured_is_refused(qwen3_vl):
    with pytest.raises(ValueError, match="Expected `right` to be a finite score, but got nan"):
        Curriculum(right=float("nan"))
    with pytest.raises(InputError, match="a module with rollouts for Curriculum, but got SFTModule"):
        Curriculum().setup(None, run("sft", qwen3_vl), "fit")
    with pytest.raises(InputError, match=r"`reward` of Curriculum to be one of \['Share'\], but got 'Shar'."):
        curriculum(reward="Shar")
    with pytest.raises(InputError, match="Expected a row that is trained on, but got row 7, which was read elsewhere"):
        curriculum().measure(replace(groups({0: 1.0}), samples=(make_sample(),)))
    callback = Curriculum()
    trainer = SimpleNamespace(datamodule=counting(), callbacks=[DynamicSampling(), callback])
    with pytest.raises(InputError, match="Expected Curriculum before DynamicSampling"):
        callback.setup(trainer, Module(), "fit")
    with pytest.raises(InputError, match="the data of a task for Curriculum, but got NoneType"):
        callback.setup(SimpleNamespace(callbacks=[callback]), Module(), "fit")


def test_a_checkpoint_of_other_rows_is_refused():
    callback, other = curriculum(size=8), Curriculum()
    other.load_state_dict(callback.state_dict())
    data = counting(size=6)
    other.setup(SimpleNamespace(datamodule=data, callbacks=[other]), Module(), "fit")
    with pytest.raises(InputError, match="Expected the 8 rows of the checkpoint, but got 6."):
        data.order(data.datasets("train")["train"], DataShare(1, 0))
