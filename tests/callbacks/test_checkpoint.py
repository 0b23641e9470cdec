import os

import pytest
import torch
from checkpoints import loaded
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim import Adam
from training import Share, counting, fit, grpo, weights

from vrft_pl.callbacks import StepCheckpoint
from vrft_pl.data import CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import RunFolder, WholeCheckpointIO
from vrft_pl.runs.checksums import manifest_of
from vrft_pl.types import InputError


class Killed(Exception):
    pass


class Kill(Callback):
    """Ends a process before its n-th micro-batch is trained on."""

    def __init__(self, batches):
        self.left = batches

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.left -= 1
        if self.left < 0:
            raise Killed


class Validated(Callback):
    """Where in an optimizer step the policy was validated, and what was saved by then."""

    def on_save_checkpoint(self, trainer, module, checkpoint):
        self.saved.append(trainer.fit_loop.epoch_loop.batch_progress.current.ready % trainer.accumulate_grad_batches)

    def __init__(self):
        self.saved = []


def adam(parameters):
    return Adam(parameters, lr=1e-2)


def sft(checkpoint):
    evaluation = {"metrics": [Share()], "eval_params": SamplingParams(2, temperature=0.0)}
    return SFTModule(loaded(checkpoint, max_pixels=1024), optimizer=adam, **evaluation)


def reinforced(checkpoint):
    return grpo(checkpoint, optimizer=adam, group_size=2, num_iterations=2)


def train(build, checkpoint, folder, callbacks=(), size=12, saver=StepCheckpoint, **kwargs):
    torch.manual_seed(0)
    module = build(checkpoint)
    keep = saver(folder, **{"filename": "{step}", "every_n_train_steps": 1, **kwargs.pop("keep", {})})
    settings = {"accumulate_grad_batches": 4, "max_epochs": 2, "enable_checkpointing": True, **kwargs}
    fit(module, counting(size=size, batch_size=1), callbacks=[keep, *callbacks], **settings)
    return weights(module)


@pytest.mark.parametrize("build", [sft, reinforced])
@pytest.mark.parametrize("kills", [pytest.param((5, 1), id="next"), pytest.param((10, 7, 3), id="middle")])
def test_a_run_killed_between_micro_batches_again_and_again_ends_with_the_same_weights(
    qwen3_vl, tmp_path, build, kills
):
    """Without a memory of its own, a resumed callback would save the first micro-batch, whose gradients are lost."""
    expected = train(build, qwen3_vl, tmp_path / "whole")
    folder, names = tmp_path / "killed", set()
    for batches in kills:
        with pytest.raises(Killed):
            train(build, qwen3_vl, folder, [Kill(batches)], ckpt_path=RunFolder(folder).newest_checkpoint())
        names |= {path.name for path in folder.iterdir()}
    got = train(build, qwen3_vl, folder, ckpt_path=RunFolder(folder).newest_checkpoint())
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert not [name for name in names if "-v" in name]


def test_the_checkpoint_that_is_resumed_is_not_written_anew(qwen3_vl, tmp_path):
    with pytest.raises(Killed):
        train(sft, qwen3_vl, tmp_path, [Kill(6)])
    (path,) = tmp_path.iterdir()
    before = path.stat().st_mtime_ns, path.read_bytes()
    with pytest.raises(Killed):
        train(sft, qwen3_vl, tmp_path, [Kill(3)], ckpt_path=path)
    assert list(tmp_path.iterdir()) == [path]
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


@pytest.mark.parametrize(
    ("keep", "batches"),
    [
        pytest.param({"every_n_train_steps": None, "every_n_epochs": 1}, None, id="validation"),
        pytest.param({"save_on_exception": True}, 6, id="exception"),
    ],
)
def test_what_is_due_in_the_middle_of_an_optimizer_step_is_saved_at_its_end(qwen3_vl, tmp_path, keep, batches):
    torch.manual_seed(0)
    saved, module = Validated(), sft(qwen3_vl)
    callbacks = [StepCheckpoint(tmp_path, **keep), saved, *([] if batches is None else [Kill(batches)])]
    task = counting(size=8, batch_size=1, val={"id": CountingScenes(size=1, image_size=32)})
    settings = {"accumulate_grad_batches": 4, "val_check_interval": 3, "enable_checkpointing": True}
    try:
        fit(module, task, callbacks=callbacks, num_sanity_val_steps=0, **settings)
    except Killed:
        assert batches is not None
    assert saved.saved
    assert set(saved.saved) == {0}


@pytest.mark.parametrize("every", [2, 3])
def test_a_monitored_checkpoint_must_hold_the_weights_that_were_judged(qwen3_vl, tmp_path, every):
    task = counting(size=8, batch_size=1, val={"id": CountingScenes(size=1, image_size=32)})
    settings = {"val_check_interval": every, "accumulate_grad_batches": 2, "enable_checkpointing": True}
    keep = StepCheckpoint(tmp_path, monitor="val/id/Share", mode="max")
    if every == 2:
        fit(sft(qwen3_vl), task, callbacks=[keep], num_sanity_val_steps=0, **settings)
        assert list(tmp_path.iterdir())
    else:
        with pytest.raises(InputError, match="a multiple of 2 micro-batches .* it comes every 3. Change `val_check"):
            fit(sft(qwen3_vl), task, callbacks=[keep], num_sanity_val_steps=0, **settings)


