"""``vrft_pl check``: everything that can be checked without training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from vrft_pl.check import CheckOptions, TrainerSection, check_run
from vrft_pl.commands.cli import RunCLI
from vrft_pl.commands.errors import fail


def main(args: Sequence[str]) -> None:
    """Check a run; exit with 1 when something would break it."""
    cli = CheckCLI("check", args)
    with cli.running():
        options = CheckOptions(**cli.config.check.as_dict(), write_difficulty=cli.config.write_difficulty)
        report = check_run(cli.model, cli.datamodule, cli.section, options, cli.folder)
        report.write(cli.folder)
        report.print(cli.folder)
    if report.count("error"):
        fail(report.verdict, 1)


class CheckCLI(RunCLI):
    """Adds what to look at; builds the trainer of `fit`, so that what Lightning refuses there is refused here."""

    runs_trainer = False

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what to look at."""
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(CheckOptions, "check", skip={"write_difficulty"})
        parser.add_argument(
            "--write_difficulty",
            type=str | None,
            metavar="FILE",
            help="Let the policy write a group to every training row, and write its success rates to this file, by "
            "which `DifficultyBand` chooses rows.",
        )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Keep the trainer's section; one on a CPU stands in where this machine lacks the devices."""
        self.section = TrainerSection.of({**self.config_init.trainer.as_dict(), "callbacks": self.callbacks()})
        if self.section.available:
            return super().instantiate_trainer(**kwargs)
        return self.section.stand_in(accelerator="cpu", precision="32-true")
