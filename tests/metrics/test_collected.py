from __future__ import annotations

import copy
import pickle

import pytest
import torch
from builders import make_completions

from vrft_pl.answers import Box, Number
from vrft_pl.metrics import Collected
from vrft_pl.rewards.panel import check_names
from vrft_pl.types import Sample


class Written(Collected):
    """Mean of the numbers that were written."""

    solution_type = Number

    def values_of(self, completions, samples):
        return [float(text) for text in completions.texts]

    def summarize(self, rows):
        assert [row[:2] for row in rows] == sorted({row[:2] for row in rows})
        return {self.name: sum(row.value for row in rows) / len(rows), f"{self.name}/rows": float(len(rows))}


def sample(name, solution=Number(1.0)):  # noqa: B008  # frozen
    return Sample(name, (), "Question?", solution, style="answer")


def read(metric):
    return {name: value.item() for name, value in metric.values().items()}


def update(metric, **answers):
    texts, names = zip(*[(text, name) for name, texts in answers.items() for text in texts], strict=True)
    metric.update(make_completions(texts), [sample(name) for name in names])


def test_numbers_are_of_all_batches():
    metric = Written()
    update(metric, c=["6"])
    update(metric, b=["2"], a=["1"])
    assert read(metric) == {"Written": 3, "Written/rows": 3}
    assert {key: value.item() for key, value in metric.compute().items()} == read(metric)


def test_a_sample_that_comes_again_in_another_batch_counts_once():
    metric = Written()
    update(metric, a=["1"], b=["2"])
    update(metric, c=["6"], a=["1"])
    assert read(metric) == {"Written": 3, "Written/rows": 3}


def test_several_completions_of_a_sample_in_one_batch_count_each_and_once():
    metric = Written()
    update(metric, a=["1", "2"], b=["3", "4"])
    update(metric, a=["1", "2"])
    assert read(metric) == {"Written": 2.5, "Written/rows": 4}


def test_other_kinds_of_truth_are_left_out():
    metric = Written()
    samples = [sample("a"), sample("b", Box((0.0, 0.0, 1.0, 1.0))), sample("c")]
    metric.update(make_completions(["1", "not a number", "2"]), samples)
    assert read(metric) == {"Written": 1.5, "Written/rows": 2}


def test_nothing_is_logged_where_nothing_was_judged():
    metric = Written()
    assert metric.values() == {}
    metric.update(make_completions(["1"]), [sample("b", Box((0.0, 0.0, 1.0, 1.0)))])
    assert metric.values() == {}


def test_a_copy_and_a_reset_metric_share_no_rows():
    metric = Written()
    update(metric, a=["1"])
    twin, stored = copy.deepcopy(metric), pickle.dumps(metric)
    metric.reset()
    assert (metric.values(), read(twin)["Written"], read(pickle.loads(stored))["Written"]) == ({}, 1, 1)
    update(metric, b=["3"])
    update(twin, b=["3"])
    assert (read(metric)["Written"], read(twin)["Written"]) == (3, 2)


def test_a_metric_with_rows_moves_to_a_device():
    metric = Written()
    update(metric, a=["1"])
    metric.to("meta")
    assert metric.values()["Written"].device.type == "meta"
    assert len(metric.rows) == 1


def test_rows_are_not_stored_with_the_weights():
    metric = Written()
    update(metric, a=["1"])
    assert metric.state_dict() == {}


def test_a_metric_survives_validation_before_training():
    metric = Written()
    with torch.inference_mode():
        update(metric, a=["1"])
    update(metric, b=["3"])
    assert read(metric)["Written"] == 2


def test_each_completion_needs_its_sample():
    with pytest.raises(ValueError, match="Expected one sample a completion, but got 1 for 2"):
        Written().update(make_completions(["1", "2"]), [sample("a")])


def test_metrics_are_named_like_rewards():
    check_names([Written(), Written(name="other")])
    with pytest.raises(ValueError, match="must be unique"):
        check_names([Written(), Written()])
