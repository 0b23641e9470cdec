import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launching import slurm
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset

from vrft_pl import __version__
from vrft_pl.__main__ import available, main, program
from vrft_pl.commands.errors import one_line
from vrft_pl.modules import PolicyModule
from vrft_pl.rewards import Reward
from vrft_pl.trainer.base import RunTrainer
from vrft_pl.types import InputError

ROOT = Path(__file__).parents[1]
QUICKSTART = ["fit", "--config", str(ROOT / "configs/quickstart.yaml"), "--run.wandb", "off"]
GROUNDING = ["fit", "--config", str(ROOT / "configs/grounding/grpo.yaml"), "--run.wandb", "off"]
SHORT = ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "1", "--data.init_args.eval_batch_size", "4"]
SHORT += ["--data.init_args.batch_size", "2", "--trainer.enable_progress_bar", "false"]


class NaNReward(Reward):
    def grade_one(self, text, sample, frame):
        return float("nan")


class Interrupts(Reward):
    """Sends a signal to its own process when its n-th answer is graded."""

    graded, moment, signum = 0, 0, signal.SIGTERM

    def grade_one(self, text, sample, frame):
        Interrupts.graded += 1
        if Interrupts.graded == Interrupts.moment:
            os.kill(os.getpid(), Interrupts.signum)
        return 1 / (1 + len(text))


class Rising(Reward):
    """Scores each answer more than the one before."""

    graded = 0

    def grade_one(self, text, sample, frame):
        Rising.graded += 1
        return 1 - 1 / (1 + Rising.graded)


def refused(args, capsys):
    """Run a command that must fail; return its exit code and the one line it says."""
    with pytest.raises(SystemExit) as stop:
        main(args)
    lines = capsys.readouterr().err.splitlines()
    said = [line for line in lines if line.startswith("vrft_pl: ")]
    assert len(said) == 1
    assert not any("Traceback" in line for line in lines)
    return stop.value.code, said[0]


