"""``vrft_pl options``: what a class of a config takes, without importing it."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

from vrft_pl.commands.definitions import find, first_sentence, public, summary
from vrft_pl.commands.nearest import PACKAGES, closest
from vrft_pl.commands.sections import defaults, sections
from vrft_pl.commands.signatures import Option, options_of

OURS = "vrft_pl"
PLACES = (*PACKAGES, "data.sources")
"""Packages of ours whose classes a config names."""
CHECK = "vrft_pl.commands.check"
"""Adds a section of its own."""
USAGE = """usage: vrft_pl options [NAME]

NAME is a class of vrft_pl (`data.Detection`, `BoxIoU`), a section of a config (`trainer`), a package (`rewards`), or a
class or function of your own by its import path (`my_package.MyReward`). Without it, all classes are listed.
"""


def main(args: Sequence[str]) -> None:
    """Print what a class, a section or a package takes; exits with 2 where there is none of that name, or several."""
    if {"-h", "--help"} & set(args):
        print(USAGE)
        return
    if len(args) > 1:
        print(f"vrft_pl: Expected one name, but got {' '.join(map(repr, args))}.", file=sys.stderr)
        sys.exit(2)
    name = args[0] if args else ""
    packages = [package for package in PACKAGES if name in ("", package, f"{OURS}.{package}")]
    for package in packages:
        print(listing(package))
    if packages:
        return
    section = sections(CHECK).get(name)
    try:
        path = section.path if section else path_of(name)
        wrong = unknown(name) if path is None else None
        text = page(path, name if section else "") if path else ""
    except (SyntaxError, ImportError) as error:
        wrong = f"Expected Python in the source of {name}, but got what Python can't read: {error}."
    if wrong:
        print(f"vrft_pl: {wrong}", file=sys.stderr)
        sys.exit(2)
    print(text)


def path_of(name: str) -> str | None:
    """The import path of a class that is named in full, within vrft_pl, or alone."""
    ours = [f"{OURS}.{name}", *(f"{OURS}.{place}.{name}" for place in PLACES), f"{OURS}.data.{name}"]
    return next((path for path in (name, *ours) if find(path)), None)


def unknown(name: str) -> str:
    """Say that there is no class of a name, and which is the nearest."""
    close = nearest_class(name) or closest(name, [*sections(CHECK), *PACKAGES])
    hint = (
        f"The nearest is `{close.removeprefix('vrft_pl.')}`." if close else "`vrft_pl options` lists those of vrft_pl."
    )
    return f"Expected the name of a class, but there is none called {name!r}. {hint}"


def nearest_class(name: str) -> str | None:
    """The import path of the class that is most alike: of the same package, or of one of ours."""
    package, _, last = name.rpartition(".")
    places = [place for place in (package, f"{OURS}.{package}") if package and public(place)]
    for place in [*places, *(f"{OURS}.{place}" for place in PLACES)]:
        if close := closest(last, public(place)):
            return f"{place}.{close}"
    return None


def listing(package: str) -> str:
    """The classes of a package, each with what it is."""
    lines = [f"{package}:"]
    for name, found in public(f"{OURS}.{package}").items():
        lines += [f"  {package}.{name}", *wrapped(summary(found), 6)]
    return "\n".join([*lines, ""])


def page(path: str, section: str = "") -> str:
    """What a class is and takes.

    Args:
        path: Its import path.
        section: The section of the config whose keys these are, where it is one.
    """
    found = find(path)
    assert found is not None, path
    lines = [path, *wrapped(summary(found), 2), ""]
    for option in options_of(path) or ():
        lines += entry(option, f"{section}." if section else "")
    return "\n".join(lines)


def entry(option: Option, before: str = "") -> list[str]:
    """An option: its name, type and default, and what it does.

    Args:
        option: The option.
        before: What stands before its name.
    """
    key = f"{before}{option.name}"
    default = repr(defaults()[given]) if (given := key.strip("-")) in defaults() else option.default
    kind = f": {option.kind}" if option.kind else ""
    head = f"{key}{kind}" + (" (required)" if default is None else f" = {default}" if default else "")
    return [*wrapped(head, 2, 6), *wrapped(first_sentence(option.doc), 6)]


def wrapped(text: str, indent: int, further: int | None = None) -> list[str]:
    """Text as lines of the terminal's width."""
    width = min(shutil.get_terminal_size().columns, 120)
    rest = " " * (indent if further is None else further)
    return textwrap.wrap(text, width, initial_indent=" " * indent, subsequent_indent=rest, break_long_words=False)
