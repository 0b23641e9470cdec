"""Commands on the pages, and whether the parser of each takes them."""

import re
import shlex
import tomllib
from unittest.mock import patch

from docs.pages import ROOT, blocks
from jsonargparse import ArgumentParser

from vrft_pl.__main__ import COMMANDS, main

PLACEHOLDERS = {
    "x.yaml": "configs/quickstart.yaml",
    "mine.yaml": "configs/quickstart.yaml",
    "photographs.yaml": "docs/photographs.yaml",
    "...": "",
}
RUNS = ("fit", "check")
"""Commands that take the config of a run; their parsers are slow to build."""
OTHERS = {
    *("pip", "pre-commit", "pytest", "python", "python3", "mkdocs", "wandb", "hf"),
    *(".", "bash", "cd", "git", "ls", "mkdir", "sbatch", "torchrun"),
}
SECTIONS = (
    "model",
    "data",
    "trainer",
    "run",
    "checkpoint",
    "val_subset",
    "completions",
    "predictions",
    "export",
    "config",
)
"""What options of a run begin with."""
BASE = ["vrft_pl", "fit", "--config", "configs/grounding/grpo.yaml"]
_parsers = {}


class Parsed(BaseException):
    """Ends a command behind its parser."""


def commands(page):
    """The words of each command in the shell blocks of a page, without comments."""
    for text in blocks(page, "bash"):
        for line in text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\|\||;|\|", line.partition(" #")[0]):
                words = shlex.split(part)
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    words.pop(0)
                if words and not words[0].startswith("#"):
                    yield words


def options(page):
    """The words of each option of a run that a page names within its text."""
    for text in re.findall(r"`(--[^`]+)`", page.read_text(encoding="utf-8")):
        words = shlex.split(text.replace("\n", " "))
        if len(words) > 1 and re.match(rf"--({'|'.join(SECTIONS)})\b", words[0]):
            yield words


def refused(options):
    """Those options that a run refuses."""
    if not fault([*BASE, *(word for words in options for word in words)]):
        return []
    return [" ".join(words) for words in options if fault([*BASE, *words])]


def parse(words):
    """Let the command read its arguments, and do no more; `SystemExit` where it refuses them."""
    given = [PLACEHOLDERS.get(word, word) for word in words[2:]]
    given = [
        str(ROOT / word) if word.startswith(("configs/", "docs/", "experiments/")) else word for word in given if word
    ]
    # what is evaluated takes the options of training: one parser is slow enough to build
    command = "fit" if words[1] in ("validate", "test") else words[1]
    if command in _parsers:
        _parsers[command].parse_args(given)
        return

    def keep(parser, args=None, *rest, **kwargs):
        parsed = original(parser, args, *rest, **kwargs)
        if command in RUNS:
            _parsers[command] = parser
        raise Parsed(parsed)

    original = ArgumentParser.parse_args
    with patch.object(ArgumentParser, "parse_args", keep):
        try:
            main([command, *given])
        except Parsed:
            return
    raise AssertionError(f"`{' '.join(words)}` has not asked its parser")


def fault(words):
    """What is wrong with a command, as far as can be seen without running it; ``None`` for nothing."""
    program, *rest = words
    if program == "vrft_pl":
        if not rest or rest[0] not in COMMANDS:
            return None if rest and rest[0].startswith("--") else "no such command"
        try:
            parse(words)
        except SystemExit as stop:
            return None if stop.code in (0, None) else "its arguments are refused"
        return None
    if program not in OTHERS:
        return "an unknown program"
    files = [word for word in rest if re.match(r"(tools|configs|experiments|docs|tests)/\S+\.\w+$", word)]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    asked = re.findall(r"\[([\w,]+)\]", " ".join(rest)) if program == "pip" else []
    missing = [name for name in files if not (ROOT / name).exists()]
    missing += [name for group in asked for name in group.split(",") if name not in extras]
    return f"there is no {missing[0]}" if missing else None
