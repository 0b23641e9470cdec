"""From a recipe to the config of one run; what all arms share is put in by the ablation, never taken from a recipe."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vrft_pl.ablation.arms import Stage
from vrft_pl.ablation.budget import processes
from vrft_pl.ablation.config import Ablation
from vrft_pl.ablation.sections import Config, Section, Suite
from vrft_pl.shipped import shipped
from vrft_pl.types import InputError

SHARED = ("policy", "metrics", "eval_params", "eval_samples", "seed")
"""Arguments of a module that the ablation sets."""
LENGTH = ("max_epochs", "max_time", "limit_train_batches", "overfit_batches")
"""Arguments of a trainer that would make a run shorter than what it is matched by."""
QUIET = {"enable_progress_bar": False, "enable_model_summary": False}
JUDGE = "vrft_pl.modules.SFTModule"
"""The module that judges: of all modules it asks for the least."""


def stage_config(
    ablation: Ablation, stage: Stage, checkpoint: str | None, train: Config, values: Mapping[str, Any], seed: int
) -> Config:
    """Write the config of a stage, but for its length.

    Args:
        ablation: What is compared.
        stage: The stage.
        checkpoint: What the stage before exported; ``None`` for the first one.
        train: The source of its rows, as a section.
        values: Hyper-parameters, by dotted key.
        seed: Seed of the run.
    """
    recipe = ablation.recipes[stage.recipe]
    config: Config = {}
    for file in recipe.files:
        config = merged(config, read_yaml(file))
    config = {key: config[key] for key in ("trainer", "model") if key in config}
    arguments = config.setdefault("model", {}).setdefault("init_args", {})
    for key in SHARED:
        arguments.pop(key, None)
    arguments |= judging(ablation, ablation.metrics, ablation.eval_params, checkpoint)
    config["trainer"] = on_one_device({**merged(config.get("trainer", {}), ablation.trainer), **QUIET})
    for key in LENGTH:
        config["trainer"].pop(key, None)
    config["data"] = task(ablation.data, stage.style, train=train)
    for changes in (recipe.set, stage.set, values):
        for key, value in changes.items():
            put(config, key, value)
    return {"seed_everything": seed, **config}


def test_config(ablation: Ablation, suite: Suite, style: Any, checkpoint: str | None, train: Config | None) -> Config:
    """Write the config that judges a policy on the held-out rows of a suite.

    Args:
        ablation: What is compared.
        suite: The rows.
        style: The form in which answers are asked for, unless the suite says.
        checkpoint: What an arm exported; ``None`` for the policy as it is.
        train: The source of the rows that a constant answer is taken from: those that the arm was trained on, or those
            of the suite's own task.
    """
    parts = {"test": suite.data["init_args"]["test"], **({} if train is None else {"train": train})}
    module = judging(ablation, suite.metrics, suite.eval_params or ablation.eval_params, checkpoint)
    return {
        "seed_everything": 0,
        "trainer": on_one_device({**ablation.trainer, **QUIET}),
        "model": {"class_path": JUDGE, "init_args": module},
        "data": task(suite.data, style if suite.style is None else suite.style, **parts),
    }


def on_one_device(trainer: Config) -> Config:
    """A ``trainer`` section that takes one device unless it says how many, and not all that a machine has.

    Raises:
        InputError: If it says anything but a number of devices or a list.
    """
    told = {**trainer, "devices": 1} if trainer.get("devices", "auto") == "auto" else trainer
    processes(told)
    return told


def judging(ablation: Ablation, metrics: Sequence[Section], eval_params: Section, checkpoint: str | None) -> Config:
    """Arguments of a module that all arms share.

    Args:
        ablation: What is compared.
        metrics: Judge held-out completions.
        eval_params: How they are drawn.
        checkpoint: What a stage exported; ``None`` for the policy that every arm starts from.
    """
    policy = copy.deepcopy(dict(ablation.policy))
    if checkpoint is not None:
        policy.setdefault("init_args", {})["checkpoint"] = checkpoint
    return {"policy": policy, "metrics": [dict(metric) for metric in metrics], "eval_params": dict(eval_params)}


def task(data: Mapping[str, Any], style: Any, **parts: Any) -> Config:
    """A ``data`` section with other parts, and the style that an arm has."""
    kept = {key: value for key, value in data["init_args"].items() if key not in ("train", "val", "test")}
    style = dict(style) if isinstance(style, Section) else style
    return {"class_path": data["class_path"], "init_args": {**copy.deepcopy(kept), "style": style, **parts}}


def read_yaml(path: str) -> Config:
    """Read a config.

    Raises:
        InputError: If there is none.
    """
    try:
        config = yaml.safe_load(Path(shipped(path)).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"Expected {path} to be a config of `vrft_pl fit`, but it can't be read: {error}") from error
    if not isinstance(config, dict):
        raise InputError(f"Expected {path} to be a config of `vrft_pl fit`, but it holds no keys.")
    return config


def merged(base: Config, over: Mapping[str, Any]) -> Config:
    """Layer one config over another; another class brings its own arguments, and a list takes the place of a list."""
    result = copy.deepcopy(base)
    if "class_path" in over and over["class_path"] != base.get("class_path", over["class_path"]):
        result.pop("init_args", None)
    for key, value in over.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return copy.deepcopy(result)


def put(config: Any, key: str, value: Any) -> None:
    """Set a value by its dotted key; a number in the key is a place in a list.

    Raises:
        InputError: If the key leads nowhere.
    """
    *path, last = key.split(".")
    place: Any = config
    try:
        for name in path:
            place = place[int(name)] if isinstance(place, list) else descend(place, name)
        place[int(last) if isinstance(place, list) else last] = value
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"Expected `{key}` to lead to a value of a config, but it does not ({error}).") from error


def descend(place: Any, name: str) -> Any:
    """The section of that name, a new one where there is none."""
    if name not in place:
        place[name] = {}
    return place[name]
