"""Who may import whom."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vrft_pl"
STAGES = ("answers", "styles", "types", "prompts", "data", "policy", "rollout", "rewards", "metrics")
"""From left to right: each imports only what stands to its left."""
ABOVE = {
    "callbacks": {"modules", "trainer", "check", "ablation", "report"},
    "modules": {"callbacks", "trainer", "check", "ablation", "report"},
    "trainer": {"check", "ablation", "report"},
    "check": {"trainer", "ablation", "report"},
    "ablation": {"trainer", "report"},
    "report": {"algorithms", "modules", "callbacks", "trainer", "check", "ablation"},
}
"""Who stands above the stages, and what each may not see; commands see all of them, and none sees commands."""


def imports(path):
    """What a file imports of the package, also where only type checkers look."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vrft_pl."):
            yield node.module.split(".")[1]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_nothing_to_its_right(stage):
    files = sorted((PACKAGE / stage).rglob("*.py")) or [PACKAGE / f"{stage}.py"]
    right = {*STAGES[STAGES.index(stage) + 1 :], "algorithms", "runs", *ABOVE, "commands"}
    found = {(path.name, name) for path in files for name in imports(path) if name in right}
    assert found == set()
    assert any(True for path in files for _ in imports(path)) or stage in ("answers", "styles")


def test_no_file_imports_itself_by_way_of_others():
    """A circle, also one that only type checkers see, marks a border in the wrong place."""
    modules = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    graph = {name: {m for m in imported(path) if m in modules} - {name} for name, path in modules.items()}
    assert sum(map(len, graph.values())) > 200
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def imported(path):
    """Every module that a file takes a name from."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


@pytest.mark.parametrize("place", ["distributed", "algorithms", "runs", *ABOVE])
def test_commands_see_everything_and_nothing_sees_them(place):
    """A page is drawn from what a run has left alone; what a run leaves is known to nobody who trains."""
    unseen = {"commands", *ABOVE.get(place, ABOVE)}
    assert {name for path in (PACKAGE / place).rglob("*.py") for name in imports(path)} & unseen == set()


def test_every_folder_has_its_place():
    placed = {*STAGES, *ABOVE, "distributed", "algorithms", "runs", "commands"}
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= placed


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


NOT_OURS = {"_device_mesh", "_exit", "_attn_implementation", "_create_index", "_forward_hooks", "_forward_pre_hooks"}
NOT_OURS |= {
    "_replace",
    "_state_dict_pre_hooks",
    "_compute_loss",
    "_entropy_bonus_enabled",
    "_get_per_token_logps_and_entropies",
    "_metrics",
}
"""Of other libraries, which have no public name for it."""


def private_names(tree):
    """Names with an underscore that a file takes from others, not from its own classes."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
        if isinstance(node, ast.Attribute) and not own:
            names.append(node.attr)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "setattr":
            names += [arg.value.rpartition(".")[2] for arg in node.args if isinstance(getattr(arg, "value", 0), str)]
        yield from (name for name in names if name.startswith("_") and not name.endswith("__"))


def test_no_test_reaches_into_a_private_name():
    """It would hold the code in place, and not what the code does."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    found = {(path.name, name) for path in files for name in private_names(ast.parse(path.read_text(encoding="utf-8")))}
    assert {(file, name) for file, name in found if name not in NOT_OURS} == set()
