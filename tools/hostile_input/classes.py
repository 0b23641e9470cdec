"""Classes of algorithms, rewards and callbacks, each with arguments that it can't have, alone and beside others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_input.case import Case, Cases, Make, base, write_config

NAN, INF = float("nan"), float("inf")
Arguments = dict[str, dict[str, tuple[Any, ...]]]
"""Values by class and argument."""
NO_NUMBER = (NAN, INF, "x", [1.0], None)
"""What no option of a finite number is."""
NO_COUNT = (0, -1, 1.5, NAN, "x")
"""What is no number of steps, tries or pixels."""
LOSS: Arguments = {
    "CISPOLoss": {"cap": (0.5, -1.0, NAN, "x", None), "aggregation": ("x", 7), "clip_low": (0.2,), "caps": (5.0,)},
    "SAPOLoss": {
        "temperature_positive": (0.0, -1.0, *NO_NUMBER),
        "temperature_negative": (0.0, -1.0, NAN, INF),
        "temperature": (1.0,),
    },
    "GSPOLoss": {
        "level": ("x", 7, None),
        "clip_low": (-1.0, 2.0, NAN, "x"),
        "clip_high": (-1.0, NAN, "x"),
        "sequence_ratio": (True,),
    },
    "GRPOLoss": {
        "dual_clip": (1.0, 0.5, -3.0, NAN, "x", [3.0]),
        "entropy_coefficient": (-0.1, *NO_NUMBER),
        "entropy_share": (0.0, -0.2, 1.5, *NO_NUMBER),
        "kl_estimator": ("k4", 2),
        "importance_cap": (0.0, -2.0, NAN, "x"),
        "count_truncated": (True, "x"),
        "entropy_coefficients": (0.1,),
    },
    "CISPO": {"cap": (5.0,)},
}
"""Arguments by the class of a loss."""
ADVANTAGE: Arguments = {
    "GroupAdvantage": {"eps": (-1.0, *NO_NUMBER), "baseline": ("x", 7), "scale_by_std": ("x", 2)},
    "BatchAdvantage": {"eps": (-1.0, NAN, INF), "baseline": ("x",), "std_of": ("x",)},
    "GDPOAdvantage": {"eps": (-1.0, *NO_NUMBER), "weights": ([1.0],)},
    "MaxRLAdvantage": {"eps": (1.0,), "baseline": ("mean",)},
    "KLPenalty": {"coefficient": (0.0, -0.1, *NO_NUMBER), "advantage": ("x", 7), "coefficients": (0.1,)},
    "MaxRL": {"eps": (0.1,)},
}
TERM: Arguments = {
    "PerceptionTerm": {
        "coefficient": (-0.1, *NO_NUMBER),
        "entropy": (-0.1, NAN, INF),
        "masked_entropy": (-0.1, NAN),
        "share": (0.0, 1.5, -0.5, NAN, "x"),
        "patch": (*NO_COUNT, 2**70),
        "aggregation": ("x",),
        "max_tokens": (0, -1, "x"),
        "coefficients": (0.1,),
    },
}
CALLBACK: Arguments = {
    "DynamicSampling": {"rounds": (-1, 1.5, NAN, "x", None), "round": (3,)},
    "Curriculum": {
        "low": (-0.1, 0.9, 1.5, *NO_NUMBER),
        "high": (0.1, 2.0, NAN),
        "outside": (0.0, -0.1, 1.1, NAN, "x"),
        "memory": (1.0, -0.1, NAN),
        "right": NO_NUMBER,
        "reward": ("NoSuchReward", 7),
        "middles": (0.5,),
    },
    "NoisyRollout": {
        "share": (0.0, 1.0, -0.5, NAN, "x"),
        "strength": (0, -1, 1000, 10**30, 1.5, NAN),
        "middle": NO_NUMBER,
        "steepness": (0.0, -1.0, NAN, "x"),
    },
    "ReferenceUpdate": {"every_n_steps": NO_COUNT, "share": (0.0, 1.5, -0.1, NAN, "x")},
    "Replay": {
        "rare": (0.0, 1.5, NAN, "x"),
        "share": (0.0, 1.5, NAN),
        "age": NO_COUNT,
        "times": NO_COUNT,
        "capacity": NO_COUNT,
        "right": NO_NUMBER,
        "reward": ("NoSuchReward",),
    },
    "Curriculums": {"low": (0.2,)},
}
REWARD: Arguments = {
    "JudgeReward": {
        "model": (None, [1]),
        "base_url": ("127.0.0.1:8000", "ftp://a/v1", "", "http://key@a/v1", "http://", 7, "http://[::1"),
        "template": ("no answer", "{answer} {answers}", "{answer", "{answer:>9999999999}", "{answer!r}", "{0}", ""),
        "verdict": ("{score}", "{code}", "{score} {score} {code}", "{code} {score:d}", "{"),
        "low": (1.0, 2.0, *NO_NUMBER),
        "high": (0.0, -1.0, NAN, INF),
        "reads": ("thoughts", 7),
        "picture": ("x", 2),
        "most_characters": (0, -1, "x"),
        "key_variable": ("NO_SUCH_VARIABLE_HERE", 7, ""),
        "connections": NO_COUNT,
        "time_limit": (0.0, -1.0, *NO_NUMBER),
        "retries": (-1, 1.5, "x"),
        "backoff": (-1.0, *NO_NUMBER),
        "folder": ("a\0b",),
        "request": ("x", [1], {"stream": True}, {"messages": []}, {"temperature": NAN}),
        "weight": (-1.0, *NO_NUMBER),
        "start": (-1, 1.5, "x"),
        "models": ("x",),
    },
    "DetectionAP": {
        "thresholds": ([], [0.0], [1.5], [NAN], ["x"], 0.5, "x"),
        "length_penalty": ("x", 2),
        "threshold": (0.5,),
    },
    "DetectionPrecision": {"threshold": (-0.1, 1.5, NAN, "x"), "full_at": (0.1, 1.5, NAN, "x")},
    "SegmentIoU": {
        "prompt": ("words", 7, "points"),
        "segmenter": ("x", 7, {"class_path": "vrft_pl.rewards.BoxIoU"}),
    },
    "PointMatch": {"radius": (0.0, -1.0, 1.5, *NO_NUMBER)},
    "Staged": {"starts": ([], [1], [0, 0], [0, -1], [0, NAN], ["x"], 0, [5, 0]), "stages": ([], "x", [7])},
    "JudgeRewards": {"model": ("x",)},
}
GIVEN: dict[str, dict[str, Any]] = {
    "KLPenalty": {"coefficient": 0.01},
    "JudgeReward": {"model": "judge", "base_url": "http://127.0.0.1:9/v1", "retries": 0},
    "Staged": {
        "stages": [{"class_path": f"vrft_pl.rewards.{name}"} for name in ("NumberMatch", "GradedNumber")],
        "starts": [0, 1],
    },
}
"""Right arguments beside which a wrong one is put."""
TASKS = {
    "DetectionAP": "Detection",
    "DetectionPrecision": "Detection",
    "SegmentIoU": "Grounding",
    "PointMatch": "Pointing",
}
"""The task of a reward that judges no counts."""
SOURCES = {"Detection": "DetectionScenes", "Grounding": "GroundingScenes", "Pointing": "DetectionScenes"}
FUNCTIONS = """
import os, sys, time

