import json
import logging
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from forking import forked
from lightning.pytorch.loggers import Logger
from offline import run_of, tables

from vrft_pl.__main__ import main
from vrft_pl.callbacks import HFExport
from vrft_pl.commands.fit import FitCLI
from vrft_pl.runs import Claim, RunFolder, WandbOrOffline

ROOT = Path(__file__).parents[2]
FIT = ["fit", "--config", str(ROOT / "configs/quickstart.yaml"), "--run.wandb", "off"]
FIT += ["--trainer.limit_val_batches", "1", "--data.init_args.eval_batch_size", "4", "--data.init_args.batch_size", "1"]
FIT += ["--trainer.enable_progress_bar", "false", "--export.enabled", "false", "--completions.every_n_rollouts", "1"]
SHORT = [*FIT, "--trainer.max_steps", "3", "--checkpoint.every_n_train_steps", "2"]


JPEG = b"\xff\xd8\xff"
"""How such a file begins."""


STEP = """
import os, sys
from lightning.pytorch import Callback

class Imports(Callback):
    def on_train_batch_end(self, *args):
        slow = {"av", "datasets", "math_verify", "pandas", "peft", "wandb"}
        print("at the first step:", sorted(slow & set(sys.modules)), flush=True)
        os._exit(0)
"""
"""A callback of one's own that says which slow packages have been imported, and ends the run."""


class Kept(Logger):
    """Somebody's own logger, which writes nowhere."""

    told = None
    name = version = "kept"

    def __init__(self, save_dir="elsewhere"):
        super().__init__()
        self.folder = save_dir

    @property
    def save_dir(self):
        return self.folder

    def log_hyperparams(self, params, *args, **kwargs):
        Kept.told = params

    def log_metrics(self, metrics, step=None):
        pass


@contextmanager
def working_in(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["vrft_pl"])
        yield patch


@pytest.fixture
def place(tmp_path):
    with working_in(tmp_path):
        yield tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    with working_in(folder):
        main([*SHORT, "--run.folder", "run"])
    return folder / "run"


@pytest.fixture
def run(place, trained):
    """A finished run, of which every test has a copy."""
    shutil.copytree(trained, "run")


@pytest.fixture(scope="module")
def with_own_logger(tmp_path_factory):
    """A run with a logger of one's own that would write elsewhere."""
    folder = tmp_path_factory.mktemp("kept")
    logger = json.dumps({"class_path": f"{__name__}.Kept", "init_args": {"save_dir": str(folder / "elsewhere")}})
    with working_in(folder):
        main([*SHORT, "--trainer.logger", logger, "--run.folder", "run"])
    return folder / "run"


@pytest.fixture(scope="module")
def offline_run(tmp_path_factory):
    """A run that logs to W&B, and what that was told of hyper-parameters."""
    told, log, folder = [], WandbOrOffline.log_hyperparams, tmp_path_factory.mktemp("offline")
    args = [word if word != "off" else "offline" for word in SHORT]
    args += ["--run.group", "few shots", "--run.job_type", "sft", "--run.tags", "[a, seed 0]"]
    with working_in(folder) as patch:
        patch.setenv("HOME", str(folder / "home"))
        patch.delenv("WANDB_DATA_DIR", raising=False)
        patch.setattr(WandbOrOffline, "log_hyperparams", lambda self, params: told.append(params) or log(self, params))
        main([*args, "--run.folder", "run", "--val_subset.num_samples", "3"])
        assert "WANDB_DATA_DIR" not in os.environ
    return folder / "run", told


def unfinished(folder):
    """Undo the end of a run: it was ended after its last checkpoint."""
    (Path(folder) / "summary.json").unlink()
    return next(Path(folder).glob("checkpoints/*.ckpt"))


def records(folder):
    rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in folder.metrics()]
    return rows, list(folder.completions()), list(folder.predictions())


def test_the_first_step_comes_without_imports_that_it_does_not_need(place):
    Path("mine.py").write_text(STEP)
    args = [*FIT, "--run.evaluate_before", "false", "--val_subset.times", "0", "--trainer.callbacks+=mine.Imports"]
    done = forked("-m", "vrft_pl", *args)
    assert "at the first step: []" in done.stdout, done.stderr


