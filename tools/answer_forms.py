"""Write which forms of answers are read into the tables of the rewards page, as the rewards find them now.

python tools/answer_forms.py            # writes the page
python tools/answer_forms.py --print
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from graders.forms import FAMILIES, read_places, read_short

README = Path(__file__).parents[1] / "vrft_pl" / "rewards" / "README.md"
SECTION = "## Forms that models write"
TABLE = re.compile(r"^\|[^\n]*\n(?:\|[^\n]*\n)+", re.MULTILINE)


def code(text: str) -> str:
    """A text as code in a cell of a table."""
    mark = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return mark + pad + text.replace("\n", "⏎").replace("|", "\\|") + pad + mark


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|  |", "| |")


def family_table() -> str:
    """Families of models, what they write, and whether it is read."""
    rows = [
        (w.family, code(w.text), f"`{w.space}`", *read_places(w), w.source)
        for w in FAMILIES
    ]  # fmt: skip
    return markdown(("family", "writes", "`coordinates`", "box", "objects", "labelled", "point", "documented in"), rows)


def short_table() -> str:
    """What is right, and what is read as it."""
    cells = [(code(right), *(", ".join(map(code, texts)) for texts in found)) for right, *found in read_short()]
    return markdown(("right", "read", "with `prose: lenient`", "not read, or wrong"), cells)


def written(page: str) -> str:
    """The page with both tables of its section written anew."""
    before, section, rest = page.partition(SECTION)
    body, mark, after = rest.partition("\n## ")
    tables = iter((family_table(), short_table()))
    return before + section + TABLE.sub(lambda _: next(tables), body) + mark + after


def main() -> None:
    """Write or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the tables, and leave the page alone")
    if parser.parse_args().print:
        print(family_table(), short_table(), sep="\n")
    else:
        README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
