"""What loggers show of records."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from lightning.pytorch.loggers import MLFlowLogger, TensorBoardLogger
from PIL import Image
from training import counting, fit, grpo

from vrft_pl.callbacks import CompletionRecorder
from vrft_pl.callbacks.console import print_records
from vrft_pl.callbacks.tables import show
from vrft_pl.runs import CompletionRecord, RunFolder, with_metrics
from vrft_pl.types import InputError

WRITTEN = "<answer>3</answer>\n|\x1b[2J"
RECORDS = [
    CompletionRecord(4, 0, i, "train", "row 7", "How many?", "3", WRITTEN, "stop", scores={"NumberMatch": 1.0 - i})
    for i in range(2)
]
DRAWN = [(RECORDS[0], Image.new("RGB", (3, 2), "lime")), (RECORDS[1], None)]


def test_tensorboard_gets_a_table_and_pictures():
    logger = SimpleNamespace(experiment=Mock())
    show.dispatch(TensorBoardLogger)(logger, "completions", DRAWN)
    (name, text, step), _ = logger.experiment.add_text.call_args
    assert (name, step) == ("completions", 4)
    assert text.splitlines()[2:] == [
        f'| row 7 | How many? | 3 | &lt;answer>3&lt;/answer> \\|\x1b[2J | {{"NumberMatch": {score}}} | None |'
        for score in (1.0, 0.0)
    ]
    ((name, image, step), options) = logger.experiment.add_image.call_args
    assert (name, image.shape, step, options) == ("completions/train/0", (2, 3, 3), 4, {"dataformats": "HWC"})


def test_mlflow_gets_the_records_and_pictures():
    logger = SimpleNamespace(experiment=Mock(), run_id="7")
    show.dispatch(MLFlowLogger)(logger, "completions", DRAWN)
    (run, rows, place), _ = logger.experiment.log_dict.call_args
    assert (run, place) == ("7", "completions/000004.json")
    assert [CompletionRecord.from_json(row) for row in rows] == RECORDS
    assert logger.experiment.log_image.call_args == (("7", DRAWN[0][1]), {"key": "completions/train/0", "step": 4})


def test_a_real_tensorboard_shows_what_was_recorded(qwen3_vl, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logger = with_metrics(tmp_path / "run", TensorBoardLogger(tmp_path, "tb", "0"))
    own = {"callbacks": [CompletionRecorder(every_n_rollouts=1)], "logger": logger, "log_every_n_steps": 1}
    fit(grpo(qwen3_vl), counting(size=2), **own)
    shown = events.EventAccumulator(str(tmp_path / "tb/0")).Reload()
    (record, *_) = RunFolder(tmp_path / "run").completions()
    assert shown.Tags()["tensors"] == ["completions/text_summary"]
    (image, *_) = shown.Images("completions/train/0")
    assert (image.width, image.height) == record.size
    assert {"train/loss", "train/reward", "train/reward/Share"} <= set(shown.Tags()["scalars"])


@pytest.mark.parametrize("place", ["file:./mlruns", "mlruns"])
def test_mlflow_with_files_is_refused_before_it_would_end_a_run(tmp_path, place):
    logger = Mock(spec=MLFlowLogger, _tracking_uri=place)
    with pytest.raises(InputError, match="Expected `tracking_uri` of MLFlowLogger to be a server or a database"):
        with_metrics(tmp_path, logger)
    with_metrics(tmp_path, Mock(spec=MLFlowLogger, _tracking_uri="sqlite:///mlflow.db"))


def test_the_console_shows_a_group_and_nothing_that_steers_it(capsys):
    print_records([*RECORDS, CompletionRecord(4, 0, 2, "train", "row 8", "[b]?", "1", "1", "stop", advantage=-1.0)])
    said = capsys.readouterr().out
    assert "step 4: How many? 3" in said
    assert "[b]?" in said
    assert "-1.00" in said
    assert "<answer>3</answer>" in said
    assert "\x1b" not in said
