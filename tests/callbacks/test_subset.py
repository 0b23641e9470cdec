import pytest
import torch
from checkpoints import loaded
from evaluation import SHORT, evaluate, scenes
from lightning.pytorch.callbacks import ModelCheckpoint
from training import Share, counting, fit, grpo, sgd, weights

from vrft_pl.callbacks import CostMeter, PredictionWriter, ValSubset
from vrft_pl.metrics import Accuracy
from vrft_pl.modules import SFTModule
from vrft_pl.rewards import NumberMatch
from vrft_pl.runs import CutBack, MetricsLogger, RunFolder

PARTS = {"few": scenes(2), "many": scenes(9, "snow")}


def reinforced(checkpoint):
    return grpo(checkpoint, metrics=[Share(), NumberMatch()], eval_params=SHORT)


def imitating(checkpoint):
    return SFTModule(loaded(checkpoint, max_pixels=1024), metrics=[Share()], eval_params=SHORT, optimizer=sgd)


def train(module, folder, *callbacks, size=8, ckpt_path=None, data=None, **kwargs):
    """Train for as many steps as there are pairs of rows; the run's folder and its data."""
    task = data or counting(size=size, val=PARTS, eval_batch_size=4)
    settings = {"callbacks": [PredictionWriter(), *callbacks, CutBack()], "logger": MetricsLogger(folder)}
    fit(module, task, ckpt_path, **{"val_check_interval": 1000, "check_val_every_n_epoch": None, **settings, **kwargs})
    return RunFolder(folder), task


def subset_rows(folder):
    return [row for row in folder.metrics() if "time/val_subset" in row]


def numbers(row):
    """What a row says, but for seconds."""
    return {name: value for name, value in row.items() if not name.startswith("time/")}


@pytest.mark.parametrize("module", [reinforced, imitating])
def test_the_same_few_samples_are_evaluated_before_and_while_training(qwen3_vl, tmp_path, module):
    folder, task = train(module(qwen3_vl), tmp_path, ValSubset(times=2, num_samples=6))
    assert [row["step"] for row in subset_rows(folder)] == ["0", "1", "3"]
    records = list(folder.predictions())
    expected = [
        (part, task.datasets("val")[part][i].id) for part, size in (("few", 2), ("many", 3)) for i in range(size)
    ]
    for step in (0, 2, 4):
        found = [record for record in records if record.step == step]
        assert [(record.split, record.id) for record in found] == expected
        assert [record.row for record in found] == list(range(5))
        assert all(record.pictures and record.scores for record in found)
    assert {record.step for record in records} == {0, 2, 4}


def test_the_numbers_are_those_of_an_evaluation_of_these_samples_under_names_of_their_own(qwen3_vl, tmp_path):
    module = reinforced(qwen3_vl)
    folder, task = train(module, tmp_path, ValSubset(times=1, num_samples=100))
    whole = evaluate(module, task)
    last = subset_rows(folder)[-1]
    assert {name: float(last[name.replace("val/", "val_subset/")]) for name in whole} == pytest.approx(whole)
    assert not any(name.startswith("val/") for row in folder.metrics() for name in row)
    records = [record for record in folder.predictions() if record.step == 4 and record.split == "many"]
    unread = sum(record.parse_failures.get("NumberMatch") == "malformed" for record in records) / len(records)
    assert float(last.get("val_subset/many/parse_failures/NumberMatch/malformed", 0)) == pytest.approx(unread)
    assert float(last["val_subset/many/truncated"]) == sum(r.finish_reason == "length" for r in records) / len(records)
    assert 1 <= float(last["val_subset/many/completion_tokens"]) <= 6


@pytest.mark.parametrize("module", [reinforced, imitating])
def test_training_is_the_same_with_and_without_it(qwen3_vl, tmp_path, module):
    ends = []
    for name, callbacks in (("with", [ValSubset(times=9)]), ("without", [])):
        torch.manual_seed(0)
        one = module(qwen3_vl)
        folder, _ = train(one, tmp_path / name, *callbacks)
        ends.append((weights(one), [numbers(row) for row in folder.metrics() if "train/loss" in row]))
    assert ends[0][1] == ends[1][1]
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())


