"""Mathematics that is written in another way than the parser of mathematics knows."""

from __future__ import annotations

import re

from vrft_pl.names import normalize_name
from vrft_pl.rewards.parsing.blocks import unwrap
from vrft_pl.rewards.parsing.mathematics import split_commas

_MAX_TEXT = 400
"""Characters of a text that is written anew."""
_THOUSANDS, _SEMICOLON = re.compile(r",\\!\s*+"), re.compile(r"(?<!\\);")
_AND = re.compile(
    r"\s*+(?:,|;)?\s*+(?:\\q?quad)?\s*+(?:\\(?:text|mathrm)\s*+\{\s*+(?:,\s*+)?(?:and|or)\s*+\}|(?<![\\\w])(?:and|or)(?!\w))"
    r"\s*+(?:\\q?quad)?\s*+"
)
_MIXED = re.compile(r"([+-]?)\s*+([0-9]{1,9})\s++(?:([0-9]{1,9})\s*+/\s*+([0-9]{1,9}))")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:(?: |~|\\,|\\ |\\!)[0-9]{3}){1,5}(?:\.[0-9]*+)?")
_GROUP = re.compile(r" |~|\\[,! ]")
_SWAPPED = re.compile(r"([^=<>!,a-zA-Z]++)=\s*+([a-zA-Z](?:_[a-zA-Z0-9])?)")
_BRACED_BASE = re.compile(r"(?<=[0-9])\s*+_\s*+\{([0-9]{1,2})\}")
_CURRENCY = re.compile(r"(\\\$|€)\s*+([0-9].*)", re.DOTALL)
_MONEY = {"\\$": "dollar", "€": "euro"}
_NO_WORDS = {"pi", "inf", "infinity", "sin", "cos", "tan", "log", "ln", "exp", "sqrt"}
_WORDS = re.compile(r"[A-Za-z][A-Za-z'-]*+(?:\s[A-Za-z][A-Za-z'-]*+){0,15}")
_TEXT_END = re.compile(r"(.*\S)\s*+\\(?:text|textbf|mathrm|mbox|textnormal)\s*+\{\s*+([a-z][a-z ]*+)\}", re.DOTALL)
_MATRIX = re.compile(
    r"(?:\\left[\[(])?\\begin\{([pbvVB]?matrix|array)\}(?:\{[lcr|]*+\})?(.*)\\end\{\1\}(?:\\right[\])])?", re.DOTALL
)
_APPROXIMATELY = re.compile(r"\\(?:approx|simeq|doteq)(?![a-zA-Z])|≈|≅")
_LETTER = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]")
_NAME = r"[a-zA-Z](?:_(?:[a-zA-Z0-9]|\{[a-zA-Z0-9]++\}))?"
_LETTERS = re.compile(r"\\[a-zA-Z]++|([a-zA-Z])")
_PRIMED = re.compile(r"[^\s']'++")
_PLAIN_NAME = re.compile(_NAME)
_EQUATION = re.compile(rf"({_NAME})\s*+=(?!=)\s*+(.++)", re.DOTALL)
_NAMES_OF_POINT = re.compile(r"\((?:[a-z],){1,5}[a-z]\)=(?=\()")


def tidy(text: str) -> str:
    r"""Write lists with ``and`` by commas, mixed numbers as sums, thousands and currencies as a number and its unit.

    Example:
        >>> tidy(r"3 \text{ and } 4"), tidy("-1 1/2"), tidy("1 000"), tidy(r"11,\! 111"), tidy(r"\$5.50")
        ('3,4', '-(1+1/2)', '1000', '11,111', '5.50 dollar')
        >>> tidy("3 = x"), tidy("11_{2}")
        ('x=3', '11_2')
    """
    text = " ".join(text.split()).removesuffix(".")
    if len(text) > _MAX_TEXT:
        return text
    text = _BRACED_BASE.sub(r"_\1", _THOUSANDS.sub(",", text))
    if swapped := _SWAPPED.fullmatch(text):
        return f"{swapped[2]}={swapped[1].strip()}"
    if mixed := _MIXED.fullmatch(text):
        return f"{mixed[1]}({mixed[2]}+{mixed[3]}/{mixed[4]})"
    if _GROUPED.fullmatch(text):
        return _GROUP.sub("", text)
    if money := _CURRENCY.fullmatch(text):
        return f"{money[2]} {_MONEY[money[1]]}"
    text = _SEMICOLON.sub(",", _AND.sub(",", text))
    items = split_commas(text) if text.count("\\boxed{") > 1 else None
    boxed = items is not None and all(item.strip().startswith("\\boxed{") for item in items)
    return ",".join(map(unwrap, items)) if items and boxed else text


def same_words(truth: str, answer: str) -> bool | None:
    """Whether two answers in words agree; ``None`` where the truth is not in words.

    Example:
        >>> same_words("Even", "even."), same_words("yes", "no"), same_words("xy", "xy"), same_words("6", "six")
        (True, False, None, None)
    """
    if _WORDS.fullmatch(truth) is None or len(truth) < 2 or truth.lower() in _NO_WORDS:
        return None
    if set(truth) <= set("abcxyz") or truth.isupper():
        return None
    return normalize_name(truth) == normalize_name(answer)