def test_a_run_that_is_given_a_checkpoint_goes_on_in_the_folder_it_lies_in(run, place):
    folder, whole = RunFolder("run"), records(RunFolder("run"))
    checkpoint = unfinished("run")
    main([*SHORT, "--ckpt_path", str(checkpoint)])
    assert [path.name for path in place.iterdir()] == ["run"]
    assert records(folder) == whole
    assert [start["checkpoint"] for start in folder.starts()] == [None, str(checkpoint)]


def test_a_finished_run_is_not_gone_on_with_over_its_records(run, capsys):
    checkpoint = next(Path("run/checkpoints").glob("*.ckpt"))
    before = (Path("run/completions.jsonl").read_bytes(), Path("run/summary.json").read_bytes())
    with pytest.raises(SystemExit) as stop:
        main([*SHORT, "--ckpt_path", str(checkpoint)])
    assert stop.value.code == 1
    assert "run holds a finished one. Name a new folder" in capsys.readouterr().err
    assert (Path("run/completions.jsonl").read_bytes(), Path("run/summary.json").read_bytes()) == before


def test_a_checkpoint_from_elsewhere_says_that_records_begin_here(run, caplog):
    lone = next(Path("run/checkpoints").glob("*.ckpt")).rename("lone.ckpt")
    with caplog.at_level(logging.INFO):
        main([*SHORT, "--ckpt_path", str(lone)])
    assert any("lone.ckpt lies in the folder of no run" in record.message for record in caplog.records)
    assert len(list(Path("runs/quickstart").iterdir())) == 1


def test_a_run_that_starts_anew_over_an_unfinished_one_says_so(run, caplog):
    unfinished("run")
    with caplog.at_level(logging.INFO):
        main([*SHORT, "--run.folder", "run"])
    assert any("`--resume` goes on." in record.message for record in caplog.records)


def test_a_second_run_that_finds_a_folder_taken_leaves_it_alone(place, capsys, monkeypatch):
    """Also where neither had been there when both began: a wrong input would take the new folder away again."""

    def take(folder):
        folder.mkdir()
        (folder / "metrics.csv").write_text("of the first\n")
        claims.append(Claim(folder))
        return Claim(folder, seconds=0)

    claims = []
    monkeypatch.setattr("vrft_pl.trainer.start.Claim", take)
    with pytest.raises(SystemExit) as stop:
        main([*SHORT, "--run.folder", "run"])
    assert stop.value.code == 1
    assert "nobody else to write into run, but another process does." in capsys.readouterr().err
    assert {path.name: path.read_text() for path in Path("run").iterdir()} == {"metrics.csv": "of the first\n"}
    claims.pop().release()


def test_every_evaluation_of_a_run_is_kept_by_its_step(place):
    main([*FIT, "--trainer.max_steps", "3", "--trainer.val_check_interval", "1", "--run.folder", "run"])
    predictions = list(RunFolder("run").predictions())
    assert [(p.step, p.row) for p in predictions] == [(step, row) for step in range(4) for row in range(12)]
    assert len({p.key for p in predictions}) == 48
    asked = [(p.split, p.id, p.problem) for p in predictions]
    assert asked[:12] == asked[12:24] == asked[36:]
    right = [p.scores["NumberMatch"] for p in predictions[36:] if p.split == "id"]
    assert sum(right) / 4 == RunFolder("run").summary()["after"]["val/id/NumberMatch"]


def test_loggers_are_told_the_resolved_config(with_own_logger):
    assert Kept.told["model"]["init_args"]["group_size"] == 8
    written = yaml.safe_load((with_own_logger / "config.yaml").read_text())
    assert Kept.told == written == RunFolder(with_own_logger).starts()[0]["config"]


def test_wandb_is_told_the_resolved_config(offline_run):
    _, told = offline_run
    assert [params["trainer"]["max_steps"] for params in told] == [3]


@pytest.mark.parametrize(("asked", "expected"), [(["--resume"], True), ([], False)], ids=["resume", "anew"])
def test_resume_goes_on_with_the_run_of_wandb_where_no_checkpoint_is_yet_too(place, monkeypatch, asked, expected):
    told = []
    monkeypatch.setattr("vrft_pl.commands.fit.run_loggers", lambda *args: told.append(args[-1]) or [])
    FitCLI("fit", [*SHORT[1:], "--run.folder", "run", *asked])
    assert told == [expected]


