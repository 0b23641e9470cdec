import json
import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from forking import forked

from vrft_pl.__main__ import main
from vrft_pl.ablation import ARMS, Runner, Section, Stage, Store
from vrft_pl.ablation.compose import stage_config
from vrft_pl.callbacks import HFExport
from vrft_pl.commands.ablate import parsed, sections_apart
from vrft_pl.commands.in_process import InProcess, apart
from vrft_pl.commands.workers import work_together
from vrft_pl.modules import SFTModule
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

QUICK = "configs/ablations/quick.yaml"
TINY = (
    *("--config", QUICK, "--rows", "[8]", "--seeds", "[0, 1]", "--match", "{by: steps, amount: 2}"),
    *("--arms", "{base: base, SFT: cot_sft, rejection: rejection_sft, RFT: rft}"),
    *("--contrasts", "[{arm: RFT, against: SFT, metric: snow/NumberMatch}]", "--data.init_args.batch_size", "4"),
    *("--roles", "{snow: in_domain}"),
    *("--data.init_args.test", "{snow: {class_path: vrft_pl.data.CountingScenes, init_args: {domain: snow, size: 8}}}"),
)


def ablate(folder, *args):
    """Run it as a user does."""
    main(["ablate", *TINY, "--folder", str(folder), *args])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "tiny"
    ablate(folder)
    return folder


def test_a_whole_ablation_leaves_ordinary_runs_and_its_results(finished):
    results = json.loads((finished / "results.json").read_text())
    assert {cell["state"] for cell in results["cells"]} == {"done"}
    assert len(results["cells"]) == 8
    stages = [finished / name for cell in results["cells"] for name in cell["stages"]]
    assert len(stages) == 6
    assert all((stage / "export" / "config.json").exists() and RunFolder(stage).finished for stage in stages)
    assert not any((stage / "checkpoints").exists() for stage in stages)
    costs = {cell["arm"]: cell["cost"] for cell in results["cells"]}
    assert costs["base"]["samples"] == 0
    assert costs["SFT"]["samples"] == costs["RFT"]["samples"] == 8
    assert costs["SFT"]["generated_tokens"] == 0 < costs["RFT"]["generated_tokens"]
    assert costs["rejection"]["generated_tokens"] > 0
    assert results["contrasts"][0]["primary"]
    assert "seeds" in " ".join(results["verdict"])


def test_it_is_finished_at_once_when_it_is_asked_for_again(finished, capsys):
    before = sorted(finished.rglob("*"))
    ablate(finished)
    assert sorted(finished.rglob("*")) == before
    assert "RFT" in capsys.readouterr().out


def test_what_changed_is_said(finished, tmp_path, capsys):
    main(["ablate", *TINY, "--folder", str(finished), "--name", "other"])
    assert "Changed since the last start: name." in capsys.readouterr().out


def test_cells_are_listed_without_doing_anything(tmp_path, capsys):
    ablate(tmp_path / "new", "--dry_run", "true")
    assert capsys.readouterr().out.splitlines()[3] == "3: RFT, 8 rows, seed 0: waiting"
    assert not (tmp_path / "new").exists()


def test_a_slurm_array_has_a_task_a_cell(tmp_path, capsys):
    ablate(tmp_path / "new", "--submit", "slurm", "--dry_run", "true", "--submit_options", "[--gpus=1]")
    script = capsys.readouterr().out
    assert "#SBATCH --array=0-7" in script
    assert "#SBATCH --gpus=1" in script
    assert f'#SBATCH --output="{tmp_path}/new/slurm/%a.out"' in script
    assert '--cell "$SLURM_ARRAY_TASK_ID"' in script
    assert subprocess.run(("bash", "-n"), input=script, text=True, check=False).returncode == 0


def test_an_array_is_handed_to_sbatch(tmp_path, monkeypatch, capsys):
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"#!/bin/sh\ncat > {tmp_path}/script\necho Submitted batch job 7\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/bin:/usr/bin")
    ablate(tmp_path / "new", "--submit", "slurm")
    assert capsys.readouterr().out == "Submitted batch job 7\n"
    assert "ablate" in (tmp_path / "script").read_text()


