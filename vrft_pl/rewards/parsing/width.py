"""Characters of other scripts that stand for those of ASCII."""

from __future__ import annotations

import unicodedata

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_MARKS = str.maketrans("\u3000。｡、､【】「」『』“”", ' ..,,[]""""""')
_NARROW = _WIDE | _MARKS
_BETWEEN_DIGITS = {"\u066b": ".", "\u066c": ","}


def narrow(text: str) -> str:
    """Write full-width digits, letters and marks as those of ASCII, one character for each.

    Nothing else changes: digits of other scripts, superscripts and ligatures stay what they are.

    Example:
        >>> narrow("（Ｂ）　３。"), narrow("[1，2，3，4]"), narrow("٣²")
        ('(B) 3.', '[1,2,3,4]', '٣²')
    """
    return text if text.isascii() else text.translate(_NARROW)


def western(text: str) -> str:
    """Write the digits of one other script, and the marks of Arabic between them, as those of ASCII.

    Digits of two scripts are none.

    Example:
        >>> western("٣٫٥"), western("३"), western("1٣"), western("²")
        ('3.5', '3', '1٣', '²')
    """
    if text.isascii():
        return text
    zeros = {ord(mark) - unicodedata.decimal(mark) for mark in text if mark.isdecimal()}
    if len(zeros) != 1 or zeros == {ord("0")}:
        return text
    return "".join(str(unicodedata.decimal(m)) if m.isdecimal() else _BETWEEN_DIGITS.get(m, m) for m in text)
