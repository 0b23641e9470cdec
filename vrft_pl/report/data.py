"""JSON within a page."""

from __future__ import annotations

import json

from jinja2.utils import htmlsafe_json_dumps


def as_json(value: object) -> bytes:
    r"""JSON that can't leave its block of a page, in UTF-8; halves of an emoji are escaped.

    Example:
        >>> as_json(["</script>"])
        b'["\\u003c/script\\u003e"]'
    """
    return str(htmlsafe_json_dumps(value, dumps=compact)).encode(errors="backslashreplace")


def compact(value: object, **kwargs: object) -> str:
    """JSON without spaces; letters beyond ASCII as they are."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
