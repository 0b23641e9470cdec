import os
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from lightning.pytorch.strategies import SingleDeviceStrategy

from vrft_pl.runs import WholeCheckpointIO, damage, install_checkpoint_io


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("half-way")


class Own(TorchCheckpointIO):
    """A user's own way of writing."""


def test_a_checkpoint_is_what_was_saved(tmp_path):
    plugin = WholeCheckpointIO()
    plugin.save_checkpoint(
        {"state_dict": torch.arange(3), "pytorch-lightning_version": "2.6.0"}, tmp_path / "new/step=1.ckpt"
    )
    assert plugin.load_checkpoint(tmp_path / "new/step=1.ckpt")["state_dict"].tolist() == [0, 1, 2]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["step=1.ckpt", "step=1.ckpt.manifest.json"]


def test_a_checkpoint_is_written_beside_its_final_name(tmp_path, monkeypatch):
    """Renamed once, when it is complete and synced, from a name in its own folder."""
    moves, synced, rename, sync = [], [], Path.replace, os.fsync
    monkeypatch.setattr(Path, "replace", lambda a, b: (moves.append((a, Path(b), len(synced))), rename(a, b))[1])
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), sync(handle))[1])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no-such-folder"))
    WholeCheckpointIO().save_checkpoint({"weights": torch.arange(3)}, tmp_path / "step=1.ckpt")
    (scratch, final, syncs), _ = moves  # the manifest comes after it
    assert (scratch.parent, final, syncs) == (tmp_path, tmp_path / "step=1.ckpt", 1)


def test_a_checkpoint_that_fails_leaves_the_one_before(tmp_path):
    plugin = WholeCheckpointIO()
    plugin.save_checkpoint({"step": 1}, tmp_path / "last.ckpt")
    with pytest.raises(RuntimeError, match="half-way"):
        plugin.save_checkpoint({"weights": torch.zeros(9999), "bad": Unpicklable()}, tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt") == {"step": 1}
    assert damage(tmp_path / "last.ckpt") is None
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "inner"),
    [
        pytest.param({}, WholeCheckpointIO, id="none"),
        pytest.param({"strategy": SingleDeviceStrategy("cpu")}, WholeCheckpointIO, id="strategy"),
        pytest.param({"plugins": Own()}, Own, id="own"),
        pytest.param({"strategy": SingleDeviceStrategy("cpu", checkpoint_io=Own())}, Own, id="own-of-strategy"),
        pytest.param({"plugins": AsyncCheckpointIO()}, WholeCheckpointIO, id="in-a-thread"),
        pytest.param({"plugins": AsyncCheckpointIO(Own())}, Own, id="own-in-a-thread"),
    ],
)
def test_every_trainer_writes_whole_files_unless_the_user_says_how(options, inner):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **options)
    install_checkpoint_io(trainer)
    plugin = trainer.strategy.checkpoint_io
    if isinstance(options.get("plugins"), AsyncCheckpointIO):
        assert type(plugin) is AsyncCheckpointIO
        plugin = plugin.checkpoint_io
    assert type(plugin) is inner
