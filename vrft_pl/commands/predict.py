"""``vrft_pl predict``: what a policy answers, about pictures of one's own or to held-out samples."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from vrft_pl.commands.answers import write_answers
from vrft_pl.commands.cli import RunCLI
from vrft_pl.commands.errors import fail
from vrft_pl.commands.evaluate import refuse_nothing
from vrft_pl.commands.unasked import leave_out_refused, unasked_lines
from vrft_pl.data import OpenEnded, Pictures, VisionTask
from vrft_pl.modules import PolicyModule
from vrft_pl.policy import VLM
from vrft_pl.policy.checkpoint import read_data
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

PART = "pictures"
"""Name of the part that pictures of one's own make."""
_CHECKPOINT = re.compile(r"--model\.(?:init_args\.)?policy\.(?:init_args\.)?checkpoint(?:=(.*))?", re.DOTALL)


def main(args: Sequence[str]) -> None:
    """Write one greedy completion to each question, and what was read of it."""
    refuse_no_pictures(args)
    cli = PredictCLI("predict", completed(args))
    with cli.running():
        cli.refuse_unused_categories()
        cli.datamodule.setup("predict")
        refuse_nothing(cli)
        if cli.pictures is not None and isinstance(cli.model, PolicyModule):
            leave_out_refused(cli.datamodule, cli.model.policy.codec)
        cli.start()
        questions = sum(len(loader.dataset) for loader in cli.datamodule.predict_dataloader())
        if questions:
            options = {**cli.method_kwargs, "return_predictions": False}
            cli.trainer.predict(cli.model, datamodule=cli.datamodule, **options)
        if cli.trainer.is_global_zero:
            if cli.pictures is not None:
                print(write_answers(cli.folder, cli.pictures, cli.datamodule, cli.config.drawings))
            else:
                for line in unasked_lines(cli.folder, cli.datamodule, questions):
                    print(line)
            if questions:
                print(f"Predictions: {cli.folder.path / RunFolder.PREDICTIONS}")
    if not questions:
        fail("Expected a picture that can be read, but there is none. The table says why.", 1)


def refuse_no_pictures(args: Sequence[str]) -> None:
    """End where arguments that only mean something beside pictures or a config have neither."""
    names = {arg.partition("=")[0] for arg in args}
    beside = sorted(name for name in names if name in ("--problem", "--categories") or _CHECKPOINT.fullmatch(name))
    if beside and not names & {"--images", "--config", "--model"}:
        fail(
            f"Expected pictures beside `{beside[0]}`, but there are none. Name them by `--images`, or a `--config` "
            "whose samples to answer.",
            2,
        )


def completed(args: Sequence[str]) -> list[str]:
    """Arguments of `PredictCLI`: where pictures are named and no config is, policy and family need not be.

    The family is the one that the checkpoint was trained as, where its folder says so, and else `OpenEnded`.
    """
    named = [arg for arg in args if re.fullmatch(r"--(?:images|config)(?:=.*)?", arg, re.DOTALL)]
    if not named or any(arg.startswith("--config") for arg in named):
        return list(args)
    asked = asked_in_training(args) or {"class_path": path_of(OpenEnded)}
    policy = {"class_path": path_of(PolicyModule), "init_args": {"policy": {"class_path": path_of(VLM)}}}
    return ["--model", json.dumps(policy), "--data", json.dumps(asked), *args]


def asked_in_training(args: Sequence[str]) -> dict[str, Any] | None:
    """How the checkpoint that arguments name was asked, if that is known.

    Raises:
        InputError: If its note is damaged or names a class that is not of vrft_pl, and no other family is named.
    """
    try:
        return read_data(checkpoint_of(args))
    except InputError:
        if not any(arg == "--data" or arg.startswith("--data=") for arg in args):
            raise
        return None


def checkpoint_of(args: Sequence[str]) -> str:
    """The checkpoint that arguments name last."""
    following = [*args[1:], ""]
    marks = [(_CHECKPOINT.fullmatch(arg), value) for arg, value in zip(args, following, strict=True)]
    named = [value if mark[1] is None else mark[1] for mark, value in marks if mark]
    return named[-1] if named else "tiny"


def path_of(kind: type) -> str:
    """The import path of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


class PredictCLI(RunCLI):
    """Adds pictures of one's own, which take the place of all rows."""

    pictures: Pictures | None = None
    """Those that are asked about."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the pictures and what is asked about them."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            "--images",
            nargs="+",
            type=str,
            default=[],
            metavar="PICTURE",
            help="Pictures, folders or globs ('photos/*.jpg') to ask about, in place of the samples of the config.",
        )
        parser.add_argument(
            "--problem",
            type=str | None,
            help="The question; with {category} it is asked for each of `categories`, with {categories} for all.",
        )
        parser.add_argument(
            "--categories", nargs="+", type=str, default=[], metavar="NAME", help="Categories to ask for."
        )
        parser.add_argument("--drawings", type=bool, default=True, help="Draw the answers on the pictures.")

    def before_instantiate_classes(self) -> None:
        """Put the pictures in the place of all rows."""
        super().before_instantiate_classes()
        config = self.config
        if not config.images:
            if alone := [name for name in ("problem", "categories") if config[name]]:
                fail(f"Expected `--images` beside `--{alone[0]}`, but there is none.", 2)
            return
        if not config.problem and not config.categories:
            fail("Expected a question in `--problem`, or `--categories` to ask for, but got neither.", 2)
        arguments: Any = config.data.get("init_args", {})
        if "test" not in arguments:
            fail(f"Expected `data` to be one family for `--images`, but got {config.data.class_path}. Name one.", 2)
        asked = {"images": config.images, "problem": config.problem, "categories": config.categories}
        source = Namespace(class_path=path_of(Pictures), init_args=Namespace(**asked))
        arguments.update(Namespace(train=None, val=None, test={PART: source}, on_bad_row="skip"))

    def instantiate_classes(self) -> None:
        """Keep the pictures that are asked about."""
        super().instantiate_classes()
        if isinstance(self.datamodule, VisionTask):
            source = self.datamodule.test_sources.get(PART)
            self.pictures = source if isinstance(source, Pictures) and self.config.images else None

    def refuse_unused_categories(self) -> None:
        """End where neither the question nor the family takes the categories."""
        if self.pictures is None or not self.pictures.categories or self.pictures.field is not None:
            return
        question = self.pictures[0]
        if self.datamodule.unanswered(question) is not question.answer.kind:
            fail("Expected {category} or {categories} in `--problem` for `--categories`, but there is neither.", 2)
