"""Going on with a run: from which checkpoint, and whether it is still the same run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.cloud_io import get_filesystem
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only, rank_zero_warn

from vrft_pl.runs import RunFolder, damage
from vrft_pl.types import InputError

MAY_CHANGE = (
    "ckpt_path",
    "checkpoint.",
    "completions.",
    "config",
    "data.init_args.eval_batch_size",
    "data.init_args.num_workers",
    "export.",
    "predictions.",
    "resume",
    "run.",
    "trainer.barebones",
    "trainer.check_val_every_n_epoch",
    "trainer.default_root_dir",
    "trainer.detect_anomaly",
    "trainer.enable_",
    "trainer.limit_predict_batches",
    "trainer.limit_test_batches",
    "trainer.limit_val_batches",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.max_",
    "trainer.num_sanity_val_steps",
    "trainer.profiler",
    "trainer.val_check_interval",
    "val_subset.",
    "watchdog.",
    "weights_only",
    "yaml.",
)
"""How the keys begin that decide on no training step: where files go, when something is judged, when training ends."""
MOST_NAMED = 3
"""Differences that a message names."""


def checked(checkpoint: str) -> None:
    """Look at a checkpoint that is named, before anything is built.

    Raises:
        InputError: If it is damaged or no checkpoint.
    """
    if (wrong := unreachable(checkpoint) if "://" in checkpoint else damage(Path(checkpoint))) is not None:
        raise InputError(f"Expected a whole checkpoint of a run at {checkpoint}, but {wrong}. Name another one.")


def unreachable(address: str) -> str | None:
    """Why nothing can be read at an address; ``None`` where something can."""
    try:
        return None if get_filesystem(address).isfile(address) else "there is none"
    except Exception as error:  # each kind of file system has its own
        return f"it can't be reached ({error})"


def newest_whole(folder: RunFolder) -> Path | None:
    """The newest checkpoint of a run that is whole; those that are not are named. ``None`` where there is none."""
    path, damaged = folder.whole_checkpoint()
    for worse, wrong in damaged.items():
        rank_zero_warn(f"{worse} is damaged: {wrong}. Going on from the one before it.")
    return path


def last(folder: RunFolder) -> str:
    """The checkpoint that ``--ckpt_path last`` means: the newest of the run that is whole.

    Raises:
        InputError: If the run has none.
    """
    if (newest := newest_whole(folder)) is None:
        raise InputError(
            f"Expected a whole checkpoint for `--ckpt_path last` in {folder.checkpoints}, but there is none. "
            "Name the folder of the run with `--run.folder`, or leave `--ckpt_path` out to start anew."
        )
    return str(newest)


def latest_unfinished(runs: Path, seed: int) -> Path | None:
    """The run of a seed below a folder that was started last and did not come to its end."""
    ends = f"-seed{seed}"
    folders = (RunFolder(path) for path in runs.iterdir() if path.name.endswith(ends)) if runs.is_dir() else ()
    return max((run.path for run in folders if run.started and not run.finished), default=None)


def where_to_go_on(folder: RunFolder) -> str | None:
    """The checkpoint that a run is resumed from, said aloud; ``None`` where it starts from its beginning."""
    if newest := newest_whole(folder):
        rank_zero_info(f"Going on with {folder} from {newest.name}.")
        return str(newest)
    rank_zero_info(f"{folder} holds no checkpoint to go on from: the run starts from its beginning.")
    return None


def tell_of_unfinished(folder: RunFolder, way: str) -> None:
    """Say that a run starts anew where one is that is not finished.

    Args:
        folder: Of the run.
        way: What goes on with it.
    """
    if folder.started and folder.newest_checkpoint():
        rank_zero_info(
            f"{folder} holds a run that is not finished; it starts anew, and its checkpoints so far are kept as "
            f"*.ckpt.earlier. `{way}` goes on."
        )


def refuse_changes(folder: RunFolder, config: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Compare a run that goes on with its last start, unless the manifest that tells of it is damaged.

    Args:
        folder: Of the run.
        config: Values by dotted key, now.
        data: Rows of each part and the hash of their ids, now (`vrft_pl.runs.manifest.data_ids`).

    Raises:
        InputError: If something has changed that decides on a training step, naming it.
    """
    try:
        starts = folder.starts()
    except InputError:
        path = folder.path / RunFolder.MANIFEST
        kept = path.with_name(f"{path.name}.damaged")
        rank_zero_warn(
            f"{path} is damaged. Whether the run has changed can't be told: going on, and keeping it as {kept}."
        )
        set_aside(path, kept)
        return
    if not starts:
        return
    before = flat(starts[-1].get("config") or {})
    changed = [
        f"{key} is {config.get(key)!r} and was {before.get(key)!r}"
        for key in sorted(before.keys() | config.keys())
        if not key.startswith(MAY_CHANGE) and config.get(key) != before.get(key)
    ]
    rows: Mapping[str, Any] = starts[-1].get("data") or {}
    changed += [f"the rows of {part} are others" for part in data if part in rows and data[part] != rows[part]]
    if changed:
        more = f", and {len(changed) - MOST_NAMED} more" if len(changed) > MOST_NAMED else ""
        raise InputError(
            f"Expected to go on with the run that {folder} holds, but {'; '.join(changed[:MOST_NAMED])}"
            f"{more}. Undo it, start anew in another folder, or go on all the same with `ckpt_path` `last`."
        )


@rank_zero_only
def set_aside(file: Path, kept: Path) -> None:
    """Rename a file that can't be read, so that another can be written in its place."""
    file.replace(kept)


def flat(config: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values by dotted key.

    Example:
        >>> flat({"trainer": {"devices": 2}, "seed": 0})
        {'trainer.devices': 2, 'seed': 0}
    """
    values: dict[str, Any] = {}
    for name, value in config.items():
        values |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return values