def test_what_it_writes_is_counted_as_evaluation(qwen3_vl, tmp_path):
    meter = CostMeter()
    train(reinforced(qwen3_vl), tmp_path, meter, ValSubset(times=2, num_samples=6), num_sanity_val_steps=0)
    assert (meter.training.completions, meter.evaluation.completions) == (8 * 4, 3 * 5)
    assert meter.evaluation.seconds > 0


def test_an_evaluation_of_the_whole_split_at_a_step_stays(qwen3_vl, tmp_path):
    module, task = grpo(qwen3_vl, metrics=[Share()], eval_params=SHORT), counting(size=8, val=PARTS)
    folder, _ = train(module, tmp_path, ValSubset(times=4, num_samples=4), data=task, val_check_interval=2)
    sizes = {step: sum(record.step == step for record in folder.predictions()) for step in range(5)}
    assert sizes == {0: 4, 1: 4, 2: 11, 3: 4, 4: 11}
    assert ["val/many/Share" in row for row in folder.metrics()].count(True) == 2


@pytest.mark.parametrize(
    ("callback", "options"),
    [(ValSubset(times=0), {}), (ValSubset(), {"limit_val_batches": 0})],
    ids=["switched-off", "nothing-to-validate-on"],
)
def test_nothing_is_evaluated_where_nothing_is_asked_for(qwen3_vl, tmp_path, callback, options):
    folder, _ = train(imitating(qwen3_vl), tmp_path, callback, **options)
    assert subset_rows(folder) == []
    assert list(folder.predictions()) == []


def test_no_more_samples_are_evaluated_than_the_run_validates_on(qwen3_vl, tmp_path):
    folder, _ = train(imitating(qwen3_vl), tmp_path, ValSubset(times=1, num_samples=100), limit_val_batches=1)
    assert sum(record.step == 0 for record in folder.predictions()) == 2 + 4


def test_samples_are_shared_out_among_parts_and_none_falls_to_the_last(qwen3_vl, tmp_path):
    folder, _ = train(imitating(qwen3_vl), tmp_path, ValSubset(times=1, num_samples=1))
    assert [(record.split, record.step) for record in folder.predictions()] == [("few", 0), ("few", 4)]


@pytest.mark.parametrize("module", [reinforced, imitating])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_evaluates_each_step_once(qwen3_vl, tmp_path, module, stop):
    def run(ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / "kept", "{step}", save_top_k=-1, every_n_train_steps=1)
        watch = ValSubset(times=2, num_samples=4)
        options = {"enable_checkpointing": True, "log_every_n_steps": 1, "ckpt_path": ckpt_path}
        folder, _ = train(module(qwen3_vl), tmp_path / "run", watch, keep, **options)
        return [numbers(row) for row in folder.metrics()], list(folder.predictions()), folder.kept_pictures()

    whole = run()
    assert run(str(tmp_path / f"kept/step={stop}.ckpt")) == whole


def test_what_another_run_left_at_the_first_step_is_replaced(qwen3_vl, tmp_path):
    RunFolder(tmp_path).append(RunFolder.PREDICTIONS, [])
    first, _ = train(imitating(qwen3_vl), tmp_path, ValSubset(times=1, num_samples=4))
    before = [record for record in first.predictions() if record.step == 0]
    torch.manual_seed(1)
    task = counting(size=8, val={"other": scenes(3)})
    second, _ = train(imitating(qwen3_vl), tmp_path, ValSubset(times=1, num_samples=4), data=task)
    assert len(before) == 4
    assert {record.split for record in second.predictions()} == {"other"}


def test_a_metric_that_judges_nothing_of_a_part_says_nothing_of_it(qwen3_vl, tmp_path):
    module = grpo(qwen3_vl, metrics=[Share(), Accuracy(NumberMatch())], eval_params=SHORT)
    folder, _ = train(module, tmp_path, ValSubset(times=1, num_samples=4))
    assert {"val_subset/few/Share", "val_subset/few/Accuracy"} <= subset_rows(folder)[0].keys()


@pytest.mark.parametrize("kwargs", [{"times": -1}, {"num_samples": 0}], ids=str)
def test_numbers_out_of_their_range_are_refused(kwargs):
    with pytest.raises(ValueError, match="`times` to be 0 or more and `num_samples` to be at least 1, but got"):
        ValSubset(**kwargs)
