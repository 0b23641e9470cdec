"""Reading a number with its unit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from vrft_pl.rewards.parsing.blocks import MAX_ANSWER, unwrap
from vrft_pl.rewards.parsing.notation import NUMBER
from vrft_pl.rewards.parsing.unread import Unread
from vrft_pl.rewards.parsing.width import narrow, western

_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_WORDS = {word: float(value) for value, word in enumerate(_NAMES.split())}
_UNITS = {
    "degree": "° º deg deg. degs degree degrees ^\\circ ^{\\circ} ^o \\degree \\circ",
    "radian": "rad rads radian radians",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres",
    "inch": "in in. inch inches",
    "foot": "ft ft. foot feet",
    "yard": "yd yds yard yards",
    "mile": "mi mile miles",
    "unit": "unit units",
    "%": "% \\% percent percentage pct",
    "dollar": "\\$ dollar dollars USD",
    "euro": "€ euro euros EUR",
}
_POWERS = {
    "{}^2 {}^{{2}} {}² {}2 {}squared square{} sq{} sq.{}": "{}^2",
    "{}^3 {}^{{3}} {}³ {}3 {}cubed cubic{} cu{} cu.{}": "{}^3",
}
UNITS = {name: unit for unit, names in _UNITS.items() for name in names.split()}
"""Spellings of units, without blanks, and the unit each means."""
UNITS |= {
    form.format(name): power.format(unit)
    for name, unit in UNITS.items()
    if unit not in ("degree", "radian", "%", "dollar", "euro")
    for forms, power in _POWERS.items()
    for form in forms.split()
}
_MEASURES = {
    "kg": "kg kgs kilogram kilograms kilo kilos",
    "g": "g gram grams",
    "mg": "mg milligram milligrams",
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "pound": "lb lbs pound pounds",
    "ounce": "oz ounce ounces",
    "liter": "l L liter liters litre litres",
    "ml": "ml mL milliliter milliliters millilitre millilitres",
    "mph": "mph mi/h",
    "km/h": "km/h km/hr kmh kph",
    "piece": "piece pieces 个 個 只 隻 头 匹 条 條 本 台 辆 輛 件 块 塊 张 張 把 枚 颗 顆 人 名 つ 개 마리 명",
}
NUMBER_UNITS = UNITS | {name: unit for unit, names in _MEASURES.items() for name in names.split()}
"""Those of ``UNITS``, others which in a formula would be variables (``2h``), and what counts things (``3个``)."""
MATH_UNITS = UNITS | {
    name: unit for name, unit in NUMBER_UNITS.items() if len(name) > 2 or name in ("kg", "hr", "lb", "oz")
}
"""Those of ``NUMBER_UNITS`` that in a formula are no variables."""
_SIZES: dict[str, tuple[str, float]] = {
    **{unit: ("length", size) for unit, size in {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3}.items()},
    **{unit: ("length", size) for unit, size in {"inch": 0.0254, "foot": 0.3048, "yard": 0.9144}.items()},
    **{"mile": ("length", 1609.344), "mg": ("mass", 1e-3), "g": ("mass", 1.0), "kg": ("mass", 1e3)},
    **{"second": ("time", 1.0), "minute": ("time", 60.0), "hour": ("time", 3600.0)},
    **{"ml": ("volume", 1e-3), "liter": ("volume", 1.0)},
}
"""What a unit measures, and its size."""
_THOUSANDS = (
    r"[+-]?[1-9][0-9]{0,2}(?>(?P<between>[, \u00a0\u2009\u202f]|\\,)[0-9]{3}"
    r"(?>(?:(?P=between)[0-9]{3})*))(?:\.[0-9]*+)?"
)
_BETWEEN = str.maketrans(dict.fromkeys(", \u00a0\u2009\u202f\\"))
_BRACKETED = re.compile(rf"\(\s*+({NUMBER.pattern})\s*+\)|\[\s*+({NUMBER.pattern})\s*+\]")
_QUANTITY = re.compile(  # the number alone may be wrapped: `$50$ cm`, `\boxed{50}^\circ`
    rf"(?>(\$|\\\(|\\boxed\{{|\*\*)?)\s*+({_THOUSANDS}|{NUMBER.pattern})\s*+(?(1)(?:\$|\\\)|\}}|\*\*))\s*+(?P<unit>.*)",
    re.DOTALL,
)
_TEXT_UNIT = re.compile(r"\\(?:text|mathrm|mbox|operatorname)\s*+\{([^{}]*+)\}")
_SPACE = re.compile(r"\\[,;:! ]|~")


class Quantity(NamedTuple):
    """A number, with a unit if one was written."""

    value: float
    unit: str | None = None


def parse_number(answer: str, words: bool = False, units: Mapping[str, str] = UNITS) -> Quantity | Unread:
    r"""Read an answer that is a number, with a known unit or none: ``3``, ``3.0``, ``-2e1``, ``1,234``, ``50 deg``.

    Thousands may stand apart by a comma or a blank, the digits may be those of one other script, and brackets may stand
    around a number without a unit: ``1 234``, ``٣``, ``(3)``.

    Args:
        answer: Content of the answer.
        words: Also read ``zero`` to ``twenty``.
        units: Known spellings of units, and the unit each means.

    Example:
        >>> parse_number("$50^\\circ$"), parse_number("3 or 4")
        (Quantity(value=50.0, unit='degree'), <Unread.MALFORMED: 'malformed'>)
    """
    if len(answer) > MAX_ANSWER:
        return Unread.TOO_LONG
    answer = unwrap(western(narrow(answer))).removesuffix(".").replace("{,}", ",").replace("\u2212", "-")
    if not answer:
        return Unread.EMPTY
    if words and answer.lower() in _WORDS:
        return Quantity(_WORDS[answer.lower()])
    if bracketed := _BRACKETED.fullmatch(answer):
        answer = bracketed[1] or bracketed[2]
    quantity = _QUANTITY.fullmatch(answer)
    if quantity is None:
        return Unread.NOT_FINITE if answer.lower().lstrip("+-") in ("nan", "inf", "infinity") else Unread.MALFORMED
    value, unit = float(quantity[2].translate(_BETWEEN)), read_unit(quantity["unit"], units)
    if isinstance(unit, Unread):
        return unit
    return Quantity(value, unit) if math.isfinite(value) else Unread.NOT_FINITE


def in_unit(quantity: Quantity, unit: str | None) -> float | None:
    """A quantity in another unit; ``None`` where they do not measure the same.

    Example:
        >>> in_unit(Quantity(5.0, "m"), "cm"), in_unit(Quantity(5.0, "m^2"), "cm"), in_unit(Quantity(5.0), "cm")
        (500.0, None, None)
    """
    (name, _, power), (other, _, same) = ((known or "").partition("^") for known in (quantity.unit, unit))
    if name not in _SIZES or other not in _SIZES or power != same or _SIZES[name][0] != _SIZES[other][0]:
        return None
    return quantity.value * (_SIZES[name][1] / _SIZES[other][1]) ** int(power or 1)


@lru_cache(maxsize=256)
def units_for(expected: str | None) -> Mapping[str, str]:
    """The units that are read where a unit is expected: ``NUMBER_UNITS``, and that one even if it is none of them."""
    if expected is None or not isinstance(read_unit(expected, NUMBER_UNITS), Unread):
        return NUMBER_UNITS
    spelling = "".join(_unit_parts(expected))
    return NUMBER_UNITS | dict.fromkeys((spelling, spelling.lower().removesuffix(".")), expected)


def read_unit(text: str, units: Mapping[str, str] = UNITS) -> str | Unread | None:
    r"""Read the unit after a number: ``cm^2``, ``\text{ square feet}``, ``°``; ``None`` for no text at all."""
    parts = _unit_parts(text)
    if not parts:
        return None
    if any(part[0].isdigit() for part in parts):
        return Unread.MALFORMED  # `3 in 2` is not 3 in2
    spelling = "".join(parts)
    return units.get(spelling) or units.get(spelling.lower().removesuffix("."), Unread.MALFORMED)


def _unit_parts(text: str) -> list[str]:
    return _SPACE.sub("", _TEXT_UNIT.sub(r"\1", text)).split()
