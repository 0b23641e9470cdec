"""A run in Python against the same one of the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from docs.pages import ROOT, blocks
from safetensors.torch import load_file

import vrft_pl
from vrft_pl.__main__ import main
from vrft_pl.callbacks import HFExport, StepCheckpoint
from vrft_pl.trainer import Trainer
from vrft_pl.types import InputError

PROGRAM, READING = blocks(ROOT / "docs/python.md", "python")
"""What the page shows."""
TINY = {', ("id", "base"), ("ood_night", "night")': "", "384": "2", "batch_size=16": "batch_size=2", "=100": "=1"}
VAL = {"class_path": "vrft_pl.data.CountingScenes", "init_args": {"domain": "snow", "size": 2}}
COMMAND = ["--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false", "--run.wandb", "off"]
COMMAND += ["--val_subset.times", "0", "--run.constants", "false"]
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


def test_it_takes_fifteen_lines():
    lines = [line for line in PROGRAM.splitlines() if line]
    assert len(lines) <= 15
    assert all(len(line) <= 120 for line in lines)


def test_it_ends_with_the_digits_of_the_command_line(run, tmp_path, no_argv, capsys):
    folder, names = run
    main(["fit", "--config", str(ROOT / "configs/quickstart.yaml"), *COMMAND, "--run.folder", str(tmp_path)])
    mine, theirs = (load_file(place / "export/model.safetensors") for place in (folder, tmp_path))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert names["before"] == summary["before"]
    assert names["after"] == summary["after"]
    assert (folder / "completions.jsonl").read_bytes() == (tmp_path / "completions.jsonl").read_bytes()


def test_it_leaves_what_every_run_leaves(run):
    folder, names = run
    left = {path.name for path in folder.iterdir()}
    assert {"metrics.csv", "completions.jsonl", "predictions.jsonl", "pictures", "export"} <= left
    assert {record.step for record in names["trainer"].run_folder.predictions()} == {0, 1}
    assert names["trainer"].run_folder.newest_checkpoint() is None


def test_a_callback_takes_the_place_of_the_one_of_its_class(tmp_path):
    own = [HFExport(enabled=False), StepCheckpoint(every_n_train_steps=7)]
    trainer = Trainer(tmp_path, callbacks=own, accelerator="cpu")
    kinds = [type(callback) for callback in trainer.callbacks]
    assert sorted(kinds, key=kinds.index) == list(dict.fromkeys(kinds))
    assert set(own) <= set(trainer.callbacks)


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
