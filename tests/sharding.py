"""What a run on several processes is compared with one process in: the columns of the table of strategies.

Each trains five steps, and has weights on the first rank, nothing elsewhere.
"""

from contextlib import nullcontext
from functools import partial

import torch
from lightning import Trainer
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from safetensors.torch import load_file
from torch.optim import SGD
from training import Half, Share, fit, sgd

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import HFExport, StepCheckpoint
from vrft_pl.data import CountingScenes
from vrft_pl.distributed import gather, is_whole, rank, whole_weights, world_size
from vrft_pl.modules import GRPOModule, SFTModule
from vrft_pl.policy import VLM, LoRA
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs.checksums import damage, manifest_of

STEPS, STOP = 5, 3
ROWS = 4
QUIET = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "logger", "enable_checkpointing"), False)


class Partial(Share):
    """Finds every completion of the later rows worth the same: their groups are dead."""

    def grade_one(self, text, sample, frame):
        return 0.5 if sample.id[-1] in "23" else super().grade_one(text, sample, frame)


def rows(ranks):
    """Every step sees all rows, of which every second is text alone: one of two ranks may hold nothing else."""
    return Half(CountingScenes(size=ROWS, image_size=32), batch_size=ROWS // ranks, style="answer")


def auto():
    return "auto"


def train(module, devices=1, num_nodes=1, strategy=auto, **kwargs):
    torch.manual_seed(0)  # adapters begin at random
    task, nodes = rows(devices * num_nodes), {"devices": devices, "num_nodes": num_nodes}
    fit(module, task, strategy=strategy(), max_epochs=STEPS, **nodes, **kwargs)
    return module


def sft(checkpoint, folder, lora=None, **kwargs):
    module = SFTModule(VLM(checkpoint, max_pixels=1024, lora=lora), optimizer=sgd)
    return whole_weights(train(module, **kwargs).policy)


class Watch(Callback):
    """Keeps how far what was sampled is from what is trained, which stale weights would show, and lengths.

    And whether all there is to train on is text, or of groups that are dead; and names of weights that ranks hold
    together, but that are still whole here after a rollout.
    """

    def __init__(self):
        self.gaps, self.lengths, self.held = [], [], []
        self.blind, self.dead = [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        with module.reference.model() if module.reference else nullcontext(module.policy) as reference:
            for policy in (module.policy, reference) if module.policy.is_spread else ():
                self.held += [name for name, parameter in policy.named_parameters() if is_whole([parameter])]

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.gaps.append(float(trainer.callback_metrics["train/sampler_gap"]))
        self.lengths.append(batch.completions.ids.shape[1])
        self.blind.append(not any(sample.images for sample in batch.samples))
        self.dead.append(not batch.live_groups.any())


def sampling(checkpoint, kl=0.0, lora=None, optimizer=sgd):
    policy = VLM(checkpoint, max_pixels=1024, lora=lora)
    policy.codec.end_token_ids = tuple(range(20, 150))  # one of which comes soon, now here and now there
    return GRPOModule(
        [Partial()],
        policy=policy,
        loss=GRPOLoss("token", kl_coefficient=kl),
        group_size=4,
        params=SamplingParams(8),
        eval_params=SamplingParams(6, temperature=0.0),
        optimizer=optimizer,
    )


def grpo(checkpoint, folder, kl=0.0, lora=None, **kwargs):
    watch, module = Watch(), sampling(checkpoint, kl, lora)
    train(module, callbacks=[watch], **kwargs)
    assert len(watch.gaps) == STEPS
    assert max(watch.gaps) < 1e-5
    assert any(len(set(lengths)) > 1 for lengths in zip(*gather(watch.lengths), strict=True)) == (world_size() > 1)
    blind, dead = (any(map(any, gather(kept))) for kept in (watch.blind, watch.dead))
    assert (blind and dead) or world_size() == 1
    assert not watch.held
    return whole_weights(module.policy)


def evaluated(checkpoint, folder, strategy=auto, **kwargs):
    """Scores before and after training, of as many rows as one rank has more than the other."""
    trainer = Trainer(accelerator="cpu", max_epochs=STEPS, strategy=strategy(), **QUIET, **kwargs)
    policy = VLM(checkpoint, max_pixels=1024)
    module = SFTModule(policy, metrics=[Share()], eval_params=SamplingParams(6, temperature=0.0), optimizer=sgd)
    devices, val = kwargs.get("devices", 1), {"id": CountingScenes(size=3, image_size=32)}
    task = Half(CountingScenes(size=ROWS, image_size=32), batch_size=ROWS // devices, style="answer", val=val)
    scores = [trainer.validate(module, datamodule=task, verbose=False)]
    trainer.fit(module, datamodule=task)
    scores.append(trainer.validate(module, datamodule=task, verbose=False))
    module.policy.register_buffer("scores", torch.tensor([part["val/id/Share"] for (part,) in scores]))
    return whole_weights(module.policy)


def clipped(*args, **kwargs):
    return grpo(*args, gradient_clip_val=0.01, **kwargs)


def exported(checkpoint, folder, what="full", **kwargs):
    """Weights in the folder that the run exports, and the names of the files beside them."""
    sft(checkpoint, folder, callbacks=[HFExport(what=what)], logger=CSVLogger(folder, "run", "0"), **kwargs)
    if rank() != 0:
        return {}
    files = list((folder / "run/0/export").iterdir())
    (weights,) = (load_file(path) for path in files if path.suffix == ".safetensors")
    return {path.name: torch.empty(0) for path in files} | weights


def resumed(checkpoint, folder, **kwargs):
    """A run that goes on after its third step ends with the weights of the one that was not stopped, to the bit."""
    momentum = partial(SGD, lr=0.1, momentum=0.9)  # which a run that forgets its optimizer would have anew
    keep = StepCheckpoint(folder / "kept", filename="{step}", every_n_train_steps=STOP)
    whole = sampling(checkpoint, 0.5, optimizer=momentum)
    train(whole, callbacks=[keep], enable_checkpointing=True, **kwargs)
    path, expected = folder / f"kept/step={STOP}.ckpt", whole_weights(whole.policy)
    assert damage(path) is None
    assert manifest_of(path).exists() == path.is_dir()  # of a file it is for the plugin of a run to write
    again = sampling(checkpoint, 0.5, optimizer=momentum)
    train(again, ckpt_path=str(path), **kwargs)
    weights = whole_weights(again.policy)
    assert all(torch.equal(value, expected[name]) for name, value in weights.items())
    return weights


ADAPTERS = LoRA(rank=2, parts=("language", "vision"))
COLUMNS = {
    "SFT": sft,
    "GRPO": grpo,
    "GRPO with KL": partial(grpo, kl=0.5),
    "clipping by norm": clipped,
    "LoRA, KL": partial(grpo, kl=0.5, lora=ADAPTERS),
    "evaluation": evaluated,
    "export": exported,
    "export of LoRA": partial(exported, lora=ADAPTERS),
    "export of the adapter": partial(exported, lora=ADAPTERS, what="adapter"),
    "resuming": resumed,
}
