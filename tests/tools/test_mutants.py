import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "tools" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_change_is_of_one_place_and_leaves_a_program(tool):
    path = ROOT / "vrft_pl" / "algorithms" / "kl.py"
    mutants = list(tool.mutants_of(path))
    assert len(mutants) >= 4
    for mutant in mutants:
        changed = mutant.source().decode()
        ast.parse(changed)
        assert changed != path.read_text()
        assert changed.replace(mutant.after, mutant.before, 1).count("\n") == path.read_text().count("\n")


def test_a_seed_draws_the_same_changes_and_another_one_others(tool):
    first, again, other = (tool.draw(["rewards", "axes"], 12, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert {mutant.file.split("/")[1] for mutant in first} == {"rewards", "axes.py"}


ASK = """
import sys
sys.path.insert(0, "tools")
import mutants
halved = next(m for m in mutants.mutants_of(mutants.ROOT / "vrft_pl/algorithms/kl.py") if "square() / 2" in m.before)
idle = mutants.Mutant(halved.file, halved.line, halved.before, f"({halved.before})", halved.start)
for mutant in (halved, idle):
    print(mutants.notice(mutant, 120))
print(mutants.failing_anyway(["tests/algorithms/test_kl.py", "tests/nowhere.py"], 120))
"""


@pytest.mark.nightly
def test_a_change_that_breaks_the_mathematics_is_noticed_and_an_idle_one_is_not():
    """In a process of its own: what other tests left in this one would be forked too."""
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    killed, survived, anyway = done.stdout.splitlines()[-3:]
    assert re.fullmatch(r"Verdict\(verdict='killed', by='tests/algorithms/test_kl.py::test_.*'\)", killed)
    assert survived == "Verdict(verdict='survived', by='')"
    assert anyway == "['a crash']"