def test_a_task_of_an_array_carries_out_its_cell_and_hands_in_nothing(tmp_path, capsys):
    ablate(tmp_path / "new", "--submit", "slurm", "--dry_run", "true")
    command = capsys.readouterr().out.strip().splitlines()[-1].replace('"$SLURM_ARRAY_TASK_ID"', "3")
    words = shlex.split(command)
    options = parsed(words[words.index("ablate") + 1 :])[1]
    assert (options.submit, options.dry_run, options.cell) == (None, False, 3)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        pytest.param(["--cell", "8"], 2, "Expected `cell` to be from 0 to 7, but got 8.", id="cell"),
        pytest.param(["--workers", "0"], 2, "Expected `workers` to be at least 1", id="workers"),
        pytest.param(
            ["--sedes", "[1]"],
            2,
            "`sedes` to be a key of the command, but it has none of that name. The nearest is `seeds`",
            id="misspelt",
        ),
        pytest.param(["--arms", "{RFT: rtf}"], 2, "Expected arm `RFT` to be one of base", id="arm"),
        pytest.param(["--seeds", "[]"], 2, "Expected `seeds` to name at least one", id="seeds"),
        pytest.param(["--policy.init_args.checkpunkt", "x"], 1, "checkpunkt", id="within-a-section"),
        pytest.param(["--policy.init_args.checkpoint"], 2, "Expected a value behind", id="no-value"),
        pytest.param(["--policy.init_args.checkpoint", "/no/where"], 1, "Expected a checkpoint folder", id="no-policy"),
        pytest.param(["--data.init_args.batch_size", "0"], 1, "batch_size", id="no-batch"),
        pytest.param(["--trainer.devices", "-1"], 1, "Expected `trainer.devices` of an ablation", id="all-devices"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, capsys, args, code, message):
    with pytest.raises(SystemExit) as stop:
        ablate(tmp_path / "new", *args)
    said = capsys.readouterr().err.splitlines()
    assert stop.value.code == code
    assert message in said[-1]
    assert len(said) == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(SystemExit) as stop:
            ablate(folder)
        (line,) = capsys.readouterr().err.splitlines()
        assert stop.value.code == 2
        assert "Expected a folder to write to at" in line


def test_workers_that_die_are_told_and_what_they_printed_is_kept(tmp_path):
    lines = "import sys; print('hello'); sys.exit('killed by a neighbour')"
    died = work_together([sys.executable, "-c", lines], 2, tmp_path / "workers")
    assert died == {0: "killed by a neighbour", 1: "killed by a neighbour"}
    assert "hello" in (tmp_path / "workers" / "1.log").read_text()
    assert work_together([sys.executable, "-c", ""], 2, tmp_path / "workers") == {}


def test_cells_that_dead_workers_left_are_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vrft_pl.commands.ablate.work_together", lambda *args: {1: "Killed"})
    with pytest.raises(SystemExit) as stop:
        ablate(tmp_path / "new", "--workers", "2")
    assert stop.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "8 of 8 cells are not done: 1 of 2 workers died, worker 1 with 'Killed'" in said


def test_values_within_a_section_are_options():
    rest, changes = sections_apart(["--policy.init_args.checkpoint", "FOLDER", "--seeds", "[1]", "--trainer.devices=2"])
    assert rest == ["--seeds", "[1]"]
    assert changes == {"policy.init_args.checkpoint": "FOLDER", "trainer.devices": 2}
    ablation = parsed([*TINY, "--policy.init_args.checkpoint", "FOLDER"])[0]
    assert ablation.policy["init_args"]["checkpoint"] == "FOLDER"


def test_values_that_name_a_class_are_taken_as_they_are_written(tmp_path):
    decay = {"class_path": "vrft_pl.modules.WarmupDecay", "init_args": {"warmup_steps": 2}}
    style = {"class_path": "vrft_pl.styles.AnswerStyle", "init_args": {"name": "mine"}}
    loss = {"class_path": "vrft_pl.algorithms.GRPOLoss", "init_args": {"kl_coefficient": 0.1}}
    recipes = {
        "sft": {"config": "configs/counting/sft.yaml", "set": {"model.init_args.scheduler": decay}},
        "rft": {"config": "configs/counting/grpo.yaml", "search": {"model.init_args.scheduler": [decay, None]}},
    }
    stages = [{"recipe": "rft", "style": style, "set": {"model.init_args.loss": loss}}]
    arms = ["--arms", json.dumps({"SFT": "cot_sft", "mine": stages}), "--contrasts", "[]"]
    ablation, _, resolved = parsed([*TINY, "--recipes", json.dumps(recipes), *arms])
    assert ablation.recipes["rft"].search["model.init_args.scheduler"] == [decay, None]
    assert resolved["arms"]["mine"][0]["set"] == {"model.init_args.loss": loss}
    runner = Runner(ablation, Store(tmp_path), InProcess())
    assert list(runner.check()) == []
    made = yaml.safe_load((tmp_path / "configs" / "check-mine-0.yaml").read_text())
    assert made["model"]["init_args"]["loss"] == loss
    assert made["data"]["init_args"]["style"] == style


@pytest.mark.parametrize("family", ["classification", "counting", "detection", "grounding", "spatial", "structure"])
def test_every_shipped_arm_fits_every_family(tmp_path, family):
    data = Section(yaml.safe_load(Path(f"configs/{family}/grpo.yaml").read_text())["data"])
    data["init_args"]["test"] = data["init_args"]["val"]
    recipes = {
        r: {"config": f"configs/{family}/{name}.yaml", "set": {}} for r, name in (("sft", "sft"), ("rft", "grpo"))
    }
    changes = ["--recipes", json.dumps(recipes)]
    ablation = parsed([*TINY, *changes])[0]
    assert {stage.recipe for arm in ARMS.values() for stage in arm.stages} == {"sft", "rft"}
    for recipe in ("sft", "rft"):
        made = stage_config(
            replace(ablation, data=data, roles={}, contrasts=[]),
            Stage(recipe, "answer"),
            None,
            data["init_args"]["train"],
            {},
            0,
        )
        path = tmp_path / f"{recipe}.yaml"
        path.write_text(yaml.safe_dump(made))
        InProcess().check(path)


