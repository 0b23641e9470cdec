"""A run in Python against the same one of the command line."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from docs.pages import ROOT, blocks
from lightning.pytorch.utilities.exceptions import SIGTERMException
from safetensors.torch import load_file

import vrft_pl
from vrft_pl.__main__ import main
from vrft_pl.callbacks import HFExport, RankWatchdog, StepCheckpoint
from vrft_pl.report import read_report
from vrft_pl.runs import MetricsLogger, RunFolder
from vrft_pl.trainer import Trainer
from vrft_pl.trainer.resuming import flat
from vrft_pl.types import InputError

PROGRAM, READING = blocks(ROOT / "docs/python.md", "python")
"""What the page shows."""
TINY = {', ("id", "base"), ("ood_night", "night")': "", "384": "2", "batch_size=16": "batch_size=2", "=100": "=1"}
VAL = {"class_path": "vrft_pl.data.CountingScenes", "init_args": {"domain": "snow", "size": 2}}
UNTIMED = {"seconds": 0, "cost": {}}
"""In place of what differs from one process to the next."""
COMMAND = ["--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false", "--run.wandb", "off"]
COMMAND += ["--val_subset.times", "0"]
COMMAND += ["--data.init_args.batch_size", "2", "--data.init_args.val", json.dumps({"ood_snow": VAL})]


def tiny(program):
    """The program of the page with the rows and steps that a test has time for."""
    for large, small in TINY.items():
        assert large in program
        program = program.replace(large, small)
    return program


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder in which the program of the page ran, and the names that it has left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("python"))
        names = {}
        exec(tiny(PROGRAM) + READING, names)
        yield Path("runs/python").absolute(), names


def again(folder, *change, **options):
    """The summary of three steps of the page's program, with a checkpoint after the second."""
    program = tiny(PROGRAM).replace("max_steps=1", "max_steps=3, callbacks=[v.callbacks.StepCheckpoint(**saves)]")
    program = program.replace('"runs/python"', repr(str(folder))).replace("(module, data)", "(module, data, **options)")
    names = {"saves": {"every_n_train_steps": 2, "filename": "{step}"}, "options": options}
    exec(program.replace(*change) if change else program, names)
    return names["summary"]


def records(folder):
    """What a run has left of numbers and texts, without seconds, and its weights."""
    run = RunFolder(folder)
    rows = [{name: value for name, value in row.items() if not name.startswith("time/")} for row in run.metrics()]
    return rows, list(run.completions()), list(run.predictions()), (folder / "export/model.safetensors").read_bytes()


def test_it_takes_fifteen_lines():
    lines = [line for line in PROGRAM.splitlines() if line]
    assert len(lines) <= 15
    assert all(len(line) <= 120 for line in lines)


@pytest.fixture(scope="module")
def command(run, tmp_path_factory):
    """The folder of the same run by the command."""
    folder = tmp_path_factory.mktemp("command")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["vrft_pl"])  # LightningCLI reads pytest's own arguments otherwise
        main(["fit", "--config", str(ROOT / "configs/quickstart.yaml"), *COMMAND, "--run.folder", str(folder)])
    return folder


def test_it_ends_with_the_digits_of_the_command_line(run, command):
    folder, names = run
    mine, theirs = (load_file(place / "export/model.safetensors") for place in (folder, command))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    summary = json.loads((command / "summary.json").read_text())
    assert {"before", "after", "constant"} < set(summary)
    assert names["summary"].as_dict() | UNTIMED == json.loads((folder / "summary.json").read_text()) | UNTIMED
    assert summary | UNTIMED == names["summary"].as_dict() | UNTIMED
    assert (folder / "completions.jsonl").read_bytes() == (command / "completions.jsonl").read_bytes()


def test_it_leaves_what_the_command_leaves(run, command):
    folder, names = run
    assert {path.name for path in folder.iterdir()} == {path.name for path in command.iterdir()}
    assert {record.step for record in names["trainer"].run_folder.predictions()} == {0, 1}
    assert names["trainer"].run_folder.newest_checkpoint() is None
    assert (folder / "export/vrft_pl.json").read_text() == (command / "export/vrft_pl.json").read_text()
    (mine,), (theirs,) = (RunFolder(place).starts() for place in (folder, command))
    same = ("seed", "data", "versions", "git", "model", "ways")
    assert [mine[key] for key in same] == [theirs[key] for key in same]
    assert mine["command"] == ["python", *sys.argv]
    assert mine["config"] == RunFolder(folder).config()


def test_its_config_says_what_the_objects_know_of_themselves(run, command):
    mine, theirs = RunFolder(run[0]).config(), RunFolder(command).config()
    same = ("class_path", "group_size", "reference", "window", "eval_samples")
    assert {key: flat(mine["model"]).get(f"init_args.{key}") for key in same} == {
        key: flat(theirs["model"]).get(f"init_args.{key}") for key in same
    }
    said = mine["model"]["init_args"]
    assert said["optimizer"]["init_args"] == {"lr": 2e-4, "betas": [0.9, 0.99], "weight_decay": 0.0}
    assert said["policy"]["init_args"] | {"coordinates": None} == theirs["model"]["init_args"]["policy"]["init_args"]
    assert mine["export"] == theirs["export"]
    assert {key: theirs["trainer"][key] for key in mine["trainer"]} == mine["trainer"]
    assert mine["seed_everything"] == 0


