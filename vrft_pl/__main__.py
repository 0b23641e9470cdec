"""The command ``vrft_pl``: answers what needs no torch at once, and hands over everything else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vrft_pl import __version__

COMMANDS = {
    "check": "Find mistakes in data, policy and config before training; train nothing.",
    "fit": "Train a policy: supervised (SFTModule) or reinforced (GRPOModule); evaluate it before and after.",
    "validate": "Evaluate a policy on the validation splits.",
    "test": "Evaluate a policy on the test splits.",
    "predict": "Write one greedy completion to each sample of the test splits.",
}
HELP = f"""usage: vrft_pl {{{",".join(COMMANDS)}}} --config FILE [--config FILE ...] [--key value ...]

Visual reinforcement fine-tuning of vision-language models.

commands:
{chr(10).join(f"  {name:<10}{text}" for name, text in COMMANDS.items())}

options:
  --config FILE   a YAML file; later files and --key value override earlier ones
  --help          this text; `vrft_pl COMMAND --help` lists the keys of a command
  --version       the version

start with: vrft_pl fit --config configs/quickstart.yaml
"""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exits with 2 when the arguments are wrong, with 1 when an input turns out to be wrong while running.
    """
    args = list(sys.argv[1:] if args is None else args)
    if not args or args[0] in ("-h", "--help", "help"):
        print(HELP)
    elif args[0] == "--version":
        print(f"vrft_pl {__version__}")
    elif args[0] not in COMMANDS:
        print(f"vrft_pl: expected a command out of {', '.join(COMMANDS)}, but got {args[0]!r}.", file=sys.stderr)
        sys.exit(2)
    else:
        from vrft_pl.cli import run  # torch is imported only now: help stays fast

        run(args)


if __name__ == "__main__":
    main()
