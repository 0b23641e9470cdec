import csv
import shutil

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from training import counting, fit, grpo

from vrft_pl.runs import CutBack, MetricsLogger


def read(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def log(logger, *steps, **metrics):
    for step in steps:
        logger.log_metrics(metrics or {"loss": step / 10}, step)


def test_a_row_is_on_disk_when_it_is_logged(tmp_path):
    folder = tmp_path / "runs" / "first"
    logger = MetricsLogger(folder)
    logger.log_metrics({"loss": torch.tensor(0.5), "epoch": 0}, 0)
    assert read(folder) == [{"loss": "0.5", "epoch": "0", "step": "0"}]
    logger.log_metrics({"val/id": 0.25}, 0)
    logger.log_metrics({"loss": float("nan")}, 1)
    assert read(folder)[1:] == [{"val/id": "0.25", "step": "0"}, {"loss": "nan", "step": "1"}]


def test_a_resumed_run_goes_on_behind_the_rows_before_its_step(tmp_path):
    log(MetricsLogger(tmp_path), 0, 1, 2, 3, 4)
    resumed = MetricsLogger(tmp_path)
    resumed.cut_back(3)
    log(resumed, 3, 4, 5)
    assert [row["step"] for row in read(tmp_path)] == list("012345")
    assert [row["loss"] for row in read(tmp_path)] == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]


def test_the_evaluation_before_training_is_there_once(tmp_path):
    first, resumed = MetricsLogger(tmp_path), MetricsLogger(tmp_path)
    log(first, 0, **{"val/id": 0.25})
    log(first, 0, 1, 2)
    log(resumed, 0, **{"val/id": 0.25})
    resumed.cut_back(2)
    log(resumed, 2)
    assert [sorted(row) for row in read(tmp_path)] == [["step", "val/id"], *[["loss", "step"]] * 3]


def test_a_run_that_starts_anew_keeps_its_own_rows_alone(tmp_path):
    log(MetricsLogger(tmp_path), 0, 1, 2)
    anew = MetricsLogger(tmp_path)
    log(anew, 0, **{"val/id": 0.25})
    anew.cut_back(0)
    assert read(tmp_path) == [{"val/id": "0.25", "step": "0"}]


@pytest.mark.parametrize("tail", [b"0.3", b"0.3,", b'"0.', b"\xff\xfe"], ids=str)
def test_a_line_cut_in_two_is_dropped(tmp_path, tail):
    log(MetricsLogger(tmp_path), 0, 1)
    with (tmp_path / "metrics.csv").open("ab") as file:
        file.write(tail)
    log(MetricsLogger(tmp_path), 2)
    assert [row["step"] for row in read(tmp_path)] == list("012")


def test_two_evaluations_within_one_step_both_stay_on_resume(tmp_path):
    first, resumed = MetricsLogger(tmp_path), MetricsLogger(tmp_path)
    for score in (0.25, 0.5, 0.75):
        log(first, 0, **{"val/id": score})
    log(first, 0, 1)
    log(resumed, 0, **{"val/id": 0.25})
    resumed.cut_back(1)
    assert [row.get("val/id") for row in read(tmp_path)] == ["0.25", "0.5", "0.75", None]


def test_the_evaluation_of_a_process_killed_before_it_trained_is_dropped(tmp_path):
    log(MetricsLogger(tmp_path), 0, **{"val/id": 0.25})
    log(MetricsLogger(tmp_path), 0, 1, 2)
    for _ in range(2):
        resumed = MetricsLogger(tmp_path)
        log(resumed, 0, **{"val/id": 0.25})
    resumed.cut_back(3)
    assert [(row["step"], "val/id" in row) for row in read(tmp_path)] == [("0", True), *[(s, False) for s in "012"]]


def test_a_run_resumed_from_its_last_checkpoint_has_every_row_once(qwen3_vl, tmp_path):
    def run(ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / "kept", "{step}", every_n_train_steps=1)
        logger = MetricsLogger(tmp_path)
        log(logger, 0, **{"val/id": 0.25})
        settings = {"callbacks": [CutBack(), keep], "logger": logger, "enable_checkpointing": True, "max_steps": 1}
        fit(grpo(qwen3_vl), counting(size=4), ckpt_path, log_every_n_steps=1, **settings)
        return read(tmp_path)

    whole = run()
    assert [row["step"] for row in whole] == ["0", "0"]
    assert run(str(tmp_path / "kept/step=1.ckpt")) == whole


