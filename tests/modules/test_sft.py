import torch
from checkpoints import MIXED, sample
from lightning import Callback
from torch.optim import Adam
from training import Share, counting, fit, grpo, sgd, weights

from vrft_pl.data import CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.policy import VLM
from vrft_pl.rollout import SamplingParams


class Losses(Callback):
    def __init__(self):
        self.logged = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def test_the_loss_is_the_mean_over_target_tokens(checkpoint):
    samples = [MIXED[0], sample("Long?", number=123456.0)]
    module = SFTModule(VLM(checkpoint))
    prompts = module.policy.encode(samples)
    apart = [
        module.policy.logprobs(prompts[i : i + 1], module.policy.encode_targets([one], prompts[i : i + 1])).logprobs
        for i, one in enumerate(samples)
    ]
    assert [row.shape[1] for row in apart] == [2, 7]
    module.log = lambda *args, **kwargs: None
    expected = -sum(row.sum() for row in apart) / 9
    torch.testing.assert_close(module.training_step(samples, 0), expected, rtol=1e-5, atol=1e-6)


def test_a_run_learns_its_targets(qwen3_vl):
    log = Losses()
    module = SFTModule(VLM(qwen3_vl, max_pixels=1024), optimizer=lambda parameters: Adam(parameters, lr=1e-2))
    fit(module, counting(size=40, batch_size=4), callbacks=[log], max_epochs=4)
    assert log.logged[0]["train/loss"] > 4
    assert log.logged[-1]["train/loss"] < 1.5
    assert log.logged[0]["train/completion_tokens"] == 2


def test_supervised_and_reinforced_runs_read_the_same_samples_in_the_first_epoch(qwen3_vl):
    class Seen(Callback):
        def __init__(self):
            self.ids = []

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            self.ids.append([s.id for s in (batch if isinstance(batch, list) else batch.samples)])

    seen = []
    for module in (SFTModule(VLM(qwen3_vl), optimizer=sgd), grpo(qwen3_vl)):
        seen.append(Seen())
        fit(module, counting(size=6), callbacks=[seen[-1]])
    assert sorted(i for batch in seen[0].ids for i in batch) == sorted(i for batch in seen[1].ids for i in batch)


def test_frozen_parts_stay_as_they_are(qwen3_vl):
    module = SFTModule(VLM(qwen3_vl, freeze=("vision", "projector"), max_pixels=1024), optimizer=sgd)
    before = weights(module)
    fit(module)
    moved = {name for name, parameter in module.policy.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved
    assert not any("visual" in name for name in moved)


def test_metrics_are_evaluated_while_training(qwen3_vl):
    params = SamplingParams(4, temperature=0.0)
    module = SFTModule(VLM(qwen3_vl, max_pixels=1024), metrics=[Share()], eval_params=params, optimizer=sgd)
    trainer = fit(module, counting(val={"id": CountingScenes(size=2, image_size=32)}))
    assert "val/id/Share" in trainer.callback_metrics