def without_words(truth: str, answer: str) -> tuple[str, str]:
    r"""Take off words behind the truth, and the same words, or none, behind the answer.

    Example:
        >>> without_words(r"0.06 \text{ yuan}", "0.06"), without_words(r"2 \text{ red}", r"2 \text{ blue}")
        (('0.06', '0.06'), ('2 \\text{ red}', '2 \\text{ blue}'))
    """
    found = _TEXT_END.fullmatch(truth)
    if found is None:
        return truth, answer
    said = _TEXT_END.fullmatch(answer)
    if said is not None and said[2].split() == found[2].split():
        return found[1], said[1]
    bare = re.fullmatch(rf"(.*\S)\s++{re.escape(' '.join(found[2].split()))}", answer, re.DOTALL)
    return (found[1], bare[1] if bare else answer) if said is None else (truth, answer)


def approximations(text: str) -> list[str]:
    r"""What stands on the sides of ``\approx``.

    Example:
        >>> approximations(r"2\sqrt{3} \approx 3.46")
        ['2\\sqrt{3}', '3.46']
    """
    sides = [side.strip() for side in _APPROXIMATELY.split(text)]
    return sides[1:] if len(sides) > 1 and _PLAIN_NAME.fullmatch(sides[0]) else sides


def equal_sides(text: str) -> list[str]:
    """The numbers of a chain of equations, but for the name that it may begin with; one where there is no chain.

    Example:
        >>> equal_sides("x = 2+3 = 5"), equal_sides("2+3=5"), equal_sides("x=5"), equal_sides("2x+1=5")
        (['2+3', '5'], ['2+3', '5'], ['x=5'], ['2x+1=5'])
    """
    name, *rest = sides = [unwrap(side) for side in text.split("=")]
    if len(sides) > 5 or not all(sides) or any(map(_LETTER.search, rest)) or re.search(r"[<>!,:]", text):
        return [text]
    if _LETTER.search(name):
        return rest if len(rest) > 1 else [text]
    return sides


def named_values(items: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Names and values of ``x=1, x=2`` and of ``n=1, 2, 3``; ``None`` where not all have or share a name.

    Example:
        >>> named_values(("x=1", "x=2")), named_values(("n=1", "2")), named_values(("1", "2"))
        ((('x', 'x'), ('1', '2')), (('n', 'n'), ('1', '2')), None)
    """
    found = [_EQUATION.fullmatch(item) for item in items]
    if found[0] is None or any("=" in item for item, match in zip(items, found, strict=True) if match is None):
        return None
    named = [match for match in found if match is not None]
    if len(named) == len(found):
        return tuple(match[1] for match in named), tuple(match[2] for match in named)
    if len(named) > 1:
        return None
    return (named[0][1],) * len(items), (named[0][2], *items[1:])


def without_point_names(text: str) -> str:
    """Take off ``(x,y)=`` before a point.

    Example:
        >>> without_point_names("(p, q) = (3, 2)"), without_point_names("p=(3,2)")
        ('(3, 2)', 'p=(3,2)')
    """
    found = _NAMES_OF_POINT.match("".join(text.split()))
    return text[text.index("=") + 1 :].strip() if found else text


def products(text: str, letters: str = "abcxyz") -> str:
    r"""Write dots between factors: the parser of mathematics takes some pairs of letters for one.

    Args:
        text: An expression.
        letters: What a factor may be called.

    Example:
        >>> products("4ab+x y"), products("3x"), products(r"2\pi ab")
        ('4\\cdot a\\cdot b+x\\cdot y', '3x', '2\\pi a\\cdot b')
    """
    factors = rf"(?<![\\a-zA-Z])([0-9.]*+)[ ]?([{letters}](?:[ ]?[{letters}]){{1,2}})(?![a-zA-Z'(])"

    def dotted(found: re.Match[str]) -> str:
        return "\\cdot ".join(filter(None, (found[1], *found[2].replace(" ", ""))))

    return re.sub(factors, dotted, text)


def told_apart(truth: str, answer: str) -> tuple[str, str]:
    """Give capitals other names where the small letter occurs too: the parser of mathematics takes both for one.

    Example:
        >>> told_apart("R+r", "2r"), told_apart("2R", "R+R")
        (('z_{82}+r', '2r'), ('2R', 'R+R'))
    """
    letters = set(_LETTERS.findall(truth + answer))

    def named(found: re.Match[str]) -> str:
        mark = found[1] or ""
        return f"z_{{{ord(mark)}}}" if mark.isupper() and mark.lower() in letters else found[0]

    return _LETTERS.sub(named, truth), _LETTERS.sub(named, answer)


def same_primes(truth: str, answer: str) -> bool:
    """Whether the same names have primes, which the parser of mathematics drops.

    Example:
        >>> same_primes("x'", "x"), same_primes("2f'(x)", "f'(x)+f'(x)"), same_primes("f'(x)", "f''(x)")
        (False, True, False)
    """
    return set(_PRIMED.findall(truth)) == set(_PRIMED.findall(answer))


def matrix(text: str) -> tuple[tuple[str, ...], ...] | None:
    r"""Read the rows of a matrix, whatever its brackets; ``None`` for anything else.

    Example:
        >>> matrix(r"\begin{pmatrix} 1 & 2 \\ 3 & x+1 \end{pmatrix}"), matrix("(1,2)")
        ((('1', '2'), ('3', 'x+1')), None)
    """
    found = _MATRIX.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None or "\\begin" in found[2]:
        return None
    rows = found[2].strip().removesuffix("\\\\").split("\\\\")
    return tuple(tuple(cell.strip() for cell in row.split("&")) for row in rows)