@pytest.mark.parametrize("place", ["kept", "../kept"], ids=["inside", "elsewhere"])
def test_the_row_of_a_step_that_was_saved_but_not_logged_comes_from_the_checkpoint(qwen3_vl, tmp_path, place):
    """Lightning writes the row after the checkpoint; a kill between the two left a run without it."""

    def run(ckpt_path=None, steps=2):
        keep = ModelCheckpoint(tmp_path / place, "{step}", every_n_train_steps=1, save_top_k=-1)
        settings = {"callbacks": [CutBack(), keep], "logger": MetricsLogger(tmp_path), "enable_checkpointing": True}
        fit(grpo(qwen3_vl), counting(size=4), ckpt_path, log_every_n_steps=1, max_steps=steps, **settings)
        return [{name: v for name, v in row.items() if not name.startswith("time/")} for row in read(tmp_path)]

    whole = run()
    text = (tmp_path / "metrics.csv").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.csv").write_text("".join(text[:-2]))
    assert len(read(tmp_path)) == len(whole) - 2
    assert run(str(tmp_path / place / "step=1.ckpt")) == whole


def test_a_row_that_was_not_due_is_not_made_on_resume(qwen3_vl, tmp_path):
    """With `log_every_n_steps` above 1 a checkpoint holds numbers that nobody logged."""

    def run(ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / "kept", "{step}", every_n_train_steps=1, save_top_k=-1)
        settings = {"callbacks": [CutBack(), keep], "logger": MetricsLogger(tmp_path), "enable_checkpointing": True}
        fit(grpo(qwen3_vl), counting(size=4), ckpt_path, log_every_n_steps=2, max_steps=2, **settings)
        return [row["step"] for row in read(tmp_path)]

    assert run() == ["1"]
    assert run(str(tmp_path / "kept/step=1.ckpt")) == ["1"]


def test_a_folder_that_is_deleted_in_the_middle_of_a_run_is_told_of_and_numbers_keep_their_names(tmp_path):
    logger = MetricsLogger(tmp_path / "run")
    logger.log_metrics({"train/reward": 0.25}, 0)
    shutil.rmtree(tmp_path / "run")
    with pytest.warns(UserWarning, match="is gone, and with it what was logged before step 1"):
        logger.log_metrics({"train/reward": 0.5}, 1)
    logger.log_metrics({"train/reward": 0.75}, 2)
    assert [(row["step"], row["train/reward"]) for row in read(logger.folder)] == [("1", "0.5"), ("2", "0.75")]


def test_a_validation_in_the_middle_of_a_step_is_not_taken_for_the_row_of_the_step(tmp_path):
    """Both have an epoch."""
    log(MetricsLogger(tmp_path), 0, **{"epoch": 0, "train/loss": 0.5})
    log(MetricsLogger(tmp_path), 1, **{"epoch": 0, "val/id": 0.25})
    MetricsLogger(tmp_path).cut_back(2, {"epoch": 0, "train/loss": 0.4})
    assert [row.get("train/loss") for row in read(tmp_path)] == ["0.5", None, "0.4"]


class Once(Callback):
    """Logs a number in the first and in the third step; Lightning repeats it in the rows until the epoch ends."""

    def on_train_batch_end(self, trainer, module, *args):
        if trainer.global_step in (1, 5):
            module.log("train/once", float(trainer.global_step), batch_size=1)


@pytest.mark.parametrize("step", [2, pytest.param(4, marks=pytest.mark.nightly)], ids=["within", "between-epochs"])
def test_a_number_that_is_not_logged_each_step_is_repeated_as_without_the_resume(qwen3_vl, tmp_path, step):
    def run(ckpt_path=None):
        keep = ModelCheckpoint(tmp_path / "kept", "{step}", every_n_train_steps=1, save_top_k=-1)
        logger = MetricsLogger(tmp_path)
        settings = {"callbacks": [CutBack(), Once(), keep], "logger": logger, "enable_checkpointing": True}
        fit(grpo(qwen3_vl), counting(size=8), ckpt_path, log_every_n_steps=1, max_epochs=2, max_steps=6, **settings)
        return [{name: v for name, v in row.items() if not name.startswith("time/")} for row in read(tmp_path)]

    whole = run()
    assert [row.get("train/once") for row in whole] == ["1.0"] * 4 + ["5.0"] * 2
    assert run(str(tmp_path / f"kept/step={step}.ckpt")) == whole
