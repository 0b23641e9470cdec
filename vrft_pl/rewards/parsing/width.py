"""Characters of Chinese and Japanese texts that stand for those of ASCII."""

from __future__ import annotations

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_MARKS = str.maketrans("\u3000。｡、､【】「」『』“”", ' ..,,[]""""""')
_NARROW = _WIDE | _MARKS


def narrow(text: str) -> str:
    """Write full-width digits, letters and marks as those of ASCII, one character for each.

    Nothing else changes: digits of other scripts, superscripts and ligatures stay what they are.

    Example:
        >>> narrow("（Ｂ）　３。"), narrow("[1，2，3，4]"), narrow("٣²")
        ('(B) 3.', '[1,2,3,4]', '٣²')
    """
    return text if text.isascii() else text.translate(_NARROW)