@pytest.mark.parametrize("monitor", ["val/id/Shore", "train/los"])
def test_a_metric_that_there_is_not_can_decide_nothing(qwen3_vl, tmp_path, monitor):
    """Without an error the run would end without a checkpoint."""
    task = counting(size=2, batch_size=1, val={"id": CountingScenes(size=1, image_size=32)})
    keep = StepCheckpoint(tmp_path, monitor=monitor, every_n_train_steps=1 if monitor.startswith("train") else None)
    nearest = {"val/id/Shore": "val/id/Share", "train/los": "train/loss"}[monitor]
    said = f"Expected `checkpoint.monitor` to be a metric of the run, but got {monitor}.* The nearest is {nearest}."
    with pytest.raises(InputError, match=said):
        fit(sft(qwen3_vl), task, callbacks=[keep], num_sanity_val_steps=0, val_check_interval=1,
            enable_checkpointing=True)  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_metric_of_a_validation_that_never_comes_can_decide_nothing(qwen3_vl, tmp_path):
    task = counting(size=2, batch_size=1, val={"id": CountingScenes(size=1, image_size=32)})
    keep = StepCheckpoint(tmp_path, monitor="val/id/Share")
    settings = {"val_check_interval": 1_000_000, "check_val_every_n_epoch": None, "enable_checkpointing": True}
    with pytest.raises(InputError, match="the run ends before the first. Set `trainer.val_check_interval`."):
        fit(sft(qwen3_vl), task, callbacks=[keep], num_sanity_val_steps=0, **settings)


def test_what_a_kill_left_to_do_of_a_checkpoint_is_done_on_resume(qwen3_vl, tmp_path):
    """Its manifest comes after it, and then go those that it takes the place of."""
    train(sft, qwen3_vl, tmp_path, max_steps=3, plugins=WholeCheckpointIO())
    newest, older = tmp_path / "step=3.ckpt", tmp_path / "step=1.ckpt"
    assert not older.exists()
    content = manifest_of(newest).read_bytes()
    manifest_of(newest).unlink()
    manifest_of(older).touch()
    os.link(newest, older)
    train(sft, qwen3_vl, tmp_path, max_steps=4, plugins=WholeCheckpointIO(), ckpt_path=newest)
    kept = {tmp_path / f"step={step}.ckpt" for step in (3, 4)}
    assert set(tmp_path.iterdir()) == kept | {manifest_of(path) for path in kept}
    assert manifest_of(newest).read_bytes() == content


def test_a_checkpoint_that_was_gone_back_to_is_the_newest_again(qwen3_vl, tmp_path):
    """Else a kill before the next one is written would go on from those that the records are cut back behind."""
    folder = RunFolder(tmp_path, tmp_path)
    train(sft, qwen3_vl, tmp_path, max_steps=3, plugins=WholeCheckpointIO(), keep={"keep": 3})
    older = tmp_path / "step=1.ckpt"
    assert folder.newest_checkpoint() == tmp_path / "step=3.ckpt"
    with pytest.raises(Killed):
        train(
            sft,
            qwen3_vl,
            tmp_path,
            [Kill(1)],
            max_steps=3,
            plugins=WholeCheckpointIO(),
            ckpt_path=older,
            keep={"keep": 3},
        )
    assert folder.whole_checkpoint() == (older, {})


def test_a_run_that_starts_anew_in_a_folder_does_not_go_on_from_the_checkpoints_of_another(qwen3_vl, tmp_path):
    """One that is killed before its own first would take those for its own, whatever they were trained with."""
    folder = RunFolder(tmp_path)
    settings = {"max_steps": 2, "plugins": WholeCheckpointIO(), "default_root_dir": tmp_path}
    train(sft, qwen3_vl, folder.checkpoints, **settings)
    assert folder.newest_checkpoint() is not None
    for name in ("step=7.ckpt", "step=7.ckpt.manifest.json"):  # of a process that was killed while it wrote them
        (folder.checkpoints / f".{name}.partial").touch()
    for _ in range(2):
        with pytest.raises(Killed):
            train(sft, qwen3_vl, folder.checkpoints, [Kill(1)], **settings)
        assert folder.newest_checkpoint() is None
        assert {p.name for p in folder.checkpoints.iterdir()} == {"step=1.ckpt.earlier", "step=2.ckpt.earlier"}


def test_a_place_for_checkpoints_outside_of_the_run_is_left_alone(qwen3_vl, tmp_path):
    """Other runs may write there too."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/other.ckpt").touch()
    with pytest.raises(Killed):
        train(sft, qwen3_vl, tmp_path / "kept", [Kill(1)], default_root_dir=tmp_path / "run")
    assert (tmp_path / "kept/other.ckpt").exists()


def test_lightnings_own_callback_would_lose_gradients(qwen3_vl, tmp_path):
    """The fault itself; when Lightning mends it, `StepCheckpoint` can do with less."""
    with pytest.raises(Killed):
        train(sft, qwen3_vl, tmp_path, [Kill(6)], saver=ModelCheckpoint)
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    with pytest.raises(Killed):
        train(sft, qwen3_vl, tmp_path, [Kill(3)], ckpt_path=path, saver=ModelCheckpoint)
    assert path.read_bytes() != before
