"""Templates that options hold, which `str.format` fills in."""

from __future__ import annotations

from string import Formatter


def fields_of(option: str, template: str) -> list[tuple[str, str | None, str | None]]:
    """Name, format and conversion of each field of a template.

    Args:
        option: The option that holds it, named in errors.
        template: The template.

    Raises:
        ValueError: If it is none.

    Example:
        >>> fields_of("question", "Where is the {category}?")
        [('category', '', None)]
    """
    try:
        return [(name, spec, how) for _, name, spec, how in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"Expected `{option}` to be a template, but {template!r} is none: {error}.") from error