def rows(tmp_path, *entries):
    """A JSON file of rows and the options that train and validate on it."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(list(entries)))
    return source("ReasonJSON", path=str(path))


def source(name, **init_args):
    value = json.dumps({"class_path": f"vrft_pl.data.{name}", "init_args": init_args})
    return ["--data.init_args.train", value, "--data.init_args.val", json.dumps({"id": json.loads(value)})]


def picture(tmp_path, name="a.png", size=(64, 64)):
    Image.new("RGB", size, "grey").save(tmp_path / name)
    return name


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--help"], "vrft_pl fit --config configs/quickstart.yaml"),
        (["fit", "--help"], "--trainer.max_steps: int = -1"),
        (["options", "data.Detection"], "batch_size: int = 4"),
        (["options", "data.Detecton"], "The nearest is `data.Detection`."),
    ],
)
def test_help_answers_without_importing_torch(args, said):
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "vrft_pl", *args], capture_output=True, text=True)
    assert said in done.stdout + done.stderr
    assert "torch" not in done.stderr


def test_classes_of_the_folder_it_is_started_in_are_found(tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    def __init__(self, limit=3): ...\n")
    program = (
        "import sys; from vrft_pl.__main__ import program; sys.argv = ['vrft_pl', 'options', 'mine.Mine']; program()"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("mine.Mine\n\n  limit = 3\n", "")


def test_a_name_that_is_no_utf8_can_be_printed(monkeypatch):
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr("sys.stdout", printed)
    monkeypatch.setattr("vrft_pl.__main__.main", lambda: print("a\udcff.jpg"))
    program()
    printed.flush()
    assert printed.buffer.getvalue() == rb"a\udcff.jpg" + b"\n"


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["vrft_pl", "--version"])
    main()
    assert capsys.readouterr().out == f"vrft_pl {__version__}\n"


def test_unknown_command_is_refused(capsys):
    assert refused(["fitt"], capsys) == (
        2,
        f"vrft_pl: expected a command out of {', '.join(available())}, but got 'fitt'.",
    )


@pytest.mark.parametrize(
    ("args", "named"),
    [
        pytest.param(["fit", "--config", "nowhere.yaml"], "nowhere.yaml", id="missing-config"),
        pytest.param([*QUICKSTART, "--trainer.max_step", "3"], "trainer.max_step", id="abbreviated-key"),
        pytest.param([*QUICKSTART, "--model.init_args.grup_size", "3"], "grup_size", id="misspelt-key"),
        pytest.param([*QUICKSTART, "--model.policy.check_point", "x"], "check_point", id="misspelt-nested-key"),
        pytest.param([*QUICKSTART, "--model.init_args.group_size", "many"], "group_size", id="wrong-type"),
        pytest.param([*QUICKSTART, "--model.init_args.group_size", "1"], "`group_size` is 1", id="group-of-one"),
        pytest.param([*QUICKSTART, "--data.init_args.batch_size", "0"], "`batch_size`", id="empty-batch"),
        pytest.param([*QUICKSTART, "--model.class_path", "vrft_pl.modules.GPRO"], "GPRO", id="unknown-class"),
        pytest.param([*QUICKSTART, "--model.policy.coordinates", "miles"], "coordinates", id="unknown-choice"),
        pytest.param([*QUICKSTART, "--data.style", "foo"], "'answer', 'think', 'caption'", id="unknown-style"),
        pytest.param([*QUICKSTART, "--model.policy.checkpoint", "/no/such"], "/no/such", id="missing-checkpoint"),
    ],
)
def test_mistake_in_the_arguments_is_one_line_that_names_the_key(args, named, capsys, no_argv, tmp_path):
    folder = tmp_path / "run"
    code, said = refused([*args, "--run.folder", str(folder)], capsys)
    assert code == 2
    assert named in said
    assert not folder.exists()


def bad_checkpoint(tmp_path):
    (tmp_path / "weightless").mkdir()
    (tmp_path / "weightless/config.json").write_text("{}")
    return [*QUICKSTART, "--model.policy.checkpoint", str(tmp_path / "weightless")]


def frozen_nothing(tmp_path):
    return [*QUICKSTART, "--model.policy.freeze_pattern", "xyz"]


def missing_image(tmp_path):
    return [*QUICKSTART, *rows(tmp_path, {"image": "gone.png", "problem": "How many?", "answer": 1})]


def truncated_image(tmp_path):
    Image.effect_noise((256, 256), 90).convert("RGB").save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:4000])
    return [*QUICKSTART, *rows(tmp_path, {"image": "cut.jpg", "problem": "How many?", "answer": 1})]


def empty_json(tmp_path):
    (tmp_path / "rows.json").write_text("")
    return [*QUICKSTART, *source("ReasonJSON", path=str(tmp_path / "rows.json"))]


def misshapen_json(tmp_path):
    (tmp_path / "rows.json").write_text('{"rows": 3}')
    return [*QUICKSTART, *source("ReasonJSON", path=str(tmp_path / "rows.json"))]


def box_outside(tmp_path):
    row = {"image": picture(tmp_path), "problem": "Locate it.", "answer": [10, 10, 90, 40]}
    return [*GROUNDING, *rows(tmp_path, row)]


def nan_reward(tmp_path):
    judge = json.dumps([{"class_path": "test_cli.NaNReward"}])
    return [*QUICKSTART, "--model.init_args.rewards", judge, "--model.init_args.on_reward_error", "raise"]


@pytest.mark.parametrize(
    ("build", "said"),
    [
        pytest.param(bad_checkpoint, "weightless", id="checkpoint-without-weights"),
        pytest.param(frozen_nothing, "Expected `freeze_pattern` to match a parameter", id="freezes-nothing"),
        pytest.param(missing_image, "there is no such file", id="missing-image"),
        pytest.param(truncated_image, "is damaged", id="truncated-image"),
        pytest.param(empty_json, "it is empty", id="empty-json"),
        pytest.param(misshapen_json, "hold a list of rows, but got a JSON dict", id="json-of-wrong-shape"),
        pytest.param(box_outside, "inside the image of 64 x 64 pixels", id="box-outside-the-image"),
        pytest.param(nan_reward, "Expected reward `NaNReward` to return a finite number", id="nan-reward"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(build, said, tmp_path, capsys, no_argv):
    folder = tmp_path / "run"
    code, line = refused([*build(tmp_path), *SHORT, "--run.folder", str(folder)], capsys)
    assert code in (1, 2)
    assert said in line
    assert not folder.exists()


def test_an_input_error_leaves_a_folder_that_was_there_as_it_was(tmp_path, capsys, no_argv):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").write_text("mine")
    refused([*missing_image(tmp_path), *SHORT, "--run.folder", str(tmp_path / "run")], capsys)
    assert (tmp_path / "run/notes.txt").read_text() == "mine"


def test_a_folder_that_is_not_named_is_named_by_config_and_seed(tmp_path, capsys, no_argv, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["validate", *QUICKSTART[1:], *SHORT[2:6], "--seed_everything", "17"])
    (folder,) = (tmp_path / "runs/quickstart").iterdir()
    assert folder.name.endswith("-seed17")


def test_fit_writes_summary_export_metrics_and_completions(tmp_path, capsys, no_argv):
    folder = tmp_path / "run"
    main([*QUICKSTART, *SHORT, "--run.folder", str(folder)])
    summary = json.loads((folder / "summary.json").read_text())
    logged = ("NumberMatch", "Format", "parse_failures/NumberMatch")
    names = {f"val/{split}/{name}" for split in ("ood_snow", "id", "ood_night") for name in logged}
    assert set(summary) == {"before", "after", "constant", "seconds", "cost"}
    assert (summary["cost"]["samples"], summary["cost"]["optimizer_steps"]) == (2, 1)
    assert set(summary["before"]) == set(summary["after"]) == names
    assert (folder / "export/model.safetensors").exists()
    assert (folder / "config.yaml").exists()
    assert (folder / "metrics.csv").read_text().count("train/reward/NumberMatch") == 1
    assert len((folder / "completions.jsonl").read_text().splitlines()) == 8
    assert capsys.readouterr().out.rstrip().endswith(f"Files of this run: {folder}")


def test_second_stage_starts_from_the_folder_of_the_first(tmp_path, capsys, no_argv):
    sft = ["fit", "--config", str(ROOT / "configs/counting/sft.yaml"), "--run.wandb", "off"]
    main([*sft, *SHORT, "--run.folder", str(tmp_path / "sft")])
    second = [*QUICKSTART, *SHORT, "--model.policy.checkpoint", str(tmp_path / "sft/export")]
    main([*second, "--run.folder", str(tmp_path / "grpo")])
    after = json.loads((tmp_path / "sft/summary.json").read_text())["after"]
    before = json.loads((tmp_path / "grpo/summary.json").read_text())["before"]
    assert before == after


def test_finished_run_is_not_overwritten(tmp_path, capsys, no_argv):
    (tmp_path / "summary.json").write_text("{}")
    code, said = refused([*QUICKSTART, "--run.folder", str(tmp_path)], capsys)
    assert code == 1
    assert "holds a finished run" in said


@pytest.mark.parametrize("command", ["validate", "test"])
def test_evaluation_prints_the_scores(command, capsys, no_argv):
    main([command, *QUICKSTART[1:], *SHORT[2:6], "--trainer.limit_test_batches", "1"])
    split = "val" if command == "validate" else "test"
    said = capsys.readouterr().out
    assert all(word in said for word in (f"{split}/id ", "NumberMatch"))  # a heading a part, a row a metric


def test_predict_writes_a_completion_a_sample(tmp_path, capsys, no_argv):
    folder = tmp_path / "run"
    options = ["--data.init_args.eval_batch_size", "4", "--trainer.limit_predict_batches", "1"]
    main(["predict", *QUICKSTART[1:], *options, "--run.folder", str(folder)])
    predictions = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(predictions) == 3 * 4
    assert [(row["split"], row["row"]) for row in predictions[3:5]] == [("ood_snow", 3), ("id", 4)]
    assert all(row["answer"] and row["completion"] and not row["scores"] for row in predictions)


def test_wandb_is_offline_without_a_key(tmp_path, monkeypatch, no_argv, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    folder = tmp_path / "run"
    args = [*QUICKSTART[:3], *SHORT, "--run.folder", str(folder), "--run.evaluate_before", "false"]
    main([*args, "--run.evaluate_after", "false"])
    assert list(folder.glob("wandb/offline-run-*"))


@pytest.mark.parametrize("command", ["fit", "ablate"])
@pytest.mark.parametrize(("text", "said"), [("", "an empty file"), ("- 3", "'- 3'")], ids=["empty", "list"])
def test_a_config_without_keys_is_one_line(command, text, said, tmp_path, capsys, no_argv):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(SystemExit) as stop:
        main([command, "--config", str(tmp_path / "config.yaml")])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"vrft_pl: Expected a config to hold keys and values, but got {said}.\n"


def test_one_line_keeps_the_reason_and_its_key():
    nested = (
        "Parser key \"model\": Does not validate against any of the Union subtypes\nSubtypes: [A, <class 'NoneType'>]\n"
        "Errors:\n  - Problem with given class_path 'x.Y':\n    no attribute Y\n  - Expected a <class 'NoneType'>\n"
        "Given value type: z"
    )
    assert one_line(nested) == "Parser key \"model\": Problem with given class_path 'x.Y': no attribute Y"


class BadRows(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise InputError("rows.parquet, row 5: expected the answer to be a number.")


def test_one_line_leaves_out_the_traceback_of_a_worker():
    with pytest.raises(InputError) as raised:
        list(DataLoader(BadRows(), num_workers=1))
    assert "Traceback" in str(raised.value)
    assert one_line(str(raised.value)) == "rows.parquet, row 5: expected the answer to be a number."


@pytest.mark.slow
def test_two_processes_fit_and_leave_one_summary(tmp_path):
    folder = tmp_path / "run"
    args = [*QUICKSTART, *SHORT, "--config", str(ROOT / "configs/hardware/cpu_ddp2.yaml"), "--run.folder", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "vrft_pl", *args], timeout=600, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"summary.json", "export", "completions.jsonl", "metrics.csv"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_the_best_policy_is_that_of_the_validation_that_scored_most(tmp_path, no_argv):
    judge = json.dumps([{"class_path": f"{__name__}.Rising"}, {"class_path": "vrft_pl.rewards.Format"}])
    args = [*QUICKSTART, *SHORT, "--trainer.max_steps", "2", "--trainer.val_check_interval", "1"]
    args += ["--model.init_args.rewards", judge, "--checkpoint.monitor", "val/id/Rising"]
    main([*args, "--run.evaluate_before", "false", "--run.evaluate_after", "false", "--run.folder", str(tmp_path)])
    assert [path.name for path in (tmp_path / "checkpoints").glob("*.ckpt")] == ["step=2.ckpt"]
    assert (tmp_path / "export-best/model.safetensors").exists()


def test_a_callback_may_stand_alone(tmp_path, no_argv):
    alone = json.dumps({"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"})
    main([*QUICKSTART, *SHORT, "--trainer.callbacks", alone, "--run.folder", str(tmp_path / "run")])
    assert (tmp_path / "run/summary.json").exists()


def test_a_run_is_resumed_from_its_checkpoint(tmp_path, capsys, no_argv):
    args = [*QUICKSTART, *SHORT[2:], "--run.evaluate_before", "false", "--checkpoint.every_n_train_steps", "2"]
    main([*args, "--trainer.max_steps", "3", "--run.folder", str(tmp_path / "first")])
    (checkpoint,) = (tmp_path / "first/checkpoints").glob("*.ckpt")
    main([*args, "--trainer.max_steps", "3", "--run.folder", str(tmp_path / "second"), "--ckpt_path", str(checkpoint)])
    ends = [load_file(tmp_path / name / "export/model.safetensors") for name in ("first", "second")]
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])


STEPS = [*QUICKSTART, *SHORT[2:], "--trainer.max_steps", "4", "--trainer.log_every_n_steps", "1"]
STEPS += ["--trainer.accumulate_grad_batches", "4", "--checkpoint.every_n_train_steps", "3"]
STEPS += ["--model.init_args.rewards", json.dumps([{"class_path": f"{__name__}.Interrupts"}])]
STEPS += ["--model.init_args.metrics", json.dumps([{"class_path": "vrft_pl.rewards.Format"}])]
STEPS += ["--completions.every_n_rollouts", "1"]


def end_by_signal(args, capsys, signum, graded):
    Interrupts.graded, Interrupts.moment, Interrupts.signum = 0, graded, signum
    code, said = refused(args, capsys)
    Interrupts.moment = 0
    return code, said


def records(folder):
    """What a run leaves, but for the seconds it took."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if v and not k.startswith("time/")} for row in csv.DictReader(file)]
    return rows, (folder / "completions.jsonl").read_bytes()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_a_resumed_run_leaves_what_an_uninterrupted_one_does(
    signum, code, tmp_path, capsys, no_argv
):
    main([*STEPS, "--run.folder", str(tmp_path / "whole")])
    folder, handlers = tmp_path / "ended", [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    args = [*STEPS, "--run.folder", str(folder)]
    got, said = end_by_signal(args, capsys, signum, 70)  # in the second of four steps of 64 answers
    assert got == code
    assert (
        f"Ended by {signum.name} after step 2, not finished. Newest checkpoint: {folder}/checkpoints/step=2.ckpt."
        in said
    )
    assert f"`--run.folder {folder} --resume`" in said
    assert not {"summary.json", "export"} & {path.name for path in folder.iterdir()}
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == handlers
    main([*args, "--resume"])
    ends = [load_file(tmp_path / name / "export/model.safetensors") for name in ("whole", "ended")]
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])
    assert records(folder) == records(tmp_path / "whole")
    assert not list(folder.glob("checkpoints/*-v*"))


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_signal_during_an_evaluation_saves_nothing_and_says_so(command, tmp_path, capsys, no_argv):
    args = [command, *STEPS[1:], "--run.folder", str(tmp_path / "run"), "--trainer.limit_val_batches", "3"]
    args += ["--model.init_args.metrics", json.dumps([{"class_path": f"{__name__}.Interrupts"}])]
    code, said = end_by_signal(args, capsys, signal.SIGTERM, 1)
    assert (code, said) == (143, "vrft_pl: Ended by SIGTERM after step 0, not finished.")


