"""What a run on several processes is compared with one process in: the columns of the table of strategies."""

from functools import partial

import torch
from lightning import Trainer
from lightning.pytorch import Callback
from training import Half, Share, fit, sgd

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.data import CountingScenes
from vrft_pl.distributed import gather, world_size
from vrft_pl.modules import GRPOModule, SFTModule
from vrft_pl.policy import VLM, LoRA
from vrft_pl.rollout import SamplingParams

STEPS = 5
ROWS = 4
QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger", "enable_checkpointing"), False)


class Partial(Share):
    """Finds every completion of the later rows worth the same: their groups are dead."""

    def grade_one(self, text, sample, frame):
        return 0.5 if sample.id[-1] in "23" else super().grade_one(text, sample, frame)


def rows(devices):
    """Every step sees all rows, of which every second is text alone: one of two ranks may hold nothing else."""
    return Half(CountingScenes(size=ROWS, image_size=32), batch_size=ROWS // devices, style="answer")


def train(module, devices=1, **kwargs):
    torch.manual_seed(0)  # adapters begin at random
    fit(module, rows(devices), devices=devices, max_epochs=STEPS, **kwargs)
    return module


def sft(checkpoint, folder, lora=None, **kwargs):
    return train(SFTModule(VLM(checkpoint, max_pixels=1024, lora=lora), optimizer=sgd), **kwargs)


class Watch(Callback):
    """Keeps how far what was sampled is from what is trained, which stale weights would show, and lengths."""

    def __init__(self):
        self.gaps, self.lengths = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.gaps.append(float(trainer.callback_metrics["train/sampler_gap"]))
        self.lengths.append(batch.completions.ids.shape[1])


def grpo(checkpoint, folder, kl=0.0, lora=None, **kwargs):
    policy = VLM(checkpoint, max_pixels=1024, lora=lora)
    policy.codec.end_token_ids = tuple(range(20, 150))  # one of which comes soon, now here and now there
    module = GRPOModule(
        [Partial()],
        policy=policy,
        loss=GRPOLoss("token", kl_coefficient=kl),
        group_size=4,
        params=SamplingParams(8),
        eval_params=SamplingParams(6, temperature=0.0),
        optimizer=sgd,
    )
    watch = Watch()
    train(module, callbacks=[watch], **kwargs)
    assert len(watch.gaps) == STEPS
    assert max(watch.gaps) < 1e-5
    assert any(len(set(lengths)) > 1 for lengths in zip(*gather(watch.lengths), strict=True)) == (world_size() > 1)
    return module


def evaluated(checkpoint, folder, **kwargs):
    """Scores before and after training, of as many rows as one rank has more than the other."""
    trainer = Trainer(accelerator="cpu", max_epochs=STEPS, **QUIET, **kwargs)
    policy = VLM(checkpoint, max_pixels=1024)
    module = SFTModule(policy, metrics=[Share()], eval_params=SamplingParams(6, temperature=0.0), optimizer=sgd)
    devices, val = kwargs.get("devices", 1), {"id": CountingScenes(size=3, image_size=32)}
    task = Half(CountingScenes(size=ROWS, image_size=32), batch_size=ROWS // devices, style="answer", val=val)
    scores = [trainer.validate(module, datamodule=task, verbose=False)]
    trainer.fit(module, datamodule=task)
    scores.append(trainer.validate(module, datamodule=task, verbose=False))
    module.policy.register_buffer("scores", torch.tensor([part["val/id/Share"] for (part,) in scores]))
    return module


def clipped(*args, **kwargs):
    return grpo(*args, gradient_clip_val=0.01, **kwargs)


COLUMNS = {
    "SFT": sft,
    "GRPO": grpo,
    "GRPO with KL": partial(grpo, kl=0.5),
    "clipping": clipped,
    "evaluation": evaluated,
    "LoRA": partial(grpo, kl=0.5, lora=LoRA(rank=2, parts=("language", "vision"))),
}
