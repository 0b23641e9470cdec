"""Folders that can't be written or hold something else, reports of damaged runs, and odd environments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hostile_input.case import Case, Cases, Make, base, fit, write_config


def in_folder(write: Callable[[Path], object], *args: str, name: str = "run") -> Make:
    """The small run in a folder that holds something.

    Args:
        write: Is given the folder of the case.
        *args: Of the command.
        name: Of the folder of the run.
    """

    def make(folder: Path) -> list[str]:
        write(folder)
        return ["fit", *write_config(folder, base(run__folder=name)), *args]

    return make


def holds(**files: str | bytes) -> Callable[[Path], object]:
    """Writes files into the folder of the run; two underscores in a name stand for a dot."""

    def write(folder: Path) -> None:
        for name, content in files.items():
            path = folder / "run" / name.replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def broken_checkpoint(folder: Path) -> None:
    """Write a checkpoint that is none."""
    (folder / "run/checkpoints").mkdir(parents=True)
    (folder / "run/checkpoints/step=1.ckpt").write_text("hello")


def reported(**files: str | bytes) -> Make:
    """A report of a folder of a run."""

    def make(folder: Path) -> list[str]:
        holds(**files)(folder)
        return ["report", "run", "--output", "report.html"]

    return make


def places() -> Cases:
    """Folders of runs."""
    written: dict[str, tuple[Make, int]] = {
        "below a device": (fit("--run.folder", "/dev/null/x"), 2),
        "a file": (in_folder(lambda folder: (folder / "run").write_text("hello")), 2),
        "a name of 5,000 letters": (fit("--run.folder", "a" * 5000), 2),
        "a link to itself": (in_folder(lambda folder: (folder / "run").symlink_to("run")), 2),
        "of the kernel": (fit("--run.folder", "/proc/x"), 2),
        "checkpoints below a device": (fit("--checkpoint.dirpath", "/dev/null/x"), 2),
        "a finished run": (in_folder(holds(summary__json="{}")), 1),
        "a config that is a folder": (in_folder(lambda folder: (folder / "run/config.yaml").mkdir(parents=True)), 1),
        "resume from a checkpoint that is none": (in_folder(broken_checkpoint, "--resume"), 0),
        "resume with a manifest that is no JSON": (in_folder(holds(manifest__json="hello"), "--resume"), 0),
        "resume with a manifest that is a list": (in_folder(holds(manifest__json="[]"), "--resume"), 0),
        "resume with starts that are a number": (in_folder(holds(manifest__json='{"starts": 7}'), "--resume"), 0),
    }
    cases = {f"run folder/{name}": Case(make, code) for name, (make, code) in written.items()}
    good = '{"after": {"val/x": 0.5}}'
    reports: dict[str, tuple[Make, int]] = {
        "metrics that are binary": (reported(metrics__csv=bytes(range(256))), 1),
        "metrics that are binary beside scores": (reported(metrics__csv=bytes(range(256)), summary__json=good), 0),
        "empty metrics": (reported(metrics__csv=""), 1),
        "metrics without numbers": (reported(metrics__csv="step,train/reward\nx,y\n"), 1),
        "a summary that is no JSON": (reported(summary__json="hello"), 1),
        "a summary that is a list": (reported(summary__json="[]"), 1),
        "a summary of texts": (reported(summary__json='{"before": "x", "after": 7}'), 0),
        "scores that are texts": (reported(scores__json='{"val/x": "high"}'), 0),
        "completions that are no JSON": (reported(completions__jsonl="hello\n", summary__json=good), 0),
        "completions that are no JSON, and nothing else": (reported(completions__jsonl="hello\n"), 1),
        "completions that are numbers": (reported(completions__jsonl="7\n", summary__json=good), 0),
        "a config that is no YAML": (reported(config__yaml="{", summary__json=good), 0),
        "an alias bomb as config": (reported(config__yaml=bomb_of_configs(), summary__json=good), 0),
    }
    return cases | {f"report/{name}": Case(make, code) for name, (make, code) in reports.items()}


def bomb_of_configs() -> str:
    """A config of some hundred bytes that stands for a billion values."""
    from hostile_input.yamls import bomb

    return bomb()


def environments() -> Cases:
    """Environments and standard streams."""
    odd: dict[str, tuple[dict[str, str], int]] = {
        "WORLD_SIZE of words": ({"WORLD_SIZE": "two", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}, 2),
        "a LOCAL_RANK of words": ({"LOCAL_RANK": "first"}, 2),
        "a SLURM job of words": ({"SLURM_JOB_ID": "x", "SLURM_NTASKS": "two", "SLURM_JOB_NAME": "x"}, 2),
        "no folder for temporary files": ({"TMPDIR": "/missing"}, 0),
        "no home": ({"HOME": "/missing"}, 0),
        "a home that is a device": ({"HOME": "/dev/null"}, 0),
        "PL_GLOBAL_SEED of words": ({"PL_GLOBAL_SEED": "x"}, 0),
        "99 as CUDA device": ({"CUDA_VISIBLE_DEVICES": "99"}, 0),
    }
    cases = {f"environment/{name}": Case(fit(), code, env) for name, (env, code) in odd.items()}
    for name, closed in {"output": (1,), "errors": (2,), "output and errors": (1, 2), "input": (0,)}.items():
        cases[f"environment/closed standard {name}"] = Case(fit(), 0, closed=closed, fresh=True)
    for encoding in ("C", "POSIX"):
        env = {"LC_ALL": encoding}
        cases[f"environment/LC_ALL={encoding} and a folder in Greek"] = Case(
            fit("--run.folder", "αβγ"), 0, env, fresh=True
        )
    return cases