@pytest.mark.parametrize(
    ("owner", "phase", "signum"),
    [
        pytest.param(PolicyModule, "export", signal.SIGTERM, id="export"),
        pytest.param(RunTrainer, "evaluate", signal.SIGTERM, id="after"),
        pytest.param(RunTrainer, "evaluate", signal.SIGUSR1, id="after-slurms"),
    ],
)
def test_a_signal_after_training_ends_a_run_that_has_not_finished(
    owner, phase, signum, tmp_path, capsys, monkeypatch, no_argv
):
    """What is being written or evaluated comes to its end first; SLURM's puts the job in the queue again."""
    plain = getattr(owner, phase)
    if signum == signal.SIGUSR1:
        for name, value in (slurm(tmp_path, 0, tasks=1) | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}).items():
            monkeypatch.setenv(name, value)

    def interrupted(self, *args):
        done = plain(self, *args)
        os.kill(os.getpid(), signum)
        return done

    monkeypatch.setattr(owner, phase, interrupted)
    folder, after = tmp_path / "run", "false" if phase == "export" else "true"
    args = [*QUICKSTART, *SHORT, "--run.evaluate_before", "false", "--run.evaluate_after", after]
    args += ["--checkpoint.every_n_train_steps", "1", "--run.folder", str(folder)]
    code, said = refused(args, capsys)
    assert code == 128 + signum
    queued = " The job is in the queue again." if signum == signal.SIGUSR1 else ""
    assert f"vrft_pl: Ended by {signum.name} after step 1, not finished.{queued} Newest checkpoint:" in said
    assert (tmp_path / "notes").exists() == bool(queued)
    assert (folder / "export/config.json").exists()
    assert not (folder / "summary.json").exists()


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_the_last_checkpoint_is_found_or_the_run_does_not_start(command, tmp_path, capsys, no_argv):
    args = [command, *QUICKSTART[1:], *SHORT[2:], "--run.folder", str(tmp_path / "run"), "--ckpt_path", "last"]
    code, said = refused(args, capsys)
    assert code == 1
    assert (
        f"Expected a whole checkpoint for `--ckpt_path last` in {tmp_path}/run/checkpoints, but there is none" in said
    )
    assert not (tmp_path / "run").exists()


