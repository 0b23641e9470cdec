"""``vrft_pl validate`` and ``test``: how a policy does on held-out samples."""

from __future__ import annotations

from collections.abc import Sequence

from vrft_pl.commands.cli import RunCLI
from vrft_pl.commands.errors import fail
from vrft_pl.data.samples import Split
from vrft_pl.modules import PolicyModule
from vrft_pl.runs import RunFolder
from vrft_pl.trainer.constants import warnings_of
from vrft_pl.trainer.scores import finite
from vrft_pl.trainer.tables import fault_lines, print_scores


def validate(args: Sequence[str]) -> None:
    """Evaluate on the validation splits, write ``scores.json`` and print the table."""
    score(RunCLI("validate", args))


def test(args: Sequence[str]) -> None:
    """Evaluate on the test splits, write ``scores.json`` and print the table."""
    score(RunCLI("test", args))


def score(cli: RunCLI) -> None:
    """Evaluate and report."""
    with cli.running():
        cli.datamodule.setup(cli.command)
        refuse_nothing(cli)
        cli.start()
        split: Split = "val" if cli.command == "validate" else "test"
        scores = cli.trainer.evaluate(cli.model, cli.datamodule, split, **cli.method_kwargs)
        faults = cli.model.faults() if isinstance(cli.model, PolicyModule) else {}
        if cli.trainer.is_global_zero:
            constants = cli.constants(split, scores)
            cli.folder.write(RunFolder.SCORES, finite(scores))
            print_scores(scores, constants.flat(split), [*fault_lines(faults), *warnings_of(constants, split, scores)])
            print(f"Files of this run: {cli.folder}")


def refuse_nothing(cli: RunCLI) -> None:
    """End where there is no part to evaluate on."""
    split = "val" if cli.command == "validate" else "test"
    if not getattr(cli.datamodule, f"{split}_dataloader")():
        fail(
            f"Expected `data.init_args.{split}` to name at least one part for `vrft_pl {cli.command}`, but got none.", 2
        )