def test_an_offline_run_of_wandb_holds_its_place_in_a_group_its_config_its_curves_and_its_pictures(offline_run):
    folder = RunFolder(offline_run[0])
    run, config, logged = run_of(folder.path)
    assert (run.run_group, run.job_type, list(run.tags)) == ("few shots", "sft", ["a", "seed 0"])
    assert config["model"]["init_args"]["group_size"] == 8
    assert config["run"]["group"] == "few shots"
    names = {name for row in folder.metrics() for name in row} - {"step"}
    assert names <= logged.keys()
    assert [len(table["data"]) for table in tables(folder.path, "completions")] == [8] * 3
    evaluated = tables(folder.path, "predictions")
    assert [len(table["data"]) for table in evaluated] == [12, 3, 3, 3, 12]
    assert {row[evaluated[0]["columns"].index("picture")] for row in evaluated[0]["data"]} == {"Image"}
    assert not [path for path in (folder.path.parent / "home").rglob("staging/*") if path.is_file()]
    waiting = [path.read_bytes() for path in (folder.path / "wandb/artifacts/staging").iterdir()]
    assert sum(content.startswith(JPEG) for content in waiting) >= 12


def test_a_tag_that_wandb_would_refuse_is_a_mistake_in_the_arguments(place, capsys):
    args = [word if word != "off" else "offline" for word in SHORT]
    with pytest.raises(SystemExit) as stop:
        main([*args, "--run.folder", "run", "--run.tags", f"[{'a' * 65}]"])
    assert stop.value.code == 2
    assert "Expected `tags` of 1 to 64 characters each, but got 'aaa" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_push_that_fails_ends_in_one_line_behind_a_whole_run(place, monkeypatch, capsys):
    def broken(self, name, **options):
        raise ConnectionError(f"nobody\nanswers for {name}, private: {options['private']}")

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", broken)
    quick = ["--run.evaluate_before", "false", "--run.evaluate_after", "false", "--val_subset.times", "0"]
    args = [*SHORT, *quick, "--trainer.max_steps", "1", "--export.enabled", "true", "--export.push_to_hub", "me/counts"]
    with pytest.raises(SystemExit) as stop:
        main([*args, "--run.folder", "run"])
    assert stop.value.code == 1
    said = "vrft_pl: Expected to push to me/counts, but: nobody answers for me/counts, private: True."
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)
    assert {"model.safetensors", "README.md"} < {path.name for path in Path("run/export").iterdir()}
    assert RunFolder("run").finished


def test_a_push_without_a_token_is_refused_before_the_run(place, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(SystemExit):
        main([*SHORT, "--export.enabled", "true", "--export.push_to_hub", "me/counts", "--run.folder", "run"])
    assert "Expected a token to push to me/counts, but there is none." in capsys.readouterr().err
    assert "Expected `export.enabled`" in HFExport(enabled=False, push_to_hub="me/counts").refusal("ddp", False)
    assert not Path("run").exists()


def test_a_csv_logger_that_would_delete_the_numbers_of_the_run_is_refused(place, capsys):
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger"}
    logger["init_args"] = {"save_dir": "run", "name": "", "version": ""}
    with pytest.raises(SystemExit) as stop:
        main([*SHORT, "--trainer.logger", json.dumps(logger), "--run.folder", "run"])
    assert stop.value.code == 2
    assert "Expected no CSVLogger in run, where the run keeps its own metrics.csv" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_logger_of_ones_own_moves_no_file_of_the_run(with_own_logger):
    folder = RunFolder(with_own_logger)
    names = {"config.yaml", "manifest.json", "completions.jsonl", "predictions.jsonl", "summary.json", "checkpoints"}
    names |= {"metrics.csv", "pictures", "constants.json"}
    assert {path.name for path in folder.path.iterdir()} == names
    assert not (folder.path.parent / "elsewhere").exists()
    assert folder.newest_checkpoint() is not None
    (start,) = folder.starts()
    assert start["model"] == "Qwen3VLForConditionalGeneration"
    assert start["ways"]["batching"]
    assert start["ways"]["SharedPrompt"]
