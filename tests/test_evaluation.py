"""What the command line writes of an evaluation."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forking import forked
from PIL import Image

from vrft_pl.__main__ import main
from vrft_pl.data import CountingScenes, ReasonJSON

ROOT = Path(__file__).parents[1]
CONFIG = ["--config", str(ROOT / "configs/quickstart.yaml")]
QUIET = ["--trainer.enable_progress_bar", "false", "--data.init_args.batch_size", "2"]
FIT = ["fit", *CONFIG, *QUIET, "--run.wandb", "off", "--trainer.max_steps", "1", "--model.init_args.group_size", "2"]


class Drawn(CountingScenes):
    """Says that its rows were drawn from a larger source."""

    def chosen(self):
        return [f"row {i}" for i in range(len(self))]


def option(name, class_path, **init_args):
    return [f"--data.init_args.{name}", json.dumps({"class_path": class_path, "init_args": init_args})]


def scenes(**sizes):
    """The option that validates and tests on so many scenes of each domain."""
    value = {
        domain: {"class_path": "vrft_pl.data.CountingScenes", "init_args": {"domain": domain, "size": size}}
        for domain, size in sizes.items()
    }
    return ["--data.init_args.val", json.dumps(value)]


def run(command, folder, *options):
    main([command, *CONFIG, *QUIET, *options, "--run.folder", str(folder)])
    return folder


def read(folder, name):
    text = (folder / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)


def test_scores_and_predictions_are_written_into_the_folder_of_the_run(tmp_path, no_argv, capsys):
    folder = run("validate", tmp_path / "run", *scenes(snow=5, base=3))
    scores, rows = read(folder, "scores.json"), read(folder, "predictions.jsonl")
    written = {path.name for path in folder.iterdir()}
    files = {"config.yaml", "manifest.json", "pictures", "predictions.jsonl", "scores.json", "constants.json"}
    assert written == files
    assert [row["split"] for row in rows] == ["snow"] * 5 + ["base"] * 3
    for part, count in (("snow", 5), ("base", 3)):
        right = [row["scores"]["NumberMatch"] for row in rows if row["split"] == part]
        assert scores[f"val/{part}/NumberMatch"] == pytest.approx(sum(right) / count)
    assert f"Files of this run: {folder}" in capsys.readouterr().out


def test_a_test_gives_the_same_numbers_and_files_again(tmp_path, no_argv):
    """In batches of another size too: the completions are greedy, and no two tokens are equally likely here."""
    folders = [
        run("test", tmp_path / name, *scenes(snow=9, base=4), "--data.init_args.eval_batch_size", batch)
        for name, batch in (("first", "4"), ("again", "4"), ("other", "9"))
    ]
    for name in ("scores.json", "predictions.jsonl"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1


def test_a_checkpoint_that_never_saw_this_tool_is_evaluated(qwen2_vl, tmp_path, no_argv):
    checkpoint = ["--model.init_args.policy.init_args.checkpoint", qwen2_vl]
    folder = run("validate", tmp_path / "run", *checkpoint, *scenes(snow=3), "--model.eval_params.max_tokens", "4")
    assert [list(row["parse_failures"]) for row in read(folder, "predictions.jsonl")] == [["NumberMatch"]] * 3
    assert read(folder, "scores.json")["val/snow/parse_failures/NumberMatch"] == 1


def test_an_evaluation_is_not_overwritten(tmp_path, no_argv, capsys):
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        run("test", tmp_path)
    assert stop.value.code == 1
    assert "holds a finished run" in capsys.readouterr().err


def bad_row(tmp_path):
    """The option that trains on three rows, of which one has no picture."""
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "a.png")
    names = ["a.png", "gone.png", "a.png"]
    rows = [{"image": name, "problem": "How many?", "answer": 1} for name in names]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    source = option("train", f"vrft_pl.data.{ReasonJSON.__name__}", path=str(tmp_path / "rows.json"))
    return [*source, "--data.init_args.on_bad_row", "skip"]


@pytest.mark.filterwarnings("ignore:Skipped 1 of 3 rows")
def test_fit_writes_what_was_drawn_and_left_out_and_predictions(tmp_path, no_argv):
    drawn = {"few": {"class_path": "test_evaluation.Drawn", "init_args": {"size": 2}}}
    options = [*bad_row(tmp_path), "--data.init_args.val", json.dumps(drawn)]
    main([*FIT, *options, "--run.evaluate_before", "false", "--run.folder", str(tmp_path / "run")])
    assert read(tmp_path / "run", "chosen.json") == {"val/few": ["row 0", "row 1"]}
    skipped = read(tmp_path / "run", "skipped.json")
    assert list(skipped) == ["train/train"]
    (reason,) = skipped["train/train"]
    assert "rows.json, row 1" in reason
    assert "there is no such file" in reason
    rows = read(tmp_path / "run", "predictions.jsonl")
    assert [(row["split"], row["step"]) for row in rows] == [("few", 0)] * 2 + [("few", 1)] * 2


@pytest.mark.filterwarnings("ignore:Skipped a row")
def test_rows_of_a_stream_that_training_left_out_are_written_at_its_end(tmp_path, no_argv):
    rows = {"image": ["a.png", "a.png"], "problem": ["How many?"] * 2, "answer": ["many", "1"]}
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "a.png")
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    stream = option("train", "vrft_pl.data.ParquetRows", files=str(tmp_path / "rows.parquet"))
    options = [*stream, "--data.init_args.on_bad_row", "skip", *scenes(snow=2), "--run.evaluate_before", "false"]
    main([*FIT, *options, "--run.folder", str(tmp_path / "run")])
    (reason,) = read(tmp_path / "run", "skipped.json")["train/train"]
    assert "row 0: expected the answer to be a number" in reason


def test_fit_writes_none_of_these_where_there_is_nothing_to_say_or_it_is_not_asked_for(tmp_path, no_argv):
    options = [*scenes(snow=2), "--run.evaluate_before", "false", "--predictions.in_fit", "false"]
    main([*FIT, *options, "--run.folder", str(tmp_path / "run")])
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "summary.json" in names
    assert not {"chosen.json", "skipped.json", "predictions.jsonl", "scores.json"} & names


@pytest.mark.slow
def test_two_processes_predict_into_one_file(tmp_path, no_argv):
    options = [*scenes(snow=5, base=2), "--data.init_args.eval_batch_size", "2"]
    alone = run("predict", tmp_path / "alone", *options)
    ranks = ["--config", ROOT / "configs/hardware/cpu_ddp2.yaml"]
    command = ["-m", "vrft_pl", "predict", *CONFIG, *QUIET, *options, "--run.folder", tmp_path / "two", *ranks]
    done = forked(*command, ranks=2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Predictions: ") == 1
    assert (tmp_path / "two/predictions.jsonl").read_bytes() == (alone / "predictions.jsonl").read_bytes()
    assert len(read(alone, "predictions.jsonl")) == 7
