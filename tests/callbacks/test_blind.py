from __future__ import annotations

import pytest
import torch
from checkpoints import loaded
from lightning.pytorch.callbacks import ModelCheckpoint
from training import Half, Share, counting, fit, grpo, sgd, weights

from vrft_pl.callbacks import BlindAccuracy, CostMeter
from vrft_pl.data import CountingScenes
from vrft_pl.metrics import Collected
from vrft_pl.modules import SFTModule
from vrft_pl.rewards import Format
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import CutBack, MetricsLogger, RunFolder

VAL = {"id": CountingScenes(size=6, image_size=32), "snow": CountingScenes("snow", size=3, image_size=32)}
SHORT = SamplingParams(6, temperature=0.0)
SIGHTS = ("seen", "grey", "other")


class Looks(Collected):
    """Number of samples, and how many of them had pictures of one grey."""

    def values_of(self, completions, samples):
        return [all(low == high for i in s.images for low, high in i.open().getextrema()) for s in samples]

    def summarize(self, rows):
        return {f"{self.name}/samples": len(rows), f"{self.name}/grey": sum(row.value for row in rows)}


def reinforced(checkpoint):
    return grpo(checkpoint, metrics=[Share(), Looks(), Format()])


def imitating(checkpoint):
    policy = loaded(checkpoint, max_pixels=1024)
    return SFTModule(policy, metrics=[Share(), Looks()], eval_params=SHORT, optimizer=sgd)


def train(module, folder, *callbacks, ckpt_path=None, task=None, **kwargs):
    task = task or counting(size=8, val=VAL, eval_batch_size=4)
    settings = {
        "val_check_interval": 1000,
        "check_val_every_n_epoch": None,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        **kwargs,
    }
    trainer = fit(module, task, ckpt_path, callbacks=[*callbacks, CutBack()], logger=MetricsLogger(folder), **settings)
    return trainer, RunFolder(folder).metrics()


def blind(rows):
    found = [{k: v for k, v in row.items() if "/blind/" in k or k == "step"} for row in rows]
    return [row for row in found if len(row) > 1]


@pytest.mark.parametrize("module", [reinforced, imitating])
def test_the_same_samples_are_judged_seen_grey_and_with_anothers_picture_while_training(qwen3_vl, tmp_path, module):
    _, rows = train(module(qwen3_vl), tmp_path, BlindAccuracy(num_samples=4, every_n_steps=2))
    first, second = blind(rows)
    assert (first["step"], second["step"]) == ("1", "3")
    for part, count in (("id", 4), ("snow", 3)):
        samples = [float(first[f"val/blind/{part}/{sight}/Looks/samples"]) for sight in SIGHTS]
        grey = [float(first[f"val/blind/{part}/{sight}/Looks/grey"]) for sight in SIGHTS]
        assert (samples, grey) == ([count] * 3, [0, count, 0])
        assert all(f"val/blind/{part}/{sight}/Share" in second for sight in SIGHTS)
    assert not any("Format" in name for name in first)


def test_they_are_judged_before_and_after_training_too(qwen3_vl, tmp_path):
    module, watch = reinforced(qwen3_vl), BlindAccuracy(num_samples=4, every_n_steps=0)
    trainer, rows = train(module, tmp_path, watch)
    assert blind(rows) == []
    (scores, *_) = trainer.validate(module, datamodule=counting(size=8, val=VAL), verbose=False)
    names = {f"val/blind/{part}/{sight}/Share" for part in VAL for sight in SIGHTS}
    assert names <= scores.keys()
    (tested, *_) = trainer.test(module, datamodule=counting(size=8, val=VAL), verbose=False)
    assert {name.replace("val/", "test/") for name in names} <= tested.keys()


def test_what_is_seen_is_what_the_evaluation_says_of_these_samples(qwen3_vl, tmp_path):
    module = reinforced(qwen3_vl)
    trainer, _ = train(module, tmp_path, BlindAccuracy(num_samples=100))
    scores = trainer.validate(module, datamodule=counting(size=8, val=VAL), verbose=False)
    scores = {name: value for part in scores for name, value in part.items()}
    for part in VAL:
        assert scores[f"val/blind/{part}/seen/Share"] == pytest.approx(scores[f"val/{part}/Share"])


