"""The command ``vrft_pl``: answers what needs no torch at once, and hands over everything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import EntryPoint, entry_points
from io import TextIOWrapper

from vrft_pl import __version__
from vrft_pl.importing import imported
from vrft_pl.shipped import shipped

COMMANDS = {
    "check": (
        "vrft_pl.commands.check:main",
        "Find mistakes in data, policy and config before training; train nothing.",
    ),
    "fit": (
        "vrft_pl.commands.fit:main",
        "Train a policy: supervised (SFTModule) or reinforced (GRPOModule); evaluate it before and after.",
    ),
    "validate": ("vrft_pl.commands.evaluate:validate", "Evaluate a policy on the validation splits."),
    "test": ("vrft_pl.commands.evaluate:test", "Evaluate a policy on the test splits."),
    "ablate": (
        "vrft_pl.commands.ablate:main",
        "Compare ways to train: same rows, matched cost, equal search, several seeds.",
    ),
    "predict": (
        "vrft_pl.commands.predict:main",
        "Let a policy answer: a question about pictures of yours (`--images`), or the samples of the test splits.",
    ),
    "merge": ("vrft_pl.commands.merge:main", "Merge an adapter into its base: an ordinary checkpoint."),
    "convert": (
        "vrft_pl.commands.convert:main",
        "Make rows that are read here of rows of TRL, ms-swift, VLM-R1 or LLaMA-Factory.",
    ),
    "options": (
        "vrft_pl.commands.options:main",
        "Show what a class of a config takes, such as `data.Detection`, or a section, such as `trainer`.",
    ),
    "serve": (
        "vrft_pl.commands.serve:main",
        "Start servers of vLLM that a run samples from (`VLLMSampler`).",
    ),
    "report": (
        "vrft_pl.commands.report:main",
        "Make a page of runs or of an ablation, to look at scores, curves and completions; tables and figures.",
    ),
}
"""By name: the function that gets the arguments behind it, imported when it is asked for; and what it does."""
OF_A_RUN = ("check", "fit", "validate", "test", "predict")
"""Commands that build a run, whose parser takes seconds of imports; their help does without."""
OF_LAUNCHERS = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_PORT"),
    *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS"),
)
"""Variables with numbers by which a launcher says which process of a run this is."""
GROUP = "vrft_pl.commands"
"""Entry points of other packages in this group are commands too."""
DEBUG = "--debug"
"""Shows tracebacks."""
HELP = """usage: vrft_pl {{{names}}} --config FILE [--config FILE ...] [--key value ...]

Visual reinforcement fine-tuning of vision-language models.

commands:
{commands}

options:
  --config FILE   a YAML file; later files and --key value override earlier ones
  --help          this text; `vrft_pl COMMAND --help` lists the keys of a command
  --version       the version
  --debug         show the traceback behind the line that says what is wrong

start with: vrft_pl fit --config configs/quickstart.yaml
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; what nothing foresaw is raised.

    Exits with 2 when the arguments are wrong, with 1 when an input turns out to be wrong while running.
    """
    args = list(sys.argv[1:] if args is None else args)
    debug = DEBUG in args
    args = [arg for arg in args if arg != DEBUG]
    commands = available()
    if not args or args[0] in ("-h", "--help", "help"):
        lines = [f"  {name:<10}{text}" for name, (_, text) in commands.items()]
        print(HELP.format(names=",".join(commands), commands="\n".join(lines)))
    elif args[0] == "--version":
        print(f"vrft_pl {__version__}")
    elif args[0] not in commands:
        print(f"vrft_pl: expected a command out of {', '.join(commands)}, but got {args[0]!r}.", file=sys.stderr)
        sys.exit(2)
    elif args[0] == "options":
        from vrft_pl.commands.options import main as show_options

        show_options(args[1:])
    elif args[0] in OF_A_RUN and {"-h", "--help"} & set(args[1:]):
        from vrft_pl.commands.help import shown

        print(shown(args[0], commands[args[0]][0].partition(":")[0]))
    else:
        if wrong := no_numbers(os.environ):
            print(f"vrft_pl: {wrong}", file=sys.stderr)
            sys.exit(2)
        errors = imported("vrft_pl.commands.errors")  # torch only now: help stays fast
        with errors.tracebacks_shown() if debug else nullcontext(), errors.input_errors_in_one_line():
            command = EntryPoint(args[0], commands[args[0]][0], GROUP)
            imported(command.module)
            command.load()([shipped(arg) for arg in args[1:]])


def program() -> None:
    """The command line as a program: whatever goes wrong ends in one line, unless it has ``--debug``."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # classes of one's own, as with `python -m vrft_pl`; behind all that is installed
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    try:
        main()
    except Exception:
        if DEBUG in sys.argv[1:]:
            raise
        from vrft_pl.commands.errors import bugs_in_one_line

        with bugs_in_one_line():
            raise


def no_numbers(environment: Mapping[str, str]) -> str | None:
    """Say which variable of a launcher should hold a number; importing Lightning ends with a traceback otherwise.

    Example:
        >>> no_numbers({"LOCAL_RANK": "first"})
        "Expected `LOCAL_RANK` of the environment to be a number, but got 'first'. Set it to one, or unset it."
    """
    for name in OF_LAUNCHERS:
        if not environment.get(name, "0").strip().isdecimal():
            got = environment[name]
            return f"Expected `{name}` of the environment to be a number, but got {got!r}. Set it to one, or unset it."
    return None


def available() -> dict[str, tuple[str, str]]:
    """Our commands, and those of installed packages; none takes the place of ours."""
    others = {point.name: (point.value, f"From {point.value}.") for point in entry_points(group=GROUP)}
    return COMMANDS | {name: command for name, command in others.items() if name not in COMMANDS}


if __name__ == "__main__":
    program()
