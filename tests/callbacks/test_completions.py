import json

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from training import counting, fit, grpo

from vrft_pl.callbacks import CompletionRecorder, RolloutCallback
from vrft_pl.runs import MetricsLogger, RunFolder
from vrft_pl.runs.pictures import encoded


class Kept(RolloutCallback):
    def __init__(self):
        self.windows = []

    def on_rollout_end(self, trainer, module, experience):
        self.windows.append((trainer.global_step, experience))


def record(checkpoint, folder, size=6, **kwargs):
    kept, logger = Kept(), CSVLogger(folder, "run", "0")
    fit(grpo(checkpoint), counting(size=size), callbacks=[CompletionRecorder(**kwargs), kept], logger=logger)
    path = folder / "run" / "0" / "completions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else None, kept.windows


def test_the_groups_of_the_first_prompts_are_written_as_they_are(qwen3_vl, tmp_path):
    records, windows = record(qwen3_vl, tmp_path, every_n_rollouts=2, num_prompts=1)
    expected = [
        {
            "step": step,
            "rank": 0,
            "row": i,
            "split": "train",
            "id": window.samples[0].id,
            "problem": window.samples[0].problem,
            "answer": f"{window.samples[0].solution.value:g}",
            "completion": window.completions.texts[i],
            "finish_reason": window.completions.finish_reasons[i],
            "tags": ["train", "id"],
            "scores": {"Share": round(window.scores["Share"][i].item(), 6)},
            "parse_failures": {},
            "advantage": round(window.advantages[i].item(), 6),
            "pictures": [picture.name for picture in encoded(window.samples[0].images, 384)],
            "size": [32, 32],
        }
        for step, window in windows[::2]
        for i in range(4)
    ]
    assert records == expected
    assert [r["step"] for r in records] == [0] * 4 + [2] * 4


@pytest.mark.parametrize("kwargs", [{"every_n_rollouts": 0}, {"every_n_rollouts": 1, "num_prompts": 0}], ids=str)
def test_nothing_is_written_where_nothing_is_asked_for(qwen3_vl, tmp_path, kwargs):
    assert not record(qwen3_vl, tmp_path, size=2, **kwargs)[0]


def test_no_more_prompts_are_written_than_there_are(qwen3_vl, tmp_path):
    records, _ = record(qwen3_vl, tmp_path, size=2, every_n_rollouts=1, num_prompts=9)
    assert len(records) == 2 * 4


def test_each_picture_is_kept_once_and_later_ones_are_left_out(qwen3_vl, tmp_path):
    records, windows = record(qwen3_vl, tmp_path, size=10, every_n_rollouts=1, pictures=3, max_side=16)
    expected = [[picture.name for picture in encoded(window.samples[0].images, 16)] for _, window in windows]
    assert [r.get("pictures") for r in records[::4]] == [*expected[:3], None, None]
    folder = RunFolder(tmp_path / "run/0")
    assert folder.kept_pictures() == {name for names in expected[:3] for name in names}
    assert Image.open(folder.picture(expected[0][0])).size == (16, 16)


def test_no_pictures_are_kept_where_none_are_asked_for(qwen3_vl, tmp_path):
    records, _ = record(qwen3_vl, tmp_path, every_n_rollouts=1, pictures=0)
    assert not any("pictures" in row for row in records)
    assert not (tmp_path / "run/0/pictures").exists()


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_run_records_every_completion_once(qwen3_vl, tmp_path, stop):
    def run(folder, ckpt_path=None, **kwargs):
        keep = ModelCheckpoint(tmp_path / "kept", "{step}", save_top_k=-1, every_n_train_steps=1)
        callbacks = [CompletionRecorder(every_n_rollouts=2, pictures=2), keep]
        logger = MetricsLogger(tmp_path / folder)
        settings = {"callbacks": callbacks, "logger": logger, "enable_checkpointing": True, **kwargs}
        fit(grpo(qwen3_vl), counting(size=10), ckpt_path, **settings)
        pictures = {path.name: path.read_bytes() for path in (tmp_path / folder / "pictures").iterdir()}
        return (tmp_path / folder / "completions.jsonl").read_bytes(), pictures

    whole = run("whole")
    assert run("whole", str(tmp_path / f"kept/step={stop}.ckpt")) == whole
    with (tmp_path / "whole/completions.jsonl").open("ab") as file:
        file.write(b'{"step": 0, "sample": "cut in tw')
    (tmp_path / "whole/pictures/of-no-record.webp").touch()
    assert run("whole", str(tmp_path / f"kept/step={stop}.ckpt")) == whole


def test_a_run_that_starts_anew_keeps_nothing_of_the_one_before(qwen3_vl, tmp_path):
    def run():
        fit(grpo(qwen3_vl), counting(size=4), callbacks=[CompletionRecorder()], logger=MetricsLogger(tmp_path))
        return (tmp_path / "completions.jsonl").read_bytes()

    assert run() == run()


@pytest.mark.parametrize("kwargs", [{"every_n_rollouts": -1}, {"num_prompts": -1}], ids=str)
def test_numbers_must_not_be_negative(kwargs):
    assert CompletionRecorder(0, 0, 0, 1).pictures == 0
    with pytest.raises(ValueError, match="`every_n_rollouts` and `num_prompts` to be 0 or more, but got .*-1"):
        CompletionRecorder(**kwargs)
