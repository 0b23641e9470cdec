"""Short names for what decides a run: the same values, the same name."""

from __future__ import annotations

import copy
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from vrft_pl.ablation.sections import Config
from vrft_pl.policy.checkpoint import resolve


def digest(*parts: Any) -> str:
    """Twelve hexadecimal digits of values that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


@lru_cache
def checkpoint_digest(checkpoint: str) -> str | None:
    """A name for the files of a checkpoint but its card; ``None`` for one of the hub, which its own name stands for.

    Weights trained further may lie in the same folder under the same name; this tells. All of them are read: a part
    would not show that a projector alone was trained.
    """
    folder = Path(resolve(checkpoint))
    if not folder.is_dir():
        return None
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".md"):
        with path.open("rb") as file:
            whole.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:12]


def decisive(config: Config, judges: bool = True) -> Config:
    """What of a config decides what comes of a run.

    Rows count by what they hold and not by where they lie, a checkpoint by how it was made.

    Args:
        config: The config.
        judges: Whether completions are judged; training does not depend on who judges and how.
    """
    model, data = copy.deepcopy(config["model"]), dict(config["data"]["init_args"])
    for part in ("train", "val", "test"):
        data.pop(part, None)
    model["init_args"]["policy"].get("init_args", {}).pop("checkpoint", None)
    for key in () if judges else ("metrics", "eval_params"):
        model["init_args"].pop(key)
    kept = {key: config[key] for key in ("seed_everything", "trainer")}
    return {**kept, "model": model, "data": {"class_path": config["data"]["class_path"], "init_args": data}}