def raises(texts, samples):
    raise KeyError("no")

def leaves(texts, samples):
    sys.exit(0)

def sleeps(texts, samples):
    time.sleep(3600)

def huge(texts, samples):
    return [1e39 for _ in texts]

def not_finite(texts, samples):
    return [float("nan") for _ in texts]

def too_few(texts, samples):
    return [1.0]

def words(texts, samples):
    return ["much" for _ in texts]

def itself(texts, samples):
    scores = []
    scores.extend([scores] * len(texts))
    return scores

def deep(texts, samples):
    return deep(texts, samples)

def numbers():
    return [1.0]

nothing = None
"""
"""What a module of one's own may hold."""


def built(module: str, name: str, **init_args: Any) -> dict[str, Any]:
    """A section that names a class."""
    return {"class_path": f"vrft_pl.{module}.{name}", "init_args": {**GIVEN.get(name, {}), **init_args}}


def configured(config: dict[str, Any], write: Callable[[Path], object] = lambda folder: None) -> Make:
    """The small run by this config, in YAML, which has words for what is no number."""
    import yaml

    def make(folder: Path) -> list[str]:
        write(folder)
        args = write_config(folder, {})
        (folder / args[-1]).write_text(yaml.safe_dump(config))
        return ["fit", *args]

    return make


def rewarded(*rewards: dict[str, Any], task: str = "Counting", **changes: Any) -> dict[str, Any]:
    """The config of the small run with other rewards."""
    config = base(model__init_args__rewards=list(rewards), **changes)
    if task != "Counting":
        source = {"class_path": f"vrft_pl.data.{SOURCES[task]}", "init_args": {"size": 4}}
        config["data"] = {"class_path": f"vrft_pl.data.{task}", "init_args": {"batch_size": 1, "train": source}}
    return config


def places() -> dict[str, tuple[Arguments, Callable[[str, dict[str, Any]], dict[str, Any]]]]:
    """Arguments by class, and where a class with its arguments stands in the config; by the kind of class."""
    module = "model__init_args__"
    return {
        "loss": (LOSS, lambda name, args: base(**{f"{module}loss": built("algorithms", name, **args)})),
        "advantage": (ADVANTAGE, lambda name, args: base(**{f"{module}advantage": built("algorithms", name, **args)})),
        "term": (TERM, lambda name, args: base(**{f"{module}terms": [built("modules", name, **args)]})),
        "callback": (CALLBACK, lambda name, args: base(trainer__callbacks=[built("callbacks", name, **args)])),
        "reward": (
            REWARD,
            lambda name, args: rewarded(built("rewards", name, **args), task=TASKS.get(name, "Counting")),
        ),
    }


def classes() -> Cases:
    """A case for each value of each argument."""
    return {
        f"{kind}/{name}.{key}={value!r}": Case(configured(config(name, {key: value})))
        for kind, (arguments, config) in places().items()
        for name, values_of in arguments.items()
        for key, values in values_of.items()
        for value in values
    }


