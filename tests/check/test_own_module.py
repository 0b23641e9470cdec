"""A module made outside the package is checked as those within it."""

import json

import pytest
from checkpoints import loaded
from lightning import Trainer
from PIL import Image
from training import Share, counting, sgd

from vrft_pl.check import CheckOptions, TrainerSection, check_run
from vrft_pl.data import Counting, ReasonJSON
from vrft_pl.modules import PolicyModule
from vrft_pl.rewards import BoxIoU, NumberMatch
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import RunFolder


class Reinforcing(PolicyModule):
    """Samples within its training step."""

    trains_on_samples = True

    def __init__(self, policy, rewards, **kwargs):
        super().__init__(policy, metrics=rewards, optimizer=sgd, eval_params=SamplingParams(6), **kwargs)
        self.rewards, self.group_size, self.params = rewards, 3, SamplingParams(4)

    def training_step(self, samples, batch_idx):
        completions = self.generate(samples, self.group_size, self.params, batch_idx)
        repeated = [sample for sample in samples for _ in range(self.group_size)]
        scores = sum(reward.weight * reward.score(completions, repeated) for reward in self.rewards)
        logprobs, _ = self.policy.logprobs(self.policy.encode(samples), completions)
        return -(scores[:, None] * logprobs * completions.mask).mean()


class Evaluating(PolicyModule):
    """Says nothing of how it trains."""

    def training_step(self, samples, batch_idx):
        return sum(p.sum() for p in self.policy.parameters()) * 0


class Copying(Evaluating):
    """Needs the targets of its rows."""

    imitates = True


def report(module, tmp_path, task=None, skip=()):
    section = TrainerSection.of({"accelerator": "cpu", "max_steps": 2})
    return check_run(module, task or counting(4), section, CheckOptions(prompts=2, skip=skip), RunFolder(tmp_path))


def told(report, step, level=None):
    return " ".join(f.what for f in report.steps.get(step, ()) if level in (None, f.level))


def test_module_that_samples_is_asked_how(tmp_path):
    found = report(Reinforcing(loaded("tiny"), [Share()]), tmp_path)
    assert "6 completions to 2 prompts" in told(found, "signal")
    assert "max_tokens 4 (training), 6 (evaluation)" in told(found, "tokens")
    assert "deviation within groups" in told(found, "signal")
    assert "of 2 groups have equal rewards" in told(found, "signal")
    assert "One optimizer step takes" in told(found, "speed")
    assert "2 steps take" in told(found, "speed")


def test_rewards_of_a_module_that_judge_no_row_are_an_error(tmp_path):
    found = report(Reinforcing(loaded("tiny"), [BoxIoU()]), tmp_path, skip=("signal", "speed", "memory"))
    assert "4 of 4 rows have a ground truth that no reward judges." in told(found, "gold", "error")


def test_module_that_says_nothing_is_checked_as_it_evaluates(tmp_path):
    module = Evaluating(loaded("tiny"), metrics=[NumberMatch()], eval_params=SamplingParams(5))
    found = report(module, tmp_path)
    assert "2 completions to 2 prompts" in told(found, "signal")
    assert "groups" not in told(found, "signal")
    assert "max_tokens 5 (evaluation)" in told(found, "tokens")
    assert "One optimizer step takes" in told(found, "speed")
    assert not any("reference" in finding.what for finding in found.steps["memory"])


@pytest.mark.parametrize(("kind", "errors"), [(Copying, 4), (Evaluating, 0)])
def test_targets_are_needed_by_a_module_that_imitates(kind, errors, tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    rows = [{"id": i, "image": "a.png", "problem": "How many?", "answer": i} for i in range(4)]  # without thoughts
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    task = Counting(ReasonJSON(str(tmp_path / "rows.json")))
    found = report(kind(loaded("tiny"), metrics=[NumberMatch()]), tmp_path, task, skip=("signal", "speed", "memory"))
    rows = [row for finding in found.steps["tokens"] if finding.level == "error" for row in finding.rows]
    assert len(rows) == errors


def test_module_trains_as_it_was_checked(tmp_path):
    module = Reinforcing(loaded("tiny"), [Share()])
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(accelerator="cpu", max_steps=2, limit_val_batches=0, default_root_dir=tmp_path, **options)
    trainer.fit(module, datamodule=counting(4))
    assert trainer.global_step == 2
