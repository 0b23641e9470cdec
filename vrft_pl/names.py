"""When two names of classes are one: in ground truth, answers, files of annotations and groups of metrics."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import regex

_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015\u2212]++")
_BLANKS = re.compile(r"[\s_]++")
_INVISIBLE = regex.compile(r"[\x00\ufeff\p{Default_Ignorable_Code_Point}]")
_ARTICLE = re.compile(r"(?:a|the|an(?! (?!8|11|18)[0-9])) ")
_ENDS = string.whitespace + ".,;:!?\"'`*()[]{}<>\u2018\u2019\u201c\u201d"
_HYPHENS = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"


@lru_cache(maxsize=4096)
def normalize_name(name: str) -> str:
    """Bring a class name into one form: case, width, blanks, underscores, hyphens, punctuation at the ends, an article.

    Marks that can't be seen go. ``a`` before a hyphen is no article, and ``an`` before a number only where it is spoken
    so: ``A-10`` and ``An-12`` are aircraft.

    Example:
        >>> normalize_name("The  Hard-leaved_Pocket orchid.")
        'hard leaved pocket orchid'
    """
    name = _INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).replace("\u2019", "'").casefold()
    name = _BLANKS.sub(" ", name).strip(_ENDS + _HYPHENS)
    if article := _ARTICLE.match(name):
        name = name[article.end() :]
    return _SEPARATORS.sub(" ", name).strip(_ENDS)


def spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """Find the ways in which each name is spelled, in the order of their first use.

    Example:
        >>> spellings(["hot_dog", "cat", "Hot-Dog", "cat"])
        {'hot dog': ['hot_dog', 'Hot-Dog'], 'cat': ['cat']}
    """
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        found.setdefault(normalize_name(name), []).append(name)
    return found