def test_an_evaluation_while_training_judges_each_step_once(qwen3_vl, tmp_path):
    watch = BlindAccuracy(num_samples=2, every_n_steps=4)
    _, rows = train(reinforced(qwen3_vl), tmp_path, watch, val_check_interval=2)
    assert len(blind(rows)) == 2


@pytest.mark.parametrize("module", [reinforced, imitating])
def test_training_is_the_same_to_the_bit_with_and_without_it(qwen3_vl, tmp_path, module):
    ends = []
    for name, callbacks in (("with", [BlindAccuracy(2, every_n_steps=1)]), ("without", [])):
        torch.manual_seed(0)
        one = module(qwen3_vl)
        _, rows = train(one, tmp_path / name, *callbacks)
        ends.append((weights(one), [row["train/loss"] for row in rows if "train/loss" in row], torch.rand(3)))
    assert ends[0][1] == ends[1][1]
    assert torch.equal(ends[0][2], ends[1][2])
    assert all(torch.equal(ends[0][0][name], value) for name, value in ends[1][0].items())


class Draws(Share):
    """A reward that draws random numbers."""

    def grade_one(self, text, sample, frame):
        return float(torch.rand(())) * super().grade_one(text, sample, frame)


def test_a_metric_that_draws_disturbs_no_training(qwen3_vl, tmp_path):
    ends = []
    for name, callbacks in (("with", [BlindAccuracy(2, every_n_steps=1)]), ("without", [])):
        torch.manual_seed(0)
        one = grpo(qwen3_vl, rewards=[Draws()])
        train(one, tmp_path / name, *callbacks)
        ends.append(weights(one))
    assert all(torch.equal(ends[0][name], value) for name, value in ends[1].items())


def test_a_resumed_run_judges_the_same(qwen3_vl, tmp_path):
    keep = ModelCheckpoint(tmp_path / "kept", "{step}", save_top_k=-1, every_n_train_steps=1)
    options = {"enable_checkpointing": True}
    _, whole = train(reinforced(qwen3_vl), tmp_path / "run", BlindAccuracy(2, 1), keep, **options)
    _, again = train(
        reinforced(qwen3_vl),
        tmp_path / "run",
        BlindAccuracy(2, 1),
        ckpt_path=str(tmp_path / "kept/step=2.ckpt"),
        **options,
    )
    assert blind(again) == blind(whole)
    assert len(blind(whole)) == 4


def test_what_it_writes_counts_as_evaluation(qwen3_vl, tmp_path):
    counts = []
    for name, callbacks in (("with", [BlindAccuracy(2, every_n_steps=1)]), ("without", [])):
        meter, module = CostMeter(), reinforced(qwen3_vl)
        trainer, _ = train(module, tmp_path / name, meter, *callbacks)
        cost = meter.summary(trainer)
        counts.append((cost["generated_tokens"], cost["completions"], cost["evaluation"]["completions"]))
    assert counts[0][:2] == counts[1][:2]
    assert (counts[0][2], counts[1][2]) == (4 * 3 * 4, 0)


def test_samples_without_a_picture_are_left_out(qwen3_vl, tmp_path):
    task = Half(CountingScenes(size=4, image_size=32), {"id": CountingScenes(size=4, image_size=32)}, style="answer")
    _, rows = train(reinforced(qwen3_vl), tmp_path, BlindAccuracy(100, 1), task=task)
    count = sum(bool(sample.images) for sample in task.datasets("val")["id"])
    assert 0 < count < 4
    assert float(blind(rows)[0]["val/blind/id/grey/Looks/samples"]) == count


def test_a_run_that_validates_on_nothing_is_left_alone(qwen3_vl, tmp_path):
    _, rows = train(reinforced(qwen3_vl), tmp_path, BlindAccuracy(2, 1), limit_val_batches=0)
    assert blind(rows) == []


@pytest.mark.parametrize("arguments", [(0, 1), (1, -1)])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match="Expected `num_samples` to be at least 1 and `every_n_steps` to be 0 or more"):
        BlindAccuracy(*arguments)
