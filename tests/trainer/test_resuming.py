import copy
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vrft_pl.__main__ import main
from vrft_pl.runs import RunFolder
from vrft_pl.runs.checksums import damage, files_of, manifest_of
from vrft_pl.trainer.resuming import checked, flat, latest_unfinished, refuse_changes
from vrft_pl.types import InputError

ROOT = Path(__file__).parents[2]
STEPS = ["fit", "--config", "configs/quickstart.yaml", "--trainer.max_steps", "4", "--checkpoint.every_n_train_steps"]
STEPS += ["1", "--run.evaluate_before", "false", "--run.evaluate_after", "false", "--run.wandb", "off"]
STEPS += ["--data.init_args.batch_size", "2", "--trainer.limit_val_batches", "0", "--predictions.enabled", "false"]
CONFIG = {"model": {"init_args": {"group_size": 8}}, "trainer": {"max_steps": 4, "devices": 1}, "seed_everything": 0}
DATA = {"train/train": {"rows": 4, "sha256": "a"}}


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.write(folder.MANIFEST, {"starts": [{"config": CONFIG, "data": DATA}]})
    return folder


def changed(**keys):
    config = copy.deepcopy(flat(CONFIG))
    return {**config, **keys}


@pytest.mark.parametrize("keys", [{}, {"trainer.max_steps": 9}, {"run.folder": "a"}, {"ckpt_path": "b"}])
def test_what_decides_on_no_step_may_change(folder, keys):
    refuse_changes(folder, changed(**keys), DATA)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        pytest.param({"model.init_args.group_size": 4}, "model.init_args.group_size is 4 and was 8", id="changed"),
        pytest.param({"model.init_args.window": 2}, "model.init_args.window is 2 and was None", id="new"),
        pytest.param({"seed_everything": 1}, "seed_everything is 1 and was 0", id="seed"),
        pytest.param({f"model.k{i}": i for i in range(9)}, "model.k2 is 2 and was None, and 6 more.", id="many"),
    ],
)
def test_what_decides_on_a_step_may_not_change(folder, keys, said):
    with pytest.raises(InputError, match="Expected to go on with the run that .*") as error:
        refuse_changes(folder, changed(**keys), DATA)
    assert said in str(error.value)


def test_other_rows_are_another_run(folder):
    with pytest.raises(InputError, match="but the rows of train/train are others. Undo it"):
        refuse_changes(folder, flat(CONFIG), {"train/train": {"rows": 4, "sha256": "b"}})


def test_a_folder_of_no_run_refuses_nothing(tmp_path):
    refuse_changes(RunFolder(tmp_path), flat(CONFIG), DATA)


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"starts": 1}', '{"starts": [{"config": [1]}]}', '{"starts": [{"data": 1}]}']
)
def test_a_damaged_manifest_is_set_aside_and_bars_no_run(folder, damage):
    path = folder.path / folder.MANIFEST
    path.write_text(damage)
    with pytest.warns(
        UserWarning, match=r"Whether the run has changed can't be told: going on, and keeping it as .*damaged"
    ):
        refuse_changes(folder, changed(seed_everything=1), DATA)
    assert folder.starts() == []
    assert path.with_name("manifest.json.damaged").read_text() == damage