def test_checkpoints_of_lightnings_own_callback_are_refused_where_they_lose_gradients(tmp_path, capsys, no_argv):
    own = ["--trainer.callbacks", json.dumps({"class_path": "lightning.pytorch.callbacks.ModelCheckpoint"})]
    args = [*QUICKSTART, *SHORT, *own, "--run.folder", str(tmp_path / "run")]
    code, said = refused([*args, "--trainer.accumulate_grad_batches", "2"], capsys)
    assert code == 2
    assert "Expected `ModelCheckpoint` among `trainer.callbacks` to be `vrft_pl.callbacks.StepCheckpoint`" in said


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_a_server_that_does_not_answer_keeps_no_run_from_training(mode, tmp_path, monkeypatch, no_argv, capfd):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("vrft_pl.runs.tracking.SECONDS", 2)
    folder = tmp_path / "run"
    args = [*QUICKSTART[:3], *SHORT, "--run.folder", str(folder), "--run.wandb", mode]
    main([*args, "--run.evaluate_before", "false", "--run.evaluate_after", "false"])
    assert (folder / "summary.json").exists()
    assert list(folder.glob("wandb/offline-run-*"))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(
            ["--model.init_args.window", "3", "--trainer.accumulate_grad_batches", "2"], "window", id="window"
        ),
        pytest.param(["--model.init_args.num_iterations", "0"], "num_iterations", id="no-iteration"),
        pytest.param(["--data.init_args.num_workers", "-1"], "num_workers", id="negative-workers"),
        pytest.param(["--model.policy.freeze_pattern", "["], "freeze_pattern", id="broken-pattern"),
        pytest.param(["--model.init_args.rewards", "reason_rft/count"], "reason_rft/counting", id="misspelt-preset"),
    ],
)
def test_impossible_value_is_one_line_and_leaves_nothing_behind(args, said, tmp_path, capsys, no_argv):
    folder = tmp_path / "run"
    _, line = refused([*QUICKSTART, *SHORT, *args, "--run.folder", str(folder)], capsys)
    assert said in line
    assert not folder.exists()


@pytest.mark.parametrize(
    ("rewards", "names"),
    [
        ("reason_rft/counting", {"NumberMatch", "Format"}),
        ('[{"class_path": "vrft_pl.rewards.NumberMatch", "init_args": {"name": "N"}}]', {"N"}),
    ],
)
def test_rewards_are_named_by_paper_or_listed(rewards, names, tmp_path, no_argv):
    options = [
        "--model.init_args.metrics",
        "null",
        "--run.evaluate_before",
        "false",
        "--run.folder",
        str(tmp_path / "r"),
    ]
    main([*QUICKSTART, *SHORT, *options, "--model.init_args.rewards", rewards])
    after = json.loads((tmp_path / "r/summary.json").read_text())["after"]
    assert {f"val/id/{name}" for name in names} <= set(after)


def test_one_batch_is_one_batch_and_a_share_is_a_share(capsys, no_argv):
    options = ["--trainer.limit_predict_batches", "1", "--trainer.limit_val_batches", "0.5"]
    with pytest.raises(SystemExit):
        main([*QUICKSTART, *options, "--print_config"])
    shown = capsys.readouterr().out
    assert "limit_predict_batches: 1\n" in shown
    assert "limit_val_batches: 0.5\n" in shown
