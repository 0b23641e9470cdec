"""Options whose value is wrong: each key with every kind of value that it can't have."""

from __future__ import annotations

from hostile_input.case import Case, Cases, Make, fit

MODEL, DATA = "model.init_args", "data.init_args"
NO_NUMBER = ("many", "nan", "1.5", "")
"""What no whole number is."""
NO_FRACTION = ("x", ".nan", ".inf", "-1")
"""What no size or share is."""
WRONG: dict[str, tuple[str, ...]] = {
    "seed_everything": ("-1", str(2**63), str(2**64), *NO_NUMBER),
    "trainer.max_steps": ("-2", *NO_NUMBER),
    "trainer.max_epochs": ("-2", *NO_NUMBER),
    "trainer.min_steps": ("-1", "x"),
    "trainer.accumulate_grad_batches": ("0", "-1", *NO_NUMBER),
    "trainer.val_check_interval": ("0", "-1", "x", "nan", "1.5"),
    "trainer.check_val_every_n_epoch": ("0", "-1", "x"),
    "trainer.num_sanity_val_steps": ("-2", "x"),
    "trainer.log_every_n_steps": ("-1", *NO_NUMBER),
    "trainer.limit_train_batches": ("0", "0.0", "-1", "1.5", "nan", "inf", "x"),
    "trainer.limit_val_batches": ("-1", "1.5", "nan", "x"),
    "trainer.overfit_batches": ("-1", "nan", "1.5", "x"),
    "trainer.devices": ("-5", "0", "99", "1.5", "many", "nan", "100000000000000000000"),
    "trainer.num_nodes": ("0", "-1", *NO_NUMBER),
    "trainer.accelerator": ("quantum", "tpu", "gpu", ""),
    "trainer.precision": ("17", "x", "8-mixed"),
    "trainer.strategy": ("teleport", "no.such.Class", ""),
    "trainer.gradient_clip_val": NO_FRACTION,
    "trainer.gradient_clip_algorithm": ("x", "1"),
    "trainer.max_time": ("x", "-1", "00:00"),
    "trainer.callbacks": ("no.such.Callback", "Nothing", "7", "os.system"),
    "trainer.logger": ("no.such.Logger", "x"),
    "trainer.profiler": ("x", "7"),
    "trainer.plugins": ("x", "no.such.Plugin"),
    "trainer.reload_dataloaders_every_n_epochs": ("-1", "x"),
    f"{MODEL}.group_size": ("0", "1", "-1", "1000000000", *NO_NUMBER),
    f"{MODEL}.window": ("0", "-1", "x"),
    f"{MODEL}.num_iterations": ("0", "-1", "x"),
    f"{MODEL}.rollout_ahead": ("2", "-1", "x"),
    f"{MODEL}.reference": ("x", ""),
    f"{MODEL}.eval_samples": ("-1", "x"),
    f"{MODEL}.params.max_tokens": ("0", "-1", "1000000000", "1e9", *NO_NUMBER),
    f"{MODEL}.params.temperature": NO_FRACTION,
    f"{MODEL}.params.top_k": ("-1", "x"),
    f"{MODEL}.params.top_p": ("0", "2", "nan", "-1", "x"),
    f"{MODEL}.loss.init_args.clip_low": NO_FRACTION,
    f"{MODEL}.loss.init_args.clip_high": ("x", ".nan", "-1"),
    f"{MODEL}.loss.init_args.kl_coefficient": NO_FRACTION,
    f"{MODEL}.loss.init_args.aggregation": ("x", "7"),
    f"{MODEL}.loss.init_args.max_tokens": ("0", "-1", "x"),
    f"{MODEL}.optimizer.init_args.lr": NO_FRACTION,
    f"{MODEL}.optimizer.init_args.weight_decay": NO_FRACTION,
    f"{MODEL}.optimizer.init_args.eps": NO_FRACTION,
    f"{MODEL}.optimizer.init_args.betas": ("[2, 0]", "[0.9]", "[nan, 0.9]", "x"),
    f"{MODEL}.scheduler.init_args.warmup_steps": ("-1", *NO_NUMBER),
    f"{MODEL}.scheduler.init_args.decay": ("x",),
    f"{MODEL}.scheduler.init_args.final": ("2", "nan", "-1", "x"),
    f"{MODEL}.policy.init_args.dtype": ("int4", ""),
    f"{MODEL}.policy.init_args.coordinates": ("miles",),
    f"{MODEL}.policy.init_args.min_pixels": ("-1", "0", "100000000000", "x"),
    f"{MODEL}.policy.init_args.max_pixels": ("-1", "0", "1", "x"),
    f"{MODEL}.policy.init_args.freeze": ("[soul]", "x"),
    f"{MODEL}.policy.init_args.shared_prefix": ("x",),
    f"{DATA}.batch_size": ("0", "-1", *NO_NUMBER),
    f"{DATA}.eval_batch_size": ("0", "-1", "x"),
    f"{DATA}.num_workers": ("-1", "1000000", *NO_NUMBER),
    f"{DATA}.style": ("shout",),
    f"{DATA}.template": ("{}", "{problem", "no question", "{problem:1000000000}", "{problem.__class__}", "{0}"),
    f"{DATA}.on_bad_row": ("ignore",),
    f"{DATA}.train": ("no.such.Source", "CountingScene", "7"),
    f"{DATA}.train.init_args.size": ("0", "-1", "x"),
    f"{DATA}.train.init_args.image_size": ("0", "-1", "100000", "x"),
    f"{DATA}.train.init_args.domain": ("mars",),
    "run.wandb": ("perhaps",),
    "run.evaluate_before": ("perhaps",),
    "completions.every_n_rollouts": ("-1", "x"),
    "completions.num_prompts": ("-1", "x"),
    "completions.pictures": ("-1", "x"),
    "completions.max_side": ("0", "-1", "x"),
    "predictions.pictures": ("-1", "x"),
    "predictions.max_side": ("0", "-1"),
    "val_subset.times": ("-1", "x"),
    "val_subset.num_samples": ("0", "-1"),
    "checkpoint.every_n_train_steps": ("-1", "x"),
    "checkpoint.every_n_epochs": ("-1", "x"),
    "checkpoint.save_top_k": ("-2", "x"),
    "checkpoint.mode": ("middle",),
    "checkpoint.keep": ("-1", "x"),
    "checkpoint.filename": ("{step:99999999999999999999}", "{"),
    "watchdog.timeout": NO_FRACTION,
    "watchdog.silence": NO_FRACTION,
    "watchdog.arrival": NO_FRACTION,
}
"""By key."""
NEEDS_CLASS: dict[str, dict[str, object]] = {
    f"{MODEL}.loss": {"class_path": "vrft_pl.algorithms.GRPOLoss"},
    f"{MODEL}.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-4}},
    f"{MODEL}.scheduler": {"class_path": "vrft_pl.modules.WarmupDecay"},
}
"""What a key is an option of, where the small run has none."""


