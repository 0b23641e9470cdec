"""Who may import whom."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vrft_pl"
STAGES = ("answers", "styles", "types", "prompts", "data", "policy", "rollout", "rewards", "metrics")
"""From left to right: each imports only what stands to its left."""


def imports(path):
    """What a file imports of the package, also where only type checkers look."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vrft_pl."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_nothing_to_its_right(stage):
    files = sorted((PACKAGE / stage).rglob("*.py")) or [PACKAGE / f"{stage}.py"]
    right = {*STAGES[STAGES.index(stage) + 1 :], "algorithms", "modules", "callbacks", "check", "commands", "run"}
    found = {(path.name, name) for path in files for name in imports(path) if name in right}
    assert found == set()
    assert any(True for path in files for _ in imports(path)) or stage in ("answers", "styles")


def test_only_a_kind_itself_asks_which_kind_it_is():
    """Ladders over kinds of ground truth would leave out those that are made outside the package."""
    kinds = {"Number", "Choice", "Expression", "Label", "Box", "Mask", "Instances", "Transformation"}
    ladders = [
        path.name
        for folder in ("callbacks", "check", "modules", "rollout")
        for path in sorted((PACKAGE / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "vrft_pl.answers"
        for alias in node.names
        if alias.name in kinds
    ]
    assert ladders == []
