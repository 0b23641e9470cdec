"""The reason that matters among all that jsonargparse tried."""

from __future__ import annotations

import re

_KEY = re.compile(r"Parser key \"?([\w.+-]+)\"?:\s*(.*)")
_NO_REASON = re.compile(
    r"Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|Expected an instantiatable class"
    r"|Expected a path but|Problem with given class_path '[^']*':$|$"
)


def innermost(message: str) -> str:
    r"""The reason that lies below most keys, behind all of them; the last one of several.

    Args:
        message: Of the parser, whose alternatives are indented.

    Example:
        >>> innermost('Parser key "model":\n  Errors:\n    - Parser key "loss":\n\n        Not 1.\n    - Is abstract')
        'Parser key "model.loss": Not 1.'
        >>> innermost("unrecognized arguments: --a")
        'unrecognized arguments: --a'
    """
    keys: list[tuple[int, str]] = []
    found: tuple[int, str, str] | None = None
    goes_on = False
    for line in filter(str.strip, message.splitlines()):
        bare = line.strip().removeprefix("- ")
        indent = len(line) - len(line.lstrip())
        keys = [key for key in keys if key[0] < indent]
        if key := _KEY.match(bare):
            keys.append((indent, key[1]))
            bare = key[2]
        if goes_on and found and not key and not line.lstrip().startswith("- ") and not _NO_REASON.match(bare):
            found = (*found[:2], f"{found[2]} {bare}")
            continue
        goes_on = bool(keys) and not _NO_REASON.match(bare) and (found is None or len(keys) >= found[0])
        if goes_on:
            found = (len(keys), ".".join(name for _, name in keys), bare)
    return message if found is None else f'Parser key "{found[1]}": {found[2]}'
