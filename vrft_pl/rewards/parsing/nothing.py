"""An answer that says in words that there is nothing to find."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from vrft_pl.names import normalize_name

_NOTHING = re.compile(
    r"none|nothing|(?:there (?:is|are) )?no (.+?)(?: (?:is|are|was|were))?(?: (?:found|detected|present|visible))?"
    r"(?: in (?:the|this) (?:image|picture|photo))?"
)
_IRREGULAR = {
    "child": "children", "fish": "fish", "foot": "feet", "goose": "geese", "knife": "knives", "leaf": "leaves",
    "loaf": "loaves", "man": "men", "mouse": "mice", "person": "people", "sheep": "sheep", "shelf": "shelves",
    "tooth": "teeth", "wolf": "wolves", "woman": "women",
}  # fmt: skip


def says_nothing(answer: str, names: Mapping[str, str]) -> bool:
    """Whether an answer is ``No Objects``, ``None``, ``No objects found``, ``There are no dogs.`` or the like.

    Args:
        answer: At most some hundred characters.
        names: See `word_forms`. Only where one category is asked for does naming it deny all that is asked for.

    Example:
        >>> dogs = word_forms(("dog",))
        >>> [says_nothing(text, dogs) for text in ("There are no dogs.", "No cats", "No dogs, but a cat", "none")]
        [True, False, False, True]
    """
    found = _NOTHING.fullmatch(normalize_name(answer))
    if found is None:
        return False
    alone = len(set(names.values())) == 1
    return found[1] in (None, "object", "objects") or (alone and found[1] in names)


@lru_cache(maxsize=4096)
def word_forms(categories: Collection[str]) -> Mapping[str, str]:
    """The categories by their normalised names, in the singular as they are and in the plural.

    Example:
        >>> word_forms(("hot-dog", "Person"))
        {'hot dogs': 'hot-dog', 'people': 'Person', 'hot dog': 'hot-dog', 'person': 'Person'}
    """
    names = {normalize_name(category): category for category in categories}
    return {plural(name): category for name, category in names.items()} | names


def plural(name: str) -> str:
    """The plural of an English name.

    Example:
        >>> plural("bus"), plural("police man"), plural("berry"), plural("toy")
        ('buses', 'police men', 'berries', 'toys')
    """
    *before, last = name.split(" ")
    if last in _IRREGULAR:
        return " ".join([*before, _IRREGULAR[last]])
    if last[-1:] == "y" and last[-2:-1] not in tuple("aeiou"):
        return f"{name[:-1]}ies"
    return name + ("es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s")
