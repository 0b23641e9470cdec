import re
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "vrft_pl"
POSSESSIVE_GROUP = re.compile(r"(?<!\\)\)[*+?]\+")


def test_no_group_is_possessive():
    """Python before 3.11.5 lets such a group end in the middle of what it holds: `(?>(?:...)*)` does not."""
    assert POSSESSIVE_GROUP.search(r"(?:ab*)*+")
    found = [(p.name, line) for p in PACKAGE.rglob("*.py") for line in p.read_text().splitlines()]
    assert [line for line in found if POSSESSIVE_GROUP.search(line[1])] == []