def test_a_run_that_is_finished_is_left_alone_by_a_job_that_is_run_again(folder, capsys, no_argv):
    folder.write(folder.SUMMARY, {})
    with pytest.raises(SystemExit) as stop:
        main([*STEPS, "--run.folder", str(folder), "--resume"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"The run in {folder} is finished: nothing is left to do.\n"
    with pytest.raises(SystemExit) as stop:
        main([*STEPS, "--run.folder", str(folder)])
    assert stop.value.code == 1
    assert "holds a finished run" in capsys.readouterr().err


def test_the_unfinished_run_of_a_seed_that_started_last_is_found(tmp_path):
    for name, finished in {"20260101-000000-seed0": 0, "20260102-000000-seed0": 0, "20260103-000000-seed0": 1}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").touch()
        if finished:
            (tmp_path / name / "summary.json").touch()
    (tmp_path / "20260109-000000-seed1").mkdir()
    (tmp_path / "20260109-000000-seed1/metrics.csv").touch()
    assert latest_unfinished(tmp_path, 0) == tmp_path / "20260102-000000-seed0"
    assert latest_unfinished(tmp_path, 2) is None
    assert latest_unfinished(tmp_path / "none", 0) is None


def test_a_run_goes_on_before_its_damaged_checkpoint_and_ends_as_if_nothing_had_been(tmp_path, capsys, caplog, no_argv):
    """A run without a checkpoint starts; one with a torn newest one goes on before it."""
    ends = []
    for name in ("whole", "ended"):
        with caplog.at_level(logging.INFO):
            main([*STEPS, "--run.folder", str(tmp_path / name), "--resume"])
        assert f"{tmp_path / name} holds no checkpoint to go on from" in caplog.text
        ends.append((tmp_path / name / "export/model.safetensors").read_bytes())
    run = RunFolder(tmp_path / "ended")
    records = list(run.metrics()), list(run.completions())
    names = sorted(path.name for path in run.checkpoints.glob("*.ckpt"))
    assert names == ["step=3.ckpt", "step=4.ckpt"]
    (run.path / "summary.json").unlink()
    newest = Path(run.checkpoints / "step=4.ckpt")
    newest.write_bytes(newest.read_bytes()[:-9])
    with caplog.at_level(logging.INFO), pytest.warns(UserWarning, match="step=4.ckpt is damaged: .* bytes of"):
        main([*STEPS, "--run.folder", str(run), "--resume"])
    assert f"Going on with {run} from step=3.ckpt." in caplog.text
    assert (run.path / "export/model.safetensors").read_bytes() == ends[0] == ends[1]
    assert list(run.completions()) == records[1]
    assert [row["step"] for row in run.metrics()] == [row["step"] for row in records[0]]
    with pytest.raises(SystemExit):
        main([*STEPS, "--run.folder", str(run), "--resume", "--ckpt_path=last"])
    assert "but got both. Leave one of them out." in capsys.readouterr().err


SPREAD = {
    "fsdp2": {"class_path": "vrft_pl.distributed.FSDP2", "init_args": {"save_distributed_checkpoint": True}},
    "zero3": {
        "class_path": "ddp_step.CPUDeepSpeed",
        "init_args": {"stage": 3, "process_group_backend": "gloo", "logging_batch_size_per_gpu": 1},
    },
}
SHARE = {"fsdp2": "__1_0.distcp", "zero3": "zero_pp_rank_1_mp_rank_00_optim_states.pt"}
"""What the second rank alone saves."""


def on_two_processes(strategy, folder):
    """What a run says."""
    command = [sys.executable, "-m", "vrft_pl", *STEPS, "--trainer.devices", "2", "--run.folder", str(folder)]
    command += ["--trainer.strategy", json.dumps(SPREAD[strategy]), "--trainer.enable_progress_bar", "false"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
    done = subprocess.run(
        [*command, "--resume"], cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.nightly
@pytest.mark.parametrize("strategy", SPREAD)
def test_a_run_whose_ranks_save_their_shares_goes_on_before_a_damaged_one(strategy, tmp_path):
    """Each checkpoint is a folder with a manifest beside it; one damaged share of it is enough."""
    run = RunFolder(tmp_path / "run")
    on_two_processes(strategy, run)
    ended, logged = (run.path / "export/model.safetensors").read_bytes(), run.metrics()
    kept = [run.checkpoints / f"step={step}.ckpt" for step in (4, 3)]
    assert run.checkpoints_by_age() == kept
    assert all(path.is_dir() and manifest_of(path).exists() and damage(path) is None for path in kept)
    (share,) = (path for path in files_of(kept[0]) if path.name == SHARE[strategy])
    share.write_bytes(share.read_bytes()[:-9])
    (run.path / "summary.json").unlink()
    said = on_two_processes(strategy, run)
    assert f"step=4.ckpt is damaged: {share.name} has" in said
    assert f"Going on with {run} from step=3.ckpt." in said
    assert (run.path / "export/model.safetensors").read_bytes() == ended
    assert [row["step"] for row in run.metrics()] == [row["step"] for row in logged]
    assert run.whole_checkpoint() == (kept[0], {})


@pytest.mark.parametrize(
    "address", ["memory://nothing.ckpt", "nowhere://nothing.ckpt"], ids=["missing", "unknown-kind"]
)
def test_an_address_with_no_checkpoint_is_refused_before_a_run(address):
    with pytest.raises(InputError, match=f"Expected a whole checkpoint of a run at {address}, but"):
        checked(address)
