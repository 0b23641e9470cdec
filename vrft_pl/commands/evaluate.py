"""``vrft_pl validate``, ``test`` and ``predict``: what a policy writes on held-out samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from vrft_pl.commands.cli import RunCLI
from vrft_pl.distributed import data_share, in_order
from vrft_pl.run import print_scores, write_rows, write_scores


def validate(args: Sequence[str]) -> None:
    """Evaluate on the validation splits and print the scores."""
    score(RunCLI("validate", list(args)))


def test(args: Sequence[str]) -> None:
    """Evaluate on the test splits and print the scores."""
    score(RunCLI("test", list(args)))


def score(cli: RunCLI) -> None:
    """Write ``scores.json`` and print the table."""
    with cli.running():
        evaluate = getattr(cli.trainer, cli.command)
        parts = evaluate(cli.model, datamodule=cli.datamodule, **{**cli.method_kwargs, "verbose": False})
        scores = {name: value for part in parts for name, value in part.items()}
        folder = cli.log_folder
        if cli.trainer.is_global_zero:
            write_scores(folder, scores)
            print_scores(scores)
            print(f"Files of this run: {folder}")


def predict(args: Sequence[str]) -> None:
    """Write one greedy completion to each sample of the test splits, as ``predictions.jsonl``."""
    cli = RunCLI("predict", list(args))
    with cli.running():
        options: dict[str, Any] = {**cli.method_kwargs, "return_predictions": True}
        batches = cli.trainer.predict(cli.model, datamodule=cli.datamodule, **options) or []
        parts = batches if batches and isinstance(batches[0][0], list) else [batches]
        share = data_share(cli.trainer.strategy)
        rows = (row for part in parts for row in in_order([row for batch in part for row in batch], share))
        folder = cli.log_folder
        if cli.trainer.is_global_zero:
            write_rows(folder / "predictions.jsonl", rows)
            print(f"Predictions: {folder / 'predictions.jsonl'}")
        else:
            deque(rows, maxlen=0)  # takes part in the gathering