def test_a_config_that_is_wrong_is_named(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("trainer: {max_step: 3}")
    with pytest.raises(InputError, match="max_step"):
        InProcess().check(path)


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        ({}, False),
        ({"devices": 1}, False),
        ({"devices": 2}, True),
        ({"devices": [0, 1]}, True),
        ({"num_nodes": 2}, True),
    ],
)
def test_runs_of_several_processes_are_started_apart(tmp_path, trainer, expected):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"trainer": trainer}))
    assert apart(path) == expected


@pytest.mark.nightly  # each worker is a process that imports everything
def test_two_workers_share_the_cells(tmp_path, finished):
    done = forked("-m", "vrft_pl", "ablate", *TINY, "--folder", tmp_path / "shared", "--workers", "2")
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads((f / "results.json").read_text()) for f in (finished, tmp_path / "shared"))
    assert [cell["rows_hash"] for cell in ours["cells"]] == [cell["rows_hash"] for cell in theirs["cells"]]
    assert [cell["state"] for cell in theirs["cells"]] == ["done"] * 8


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["SFTModule.on_test_start", "HFExport.on_train_end", "HFExport.on_fit_end"])
def test_a_signal_ends_it_whatever_it_is_at(tmp_path, monkeypatch, capsys, signum, moment):
    name, _, hook = moment.partition(".")
    owner = {"SFTModule": SFTModule, "HFExport": HFExport}[name]
    told = []

    def signalled(self, *args):
        told.append(moment)
        os.kill(os.getpid(), signum)
        return original(self, *args)

    original = getattr(owner, hook)
    monkeypatch.setattr(owner, hook, signalled)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as stop:
        ablate(tmp_path / "new")
    assert stop.value.code == 128 + signum
    assert f"Ended by {signum.name}. The same command goes on." in capsys.readouterr().err
    assert len(told) == 1
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert not any('"failed"' in cell.read_text() for cell in (tmp_path / "new" / "cells").iterdir())


def test_workers_end_with_the_command_that_started_them(tmp_path):
    lines = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); time.sleep(60)"
    script = (
        "import sys; from pathlib import Path; from vrft_pl.commands.workers import ended_by_signals, work_together\n"
        f"with ended_by_signals(): work_together([sys.executable, '-c', {lines!r}, {str(tmp_path)!r}], 2, "
        f"Path({str(tmp_path / 'logs')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 120
    while len(workers := [path for path in tmp_path.iterdir() if path.is_file()]) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    assert len(workers) == 2
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(int(worker.name), 0)


@pytest.mark.slow
def test_a_run_apart_keeps_its_lock_when_this_process_is_killed(tmp_path):
    (tmp_path / "python").write_text(f"#!/bin/sh\ntouch {tmp_path}/there\nexec sleep 60\n")
    (tmp_path / "python").chmod(0o755)
    script = (
        "import sys; from vrft_pl.ablation import Store; from vrft_pl.commands.in_process import by_itself\n"
        f"sys.executable = {str(tmp_path / 'python')!r}\n"
        f"with Store({str(tmp_path)!r}).only('stage'): by_itself('fit', [])"
    )
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "there").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert Store(tmp_path).busy("stage")
    os.killpg(process.pid, signal.SIGTERM)
    while Store(tmp_path).busy("stage") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Store(tmp_path).busy("stage")


KILLED = (
    *(*TINY, "--arms", "{SFT: cot_sft}", "--contrasts", "[]", "--match", "{by: steps, amount: 6}", "--recipes"),
    "{sft: {config: configs/counting/sft.yaml, set: {checkpoint.every_n_train_steps: 1}}}",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "whole"
    main(["ablate", *KILLED, "--folder", str(folder)])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["checkpoints/*.ckpt", "export/config.json"])
def test_one_that_is_killed_and_started_again_ends_with_the_same_table(tmp_path, whole, moment):
    broken = tmp_path / "broken"
    command = ("-m", "vrft_pl", "ablate", *KILLED, "--folder", broken)
    assert forked(*command, kill_when=lambda: any(broken.glob(f"stages/*/{moment}"))).returncode == -9
    assert not (broken / "results.json").exists()
    main(["ablate", *KILLED, "--folder", str(broken)])
    cells = [json.loads((folder / "results.json").read_text())["cells"] for folder in (whole, broken)]
    for ours, theirs in zip(*cells, strict=True):
        assert ours["scores"] == theirs["scores"]
        same = ("samples", "optimizer_steps", "generated_tokens", "trained_tokens", "flops")
        assert {name: ours["cost"][name] for name in same} == {name: theirs["cost"][name] for name in same}
        assert ours["stages"] == theirs["stages"]
