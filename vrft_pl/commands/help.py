"""``--help`` of the commands that build a run, read from the source: their parser takes seconds of imports."""

from __future__ import annotations

from vrft_pl.commands.definitions import find, summary
from vrft_pl.commands.options import entry, wrapped
from vrft_pl.commands.sections import flags, of_method, sections
from vrft_pl.commands.signatures import Option

HEAD = """usage: vrft_pl {command} --config FILE [--config FILE ...] [--key value ...]

A dotted key of the command line is a key within a section of a config: `--trainer.max_steps 5` is
`trainer: {{max_steps: 5}}`. `vrft_pl options NAME` shows what a class takes that stands in `model`, `data` or a list,
such as `vrft_pl options rewards.BoxIoU`.
"""
BASE = (
    Option("config", "FILE", "", "A YAML file; later files and `--key value` override earlier ones."),
    Option("print_config", "", "", "Print the config as it is read, and do nothing."),
    Option("seed_everything", "bool | int", "0", "Seed of the run, also of the order of rows and of sampling."),
)
BUILT = {
    "model": "What is trained and judged: a class with its `init_args`. `vrft_pl options modules` lists them.",
    "data": "What it is trained and judged on, likewise. `vrft_pl options data` lists families and sources.",
}
"""Sections that name a class."""


def shown(command: str, module: str) -> str:
    """The help of a command.

    Args:
        command: Its name.
        module: The module that it is in.
    """
    lines = [HEAD.format(command=command)]
    for option in [*BASE, *flags(module), *of_method(command)]:
        lines += entry(option, "--")
    for key, what in BUILT.items():
        lines += ["", f"{key}:", *wrapped(what, 2)]
    for key, section in sections(module).items():
        found = find(section.path)
        lines += ["", f"{key}:", *wrapped(summary(found) if found else "", 2)]
        for option in section.options:
            lines += entry(option, f"--{key}.")
    return "\n".join(lines)
