"""What `vrft_pl check` makes of what it finds: the exit code, the counts, and numbers at their limits."""

import json
import re
import time
from pathlib import Path

import pytest
from checkpoints import loaded

from vrft_pl.__main__ import main
from vrft_pl.rollout import LocalSampler

QUICKSTART = ["--config", str(Path(__file__).parents[2] / "configs/quickstart.yaml"), "--run.wandb", "off"]


@pytest.fixture
def check(tmp_path, capsys, no_argv):
    """Run a check; return its exit code and its report."""

    def run(*options):
        code = 0
        try:
            main(["check", *QUICKSTART, *options, "--run.folder", str(tmp_path)])
        except SystemExit as stop:
            code = stop.code
        return code, json.loads((tmp_path / "check.json").read_text())

    return run


def said(report, level):
    return [found["what"] for findings in report["steps"].values() for found in findings if found["level"] == level]


@pytest.mark.parametrize(("prompts", "level"), [(8, "error"), (4, "warning")], ids=["64-answers", "32-answers"])
def test_rewards_that_never_differ_fail_a_check_that_has_seen_enough(check, prompts, level):
    constant = json.dumps([{"class_path": "check.faults.Constant"}])
    options = ["--model.init_args.rewards", constant, "--model.init_args.group_size", "8"]
    skip = ["--check.skip", "[memory, speed, gold, pictures, boxes]", "--check.prompts", str(prompts)]
    code, report = check(*options, *skip)
    assert any("GRPO has no signal" in what for what in said(report, level))
    assert report["errors"] == len(said(report, "error"))
    assert report["warnings"] == len(said(report, "warning"))
    assert code == int(level == "error")


def test_a_config_without_data_fails_the_check(check):
    empty = ["--data.init_args.train", "null", "--data.init_args.val", "{}", "--data.init_args.test", "{}"]
    code, report = check(*empty)
    assert code == 1
    assert "The config names no data: set `data.init_args.train`." in said(report, "error")
    assert report["errors"] >= 1


@pytest.mark.parametrize("spare", [0, -1], ids=["just-enough", "one-too-few"])
def test_the_end_of_the_turn_is_a_token_of_the_right_answer(check, spare):
    tokenizer = loaded("tiny").codec.tokenizer
    scenes = {"class_path": "vrft_pl.data.CountingScenes", "init_args": {"size": 3}}
    longest = max(len(tokenizer(str(n), add_special_tokens=False)["input_ids"]) for n in range(10)) + 1
    options = ["--data.init_args.train", json.dumps(scenes), "--data.init_args.val", "{}"]
    options += ["--data.init_args.style", "answer", "--check.skip", "[memory, speed, gold, pictures, signal, boxes]"]
    _, report = check(*options, "--model.init_args.params.max_tokens", str(longest + spare))
    too_long = [what for what in said(report, "error") if "right answers are longer than `max_tokens`" in what]
    assert len(too_long) == -spare


class Slow(LocalSampler):
    """Takes a second for each rollout."""

    def generate(self, *args, **kwargs):
        time.sleep(1)
        return super().generate(*args, **kwargs)


def test_the_time_of_a_step_has_its_share_of_the_rollout(check):
    slow = json.dumps({"class_path": f"{__name__}.Slow"})
    options = ["--model.init_args.sampler", slow, "--model.init_args.window", "4", "--trainer.max_steps", "8"]
    options += ["--trainer.accumulate_grad_batches", "1", "--data.init_args.batch_size", "1"]
    _, report = check(*options, "--check.skip", "[memory, gold, pictures, signal, tokens, boxes]")
    (seconds,) = [float(n) for what in said(report, "note") for n in re.findall(r"step takes ([0-9.]+) seconds", what)]
    assert 0.25 <= seconds < 0.75
