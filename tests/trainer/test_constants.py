"""Constant answers beside the scores of a run."""

import json
from pathlib import Path

import pytest

from vrft_pl.__main__ import main
from vrft_pl.answers import Number
from vrft_pl.metrics import Constants
from vrft_pl.runs import RunFolder
from vrft_pl.trainer.constants import warnings_of

ROOT = Path(__file__).parents[2]
SHORT = ["--config", str(ROOT / "configs/quickstart.yaml"), "--trainer.enable_progress_bar", "false"]
SHORT += ["--data.init_args.eval_batch_size", "4", "--data.init_args.batch_size", "1", "--run.folder", "run"]
FIT = ["fit", *SHORT, "--run.wandb", "off", "--trainer.limit_val_batches", "2", "--trainer.max_steps", "1"]
FIT += ["--export.enabled", "false"]
PARTS = ("ood_snow", "id", "ood_night")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch, no_argv):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(split="val"):
    """The constant, and the share of judged rows of each part that it is right in."""
    [answer] = json.loads(Path("run/constants.json").read_text())["answers"]["NumberMatch"].values()
    rows = list(RunFolder("run").predictions())
    step = max(row.step for row in rows)
    right = {part: [r.answer == answer for r in rows if r.step == step and r.split == part] for part in PARTS}
    return {f"{split}/{part}/NumberMatch": sum(r) / len(r) for part, r in right.items()}


def test_a_training_run_has_the_constants_of_the_rows_that_it_judged(capsys):
    main(FIT)
    folder = RunFolder("run")
    assert folder.summary()["constant"] == folder.constants() == pytest.approx(answers())
    table = capsys.readouterr().out
    assert "constant" in table


def test_an_evaluation_has_constants_in_a_file_of_their_own(capsys):
    main(["test", *SHORT, "--trainer.limit_test_batches", "2"])
    folder = RunFolder("run")
    assert folder.constants() == pytest.approx(answers("test"))
    assert set(folder.scores()) == {
        f"test/{part}/{name}" for part in PARTS for name in ("NumberMatch", "Format", "parse_failures/NumberMatch")
    }


def test_a_policy_below_a_constant_is_warned_of_with_part_and_gap(place, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(place))
    (place / "typist.py").write_text((ROOT / "docs/examples/sampler.py").read_text())
    few = ["--data.init_args.eval_batch_size", "128", "--trainer.limit_val_batches", "1"]
    main(["validate", *SHORT, *few, "--model.init_args.sampler", json.dumps({"class_path": "typist.Typist"})])
    scores, constants = RunFolder("run").scores(), RunFolder("run").constants()
    told = " ".join(capsys.readouterr().out.split())
    for part in PARTS:
        name = f"val/{part}/NumberMatch"
        assert scores[name] == 0
        line = f"Warning: {name} is 0.000, {constants[name]:.3f} below the {constants[name]:.3f} of a constant answer."
        assert line in told


def test_a_config_without_training_rows_leaves_constants_out_and_says_so(capsys):
    main(["validate", *SHORT, "--trainer.limit_val_batches", "1", "--data.init_args.train", "null"])
    assert not Path("run/constants.json").exists()
    assert RunFolder("run").constants() == {}
    assert "No constant answer beside the scores: there are no training rows" in capsys.readouterr().out


def test_constants_are_left_out_where_they_are_not_wanted(capsys):
    main([*FIT, "--run.constants", "false"])
    assert RunFolder("run").summary()["constant"] == {}
    assert "onstant" not in capsys.readouterr().out


def test_a_policy_to_which_pictures_do_not_matter_is_warned_of():
    scores = {"val/blind/id/seen/BoxIoU": 0.31, "val/blind/id/grey/BoxIoU": 0.34}
    line = "val/blind/id: BoxIoU is 0.310 with the picture and 0.340 with a grey one: pictures do not matter to it yet."
    assert warnings_of(Constants(), "val", scores) == [f"Warning: {line}"]


def test_a_kind_whose_candidates_are_faulty_does_not_end_the_run(capsys, monkeypatch):
    monkeypatch.setattr(Number, "constants", lambda truths, frames: 1 / 0)
    main(FIT)
    assert RunFolder("run").finished
    assert "No constant answer beside the scores: ZeroDivisionError: division by zero." in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_run_trains_to_is_the_same_with_constants_and_without(capsys):
    main(FIT)
    after = RunFolder("run").summary()["after"]
    Path("run/summary.json").unlink()
    main([*FIT, "--run.constants", "false"])
    assert RunFolder("run").summary()["after"] == after
