import ast
import json
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml

from vrft_pl.__main__ import main
from vrft_pl.rollout import LocalSampler
from vrft_pl.trainer.base import Batches, RunTrainer
from vrft_pl.types import InputError

ROOT = Path(__file__).parents[2]
COMMANDS = ROOT / "vrft_pl/commands"
QUICKSTART = ["--config", str(ROOT / "configs/quickstart.yaml"), "--run.wandb", "off"]
SHORT = ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "1", "--data.init_args.eval_batch_size", "4"]
SHORT += [
    "--trainer.limit_test_batches",
    "1",
    "--trainer.limit_predict_batches",
    "1",
    "--check.skip",
    "[memory, speed]",
]
SHORT += [
    "--data.init_args.batch_size",
    "1",
    "--trainer.enable_progress_bar",
    "false",
    "--run.evaluate_before",
    "false",
]


class Engine(LocalSampler):
    """Counts how often it is closed."""

    closed = 0

    def close(self):
        Engine.closed += 1


class Broken(Engine):
    def generate(self, *args, **kwargs):
        raise InputError("The engine is gone.")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of somebody else's that adds commands."""
    (tmp_path / "count_pens.py").write_text(
        "from vrft_pl.types import InputError\n"
        "def main(args):\n    print('counted', args)\n"
        "def fails(args):\n    raise InputError('No pens.')\n"
    )
    (tmp_path / "pens-1.0.dist-info").mkdir()
    (tmp_path / "pens-1.0.dist-info/METADATA").write_text("Name: pens\nVersion: 1.0\n")
    (tmp_path / "pens-1.0.dist-info/entry_points.txt").write_text(
        "[vrft_pl.commands]\ncount = count_pens:main\nfail = count_pens:fails\nfit = count_pens:main\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def print_config(args, capsys):
    with pytest.raises(SystemExit):
        main([*args, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_an_installed_package_adds_a_command(installed, capsys):
    main(["count", "--pens", "3"])
    assert capsys.readouterr().out == "counted ['--pens', '3']\n"
    main(["--help"])
    shown = capsys.readouterr().out
    assert "  count     From count_pens:main.\n" in shown
    assert shown.count("  fit ") == 1


def test_a_command_of_ones_own_cannot_take_the_place_of_ours(installed, capsys, no_argv):
    assert print_config(["fit", *QUICKSTART], capsys)["trainer"]["max_steps"] == 100


def test_a_wrong_input_of_ones_own_command_is_one_line(installed, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fail"])
    assert (stop.value.code, capsys.readouterr().err) == (1, "vrft_pl: No pens.\n")


def run(command, engine, tmp_path, *args):
    Engine.closed = 0
    sampler = json.dumps({"class_path": f"{__name__}.{engine.__name__}"})
    options = [*SHORT] if command == "check" else [w for w in SHORT if w not in ("--check.skip", "[memory, speed]")]
    main([command, *QUICKSTART, *options, "--model.init_args.sampler", sampler, "--run.folder", str(tmp_path), *args])


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict", "check"])
def test_the_engine_is_closed_once_at_the_end(command, tmp_path, no_argv):
    run(command, Engine, tmp_path / "run")
    assert Engine.closed == 1


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict", "check"])
def test_the_engine_is_closed_once_when_a_command_fails(command, tmp_path, capsys, no_argv):
    with pytest.raises(SystemExit):
        run(command, Broken, tmp_path / "run")
    assert capsys.readouterr().err.startswith("vrft_pl: ")
    assert Engine.closed == 1


def test_the_engine_is_closed_when_the_trainer_cannot_be_built(tmp_path, capsys, no_argv):
    with pytest.raises(SystemExit):
        run("fit", Engine, tmp_path / "run", "--trainer.strategy", "teleport")
    assert Engine.closed == 1


@pytest.mark.parametrize("command", ["fit", "validate", "check"])
def test_a_run_is_evaluated_before_and_after_and_every_step_is_logged_unless_the_config_says_otherwise(
    command, tmp_path, capsys, no_argv
):
    names = ("val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps", "log_every_n_steps")
    trainer = print_config([command, *QUICKSTART], capsys)["trainer"]
    assert [trainer[name] for name in names] == [1_000_000, None, 0, 1]
    (tmp_path / "mine.yaml").write_text("trainer: {val_check_interval: 0.5, check_val_every_n_epoch: 2}")
    options = ["--config", str(tmp_path / "mine.yaml"), "--trainer.log_every_n_steps", "7"]
    trainer = print_config([command, *QUICKSTART, *options], capsys)["trainer"]
    assert [trainer[name] for name in names] == [0.5, 2, 0, 7]


def test_one_batch_is_no_share_of_them(capsys, no_argv):
    given = {"limit_train": "1", "limit_val": "1.0", "limit_test": "1e-1", "limit_predict": "null", "overfit": "2"}
    options = [word for name, value in given.items() for word in (f"--trainer.{name}_batches", value)]
    trainer = print_config(["fit", *QUICKSTART, *options], capsys)["trainer"]
    assert [repr(trainer[f"{name}_batches"]) for name in given] == ["1", "1.0", "0.1", "None", "2"]


def test_numbers_of_batches_are_no_union_whose_order_typing_may_change():
    """`typing` hands out the union of the same types that was written first, and the parser tries them in turn."""
    hints = get_type_hints(RunTrainer.__init__)
    for name in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches"):
        assert set(get_args(hints[name])) == {Batches, type(None)}
    assert hints["overfit_batches"] is Batches


@pytest.mark.parametrize("value", ["many", "true", "1.0.0"])
def test_a_number_of_batches_that_is_none_is_one_line_that_names_the_key(value, capsys, no_argv):
    with pytest.raises(SystemExit) as stop:
        main(["fit", *QUICKSTART, "--trainer.limit_val_batches", value])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert 'Parser key "trainer.limit_val_batches"' in said
    assert f"Expected a number of batches or a share of them, but got '{value}'." in said


@pytest.mark.parametrize("path", sorted(COMMANDS.glob("*.py")), ids=lambda path: path.name)
def test_the_commands_reach_into_no_private_name(path):
    """Of Lightning, jsonargparse or anybody else: what breaks there would break with any of their releases."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    private = [node.attr for node in tree if isinstance(node, ast.Attribute) and node.attr.strip("_") != node.attr]
    assert [name for name in private if not name.endswith("__")] == []


def test_a_rank_that_is_no_number_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("LOCAL_RANK", "first")
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", "configs/quickstart.yaml"])
    assert stop.value.code == 2
    assert "Expected `LOCAL_RANK` of the environment to be a number" in capsys.readouterr().err