def together() -> Cases:
    """Classes that are right alone, and wrong beside what else there is."""
    number = {"class_path": "vrft_pl.rewards.NumberMatch"}
    curriculum, dynamic = built("callbacks", "Curriculum"), built("callbacks", "DynamicSampling")
    replay, update = built("callbacks", "Replay"), built("callbacks", "ReferenceUpdate")
    noisy = built("callbacks", "NoisyRollout")
    supervised = base(model={"class_path": "vrft_pl.modules.SFTModule", "init_args": BASE_POLICY})
    configs: dict[str, tuple[dict[str, Any], int]] = {
        "Curriculum behind DynamicSampling": (base(trainer__callbacks=[dynamic, curriculum]), 2),
        "Curriculum twice": (base(trainer__callbacks=[curriculum, curriculum]), 2),
        "DynamicSampling twice": (base(trainer__callbacks=[dynamic, dynamic]), 2),
        "a guard beside that of every run": (base(trainer__callbacks=[built("callbacks", "NonFiniteGuard")]), 2),
        "Replay without a cap": (base(trainer__callbacks=[replay]), 2),
        "ReferenceUpdate without a reference": (base(trainer__callbacks=[update]), 2),
        "NoisyRollout without an end": (
            base(trainer__callbacks=[noisy], trainer__max_steps=-1, trainer__max_epochs=-1), 1,
        ),
        "k1 without a correction": (
            base(model__init_args__loss=built("algorithms", "GRPOLoss", kl_estimator="k1", kl_coefficient=0.1)), 2,
        ),
        "a divergence in the reward and in the loss": (
            base(
                model__init_args__loss=built("algorithms", "GRPOLoss", kl_coefficient=0.1),
                model__init_args__advantage=built("algorithms", "KLPenalty"),
            ),
            0,
        ),
        "KLPenalty in KLPenalty": (
            base(
                model__init_args__advantage=built(
                    "algorithms", "KLPenalty", advantage=built("algorithms", "KLPenalty")
                )
            ),
            0,
        ),
        "top_p without a cap": (base(model__init_args__params={"max_tokens": 4, "top_p": 0.9}), 2),
        "MaxRL with a reward below 0": (
            rewarded(number, {"class_path": "vrft_pl.rewards.Repetition"},
                     model__init_args__advantage=built("algorithms", "MaxRLAdvantage")), 2,
        ),
        "one name twice": (rewarded(number, number), 2),
        "stages of two kinds": (
            rewarded(built("rewards", "Staged", stages=[number, {"class_path": "vrft_pl.rewards.BoxIoU"}])), 2,
        ),
        "no weight from the start": (rewarded(built("rewards", "NumberMatch", start=5)), 2),
        "all weights 0": (rewarded(built("rewards", "NumberMatch", weight=0.0)), 2),
        "a judge where nobody listens": (rewarded(number, built("rewards", "JudgeReward")), 0),
        "a judge with a folder that is a device": (
            rewarded(number, built("rewards", "JudgeReward", folder="/dev/null/x")), 0,
        ),
        "callbacks of rollouts without rollouts": (
            {**supervised, "trainer": {**supervised["trainer"], "callbacks": [dynamic]}}, 2,
        ),
        "a term without rollouts": (
            base(model={"class_path": "vrft_pl.modules.SFTModule",
                        "init_args": {**BASE_POLICY, "terms": [built("modules", "PerceptionTerm")]}}), 2,
        ),
    }  # fmt: skip
    return {f"together/{name}": Case(configured(config), code, leaves=True) for name, (config, code) in configs.items()}


BASE_POLICY: dict[str, Any] = {
    "policy": {"class_path": "vrft_pl.policy.VLM", "init_args": {"checkpoint": "tiny"}},
    "eval_params": {"max_tokens": 4, "temperature": 0.0},
}


def functions() -> Cases:
    """Reward functions of one's own: counted as zeros, or told of where that is asked for."""
    cases: Cases = {}
    for name in ("raises", "leaves", "sleeps", "huge", "not_finite", "too_few", "words", "itself", "deep", "numbers"):
        entry = {"class_path": "vrft_pl.rewards.FunctionReward", "init_args": {"function": f"own_module.{name}"}}
        for on_error, code in {"zero": 0, "raise": 1}.items():
            config = rewarded(entry, model__init_args__on_reward_error=on_error, model__init_args__reward_seconds=1.0)
            make = configured(config, lambda folder: (folder / "own_module.py").write_text(FUNCTIONS))
            cases[f"function/{name}, {on_error}"] = Case(make, code, leaves=True)
    for name in ("own_module.nothing", "own_module.missing", "missing.function", "os.sep", "", "own_module"):
        entry = {"class_path": "vrft_pl.rewards.FunctionReward", "init_args": {"function": name}}
        make = configured(rewarded(entry), lambda folder: (folder / "own_module.py").write_text(FUNCTIONS))
        cases[f"function/no function, {name!r}"] = Case(make)
    return cases