def changes_for(key: str) -> dict[str, object]:
    """Sections that a key needs."""
    return {above.replace(".", "__"): dict(value) for above, value in NEEDS_CLASS.items() if key.startswith(above)}


def options() -> Cases:
    """A case each."""
    return {
        f"option/{key}={value}": Case(fit(f"--{key}={value}", **changes_for(key)))
        for key, values in WRONG.items()
        for value in values
    }


def command_line() -> Cases:
    """Arguments that are no options, or of the wrong command."""
    given: dict[str, tuple[list[str], int]] = {
        "no such command": (["fits"], 2),
        "a command in capitals": (["FIT"], 2),
        "no config": (["fit"], 2),
        "a config that is missing": (["fit", "--config", "missing.yaml"], 2),
        "a config that is a folder": (["fit", "--config", "."], 2),
        "a config without a name": (["fit", "--config"], 2),
        "an empty name of a config": (["fit", "--config", ""], 2),
        "report without a folder": (["report"], 2),
        "report of a folder that is missing": (["report", "missing"], 1),
        "report in another format": (["report", ".", "--format", "docx"], 2),
        "report to a port that is none": (["report", ".", "--port", "99999"], 2),
        "report of fewer than no completions": (["report", ".", "--completions=-1"], 2),
        "report of an empty folder": (["report", "."], 1),
        "merge without an adapter": (["merge"], 2),
        "merge of a folder that is missing": (["merge", "--adapter", "missing", "--output", "out"], 1),
        "merge of an empty folder": (["merge", "--adapter", ".", "--output", "out"], 1),
        "serve without a model": (["serve"], 2),
        "ablate without a file": (["ablate"], 2),
        "ablate with a file that is missing": (["ablate", "--config", "missing.yaml"], 2),
    }
    cases = {f"command line/{name}": Case(alone(*args), code) for name, (args, code) in given.items()}
    after: dict[str, list[str]] = {
        "a misspelt key": ["--trainer.max_step", "1"],
        "a misspelt section": ["--trainr.max_steps", "1"],
        "a key of a class that has none of it": [f"--{MODEL}.group_sise", "4"],
        "a key without a value": ["--trainer.max_steps"],
        "a value without a key": ["4"],
        "one dash": ["-trainer.max_steps", "4"],
        "a key that is a word": ["--", "fit"],
        "a misspelt class of a reward": [f"--{MODEL}.rewards=vrft_pl.rewards.NumberMach"],
        "a reward of another module": [f"--{MODEL}.rewards=os.path"],
        "no rewards": [f"--{MODEL}.rewards=[]"],
        "a paper that is none": [f"--{MODEL}.rewards=no_such_paper"],
        "a misspelt class of data": ["--data=vrft_pl.data.Countng"],
        "a class of data that is a module": ["--data=vrft_pl.modules.GRPOModule"],
        "a misspelt class of a module": ["--model=vrft_pl.modules.GRPOModul"],
        "a misspelt optimizer": [f"--{MODEL}.optimizer=torch.optim.AdamX"],
        "a misspelt scheduler": [f"--{MODEL}.scheduler=vrft_pl.modules.WarmDecay"],
        "a misspelt callback": ["--trainer.callbacks=vrft_pl.callbacks.CompletionRecordr"],
        "resume and a checkpoint": ["--resume", "--ckpt_path", "x.ckpt"],
        "the same key twice, the last one wrong": ["--trainer.max_steps=1", "--trainer.max_steps=x"],
        "a key of 100,000 letters": [f"--{'a' * 100_000}=1"],
        "a value of 100,000 letters": [f"--trainer.max_steps={'9' * 100_000}"],
        "a null character in a path": ["--run.folder=a\0b"],
        "halves of characters": ["--run.folder=\udcff"],
        "a list of a thousand lists": [f"--trainer.max_steps={'[' * 1000}"],
    }
    cases |= {f"command line/{name}": Case(fit(*args)) for name, args in after.items()}
    for command in ("validate", "test", "predict", "check"):
        without = {"data__init_args__val": None}
        code = 1 if command == "check" else 2
        case = Case(replaced(command, fit(**without)), code, leaves=command == "check")
        cases[f"command line/{command} without held-out data"] = case
    validates = ("--checkpoint.monitor=val/id/NumberMach", "--trainer.val_check_interval=1")
    cases["monitor/a metric that there is not"] = Case(fit(*validates), 1, leaves=True)
    cases["monitor/a validation that never comes"] = Case(fit(*validates[:1]), 1, leaves=True)
    cases["monitor/no metric of training"] = Case(fit("--checkpoint.monitor=train/x"), 1, leaves=True)
    policy = f"--{MODEL}.policy.init_args"
    # the weights alone can refute the last, which are read when training starts: as of data, the code is 1
    for option, code in {"attention=x": 2, "freeze_pattern=(": 2, "freeze_pattern=nothing_like_it": 1}.items():
        cases[f"weights/{option}"] = Case(fit(f"{policy}.{option}"), code)
    return cases


def alone(*args: str) -> Make:
    """Arguments without an input."""
    return lambda folder: [*args]


def replaced(command: str, make: Make) -> Make:
    """Another command in place of ``fit``."""
    return lambda folder: [command, *make(folder)[1:]]
