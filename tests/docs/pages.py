"""The pages and the blocks of code on them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("configs", "docs", "experiments", "vrft_pl")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
_FENCED = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks(page, language):
    """The fenced blocks of a language."""
    return [text for _, name, text in _FENCED.findall(page.read_text(encoding="utf-8")) if name == language]


def block(page, language, mark):
    """The first of them that holds a mark."""
    return next(text for text in blocks(ROOT / page, language) if mark in text)