def test_its_config_is_one_that_the_command_reads(run, no_argv, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(run[0] / "config.yaml"), "--print_config"])
    assert stop.value.code == 0
    parsed = yaml.safe_load(capsys.readouterr().out)
    assert parsed["data"]["init_args"]["train"]["init_args"]["domain"] == "snow"
    assert parsed["model"]["init_args"]["policy"]["init_args"]["checkpoint"] == "tiny"


def test_a_report_knows_it(run):
    (facts,) = read_report([run[0]]).facts
    said = dict(facts.facts)
    assert said["command"].startswith("python ")
    assert "finished" not in said
    assert "group_size: 8" in facts.config


def test_a_run_that_is_resumed_ends_as_if_it_had_not_ended(tmp_path):
    whole = again(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "ended")
    (tmp_path / "ended/summary.json").unlink()  # it was ended after its last checkpoint
    with pytest.raises(InputError, match="model.init_args.group_size is 4 and was 8. Undo it"):
        again(tmp_path / "ended", "Module(rewards", "Module(rewards, group_size=4", resume=True)
    summary = again(tmp_path / "ended", resume=True)
    assert summary.as_dict() | UNTIMED == whole.as_dict() | UNTIMED
    assert records(tmp_path / "ended") == records(tmp_path / "whole")
    first, second = RunFolder(tmp_path / "ended").starts()
    assert (first["checkpoint"], Path(second["checkpoint"]).name) == (None, "step=2.ckpt")


def test_a_run_that_is_finished_is_not_begun_again(run):
    trainer, module, data = (run[1][name] for name in ("trainer", "module", "data"))
    with pytest.raises(InputError, match="holds a finished run. Name another one, or ask for its summary"):
        Trainer(run[0], accelerator="cpu").run(module, data)
    assert Trainer(run[0], accelerator="cpu").run(module, data, resume=True) == run[1]["summary"]
    assert trainer.run_folder.finished


def test_what_has_been_trained_with_is_no_beginning(run, tmp_path, monkeypatch):
    """The scores before training would be those of weights that have been trained."""
    trainer, module, data = (run[1][name] for name in ("trainer", "module", "data"))
    new = Trainer(tmp_path, accelerator="cpu", max_steps=1)
    with pytest.raises(InputError, match="Expected a module that has not trained yet, but this one has done 1 steps"):
        new.run(module, data, resume=True)
    monkeypatch.setattr(trainer, "run_folder", new.run_folder)
    with pytest.raises(InputError, match="Expected a trainer that has not trained yet"):
        trainer.run(module, data)
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_told_to_end_has_the_exit_code_of_the_command(run, tmp_path, monkeypatch):
    def told(self, start):
        self.stop.signum = signal.SIGUSR1
        raise SIGTERMException

    monkeypatch.setattr("vrft_pl.trainer.python.TrainingRun.carry_out", told)
    with pytest.raises(SIGTERMException) as stop:
        Trainer(tmp_path, accelerator="cpu").run(run[1]["module"], run[1]["data"])
    assert stop.value.code == 128 + signal.SIGUSR1


def test_a_callback_takes_the_place_of_the_one_of_its_class(tmp_path):
    own = [HFExport(enabled=False), StepCheckpoint(every_n_train_steps=7)]
    trainer = Trainer(tmp_path, callbacks=own, accelerator="cpu")
    kinds = [type(callback) for callback in trainer.callbacks]
    assert sorted(kinds, key=kinds.index) == list(dict.fromkeys(kinds))
    assert set(own) <= set(trainer.callbacks)


@pytest.mark.parametrize("given", [{"callbacks": None, "logger": False}, {"callbacks": HFExport(), "logger": None}])
def test_callbacks_and_loggers_are_given_as_to_lightning(tmp_path, given):
    trainer = Trainer(tmp_path, accelerator="cpu", **given)
    assert isinstance(trainer.logger, MetricsLogger)
    assert given["callbacks"] in (None, trainer.callback(HFExport))


def test_nobody_watches_the_ranks_any_more_when_the_process_ends(tmp_path, monkeypatch):
    """A thread that did would abort it."""
    at_exit = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    trainer = Trainer(tmp_path, accelerator="cpu")
    assert trainer.callback(RankWatchdog).stop in at_exit


def test_checkpoints_can_be_left_out(tmp_path):
    trainer = Trainer(tmp_path, accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False)
    assert trainer.checkpoint_callbacks == []


def test_what_the_command_refuses_is_refused(tmp_path, run):
    trainer = Trainer(tmp_path, callbacks=[HFExport(what="adapter")], accelerator="cpu")
    with pytest.raises(InputError, match="Expected a policy with `lora`"):
        trainer.fit(run[1]["module"], run[1]["data"])


def test_parts_of_the_package_are_there_when_they_are_asked_for():
    assert vrft_pl.data.Counting is sys.modules["vrft_pl.data"].Counting
    assert all(getattr(vrft_pl, name) is not None for name in vrft_pl.__all__)
    assert set(vrft_pl.__all__) <= set(dir(vrft_pl))


def test_a_name_that_there_is_not_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'vrft_pl' has no attribute 'date'"):
        vrft_pl.date  # noqa: B018


def test_importing_the_package_imports_nothing_else():
    code = "import sys, vrft_pl; print(sorted(m for m in sys.modules if m in ('torch', 'lightning', 'transformers')))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
