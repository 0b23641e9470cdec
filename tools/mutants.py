"""Break the code in one place after another and ask whether the tests notice.

    python tools/mutants.py rewards rollout --count 20 --seed 0 --json mutants.json

An area is a folder or a module of the package. Of all small changes to it (another comparison, a negated condition, a
neighbouring number, a statement left out) some are drawn by seed, each is made in a copy of the package, and the tests
that mirror the area run on the copy in a forked process, those of the changed file first. A change that no test notices
is printed: a missing test, code that nobody needs, or a change without effect. `--at FILE:LINE` tries every change of
one line instead.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vrft_pl"
SWAPS: dict[type, type] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Mod: ast.FloorDiv},
}
"""Operators, and what takes their place."""
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
BESIDE = {
    "__main__": ["tests/commands", "tests/test_cli.py"],
    "answers": ["tests/test_prompts.py", "tests/policy/test_targets.py", "tests/callbacks/test_pictures.py"],
    "axes": ["tests/test_types.py", "tests/rollout/test_loader.py"],
    "callbacks": ["tests/test_cli.py"],
    "commands": ["tests/test_cli.py"],
    "names": ["tests/rewards/test_class_names.py", "tests/data/test_splits.py"],
    "prompts": ["tests/policy/test_targets.py", "tests/data/test_base.py"],
    "styles": ["tests/test_prompts.py", "tests/rewards/test_format.py", "tests/policy/test_targets.py"],
    "types": ["tests/test_axes.py", "tests/rollout/test_loader.py"],
}
"""Tests that guard an area beside its mirror."""
OURS = "vrft_pl", "tests", "tools"
"""Folders whose modules are imported anew; a virtual environment may lie beside them."""
EVERYTHING = """
import pkgutil, sys
import hypothesis.strategies, pytest, vrft_pl
for module in pkgutil.walk_packages(vrft_pl.__path__, "vrft_pl."):
    __import__(module.name)
print(*sys.modules)
"""
"""Names every module that the package and its tests need."""
CALM = ("-q", "-p", "no:cacheprovider", "--no-header", "-W", "ignore")


@dataclass(frozen=True)
class Mutant:
    """One change."""

    file: str
    line: int
    before: str
    after: str
    start: int
    """Offset of ``before`` in the file, in bytes."""

    def source(self) -> bytes:
        """The file with the change."""
        text = (ROOT / self.file).read_bytes()
        return text[: self.start] + self.after.encode() + text[self.start + len(self.before.encode()) :]


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every change of a file, in the order of its lines; messages of errors and annotations are left alone."""
    text = path.read_bytes()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in _looked_at(ast.parse(text)):
        for changed in _changes(node):
            start = starts[node.lineno - 1] + node.col_offset
            end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
            before = text[start:end].decode()
            after = changed if isinstance(changed, str) else f"({ast.unparse(changed)})"
            yield Mutant(str(path.relative_to(ROOT)), node.lineno, before, after, start)


def _looked_at(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Statements and expressions that decide something."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, ast.Raise | ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.expr | ast.stmt):
                yield child
            if isinstance(child, ast.AST):
                yield from _looked_at(child)


def _changes(node: ast.expr | ast.stmt) -> Iterator[ast.AST | str]:
    match node:
        case ast.Compare(left, [op], [right]) if type(op) in SWAPS:
            yield ast.Compare(left, [SWAPS[type(op)]()], [right])
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            yield ast.BinOp(left, SWAPS[type(op)](), right)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Name(name) if name in NAMES:
            yield NAMES[name]
        case ast.Expr(ast.Call()):
            yield "pass"


def draw(areas: list[str], count: int, seed: int) -> list[Mutant]:
    """Some changes of each area, drawn by seed."""
    drawn = []
    for area in areas:
        place = PACKAGE / area
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        every = [mutant for file in files for mutant in mutants_of(file)]
        drawn += random.Random(f"{seed}/{area}").sample(every, min(count, len(every)))
    return drawn


def tests_of(mutant: Mutant) -> list[list[str]]:
    """What to run, the likeliest to notice first: the file's own tests, then those that name what is changed."""
    inside = Path(mutant.file).relative_to("vrft_pl")
    area = inside.parts[0].removesuffix(".py")
    near = ROOT / "tests" / inside.with_name(f"test_{inside.name}")
    places = [ROOT / place for place in (f"tests/{area}", f"tests/test_{area}.py", *BESIDE.get(area, ()))]
    files = [file for place in places for file in sorted(place.rglob("test_*.py")) or [place] if file.exists()]
    name = _enclosing(ROOT / mutant.file, mutant.line)
    wide = sorted(dict.fromkeys(files), key=lambda file: (name not in file.read_text(), file.parent != near.parent))
    return [tests for tests in ([str(near)] * near.exists(), [str(file) for file in wide if file != near]) if tests]


def _enclosing(path: Path, line: int) -> str:
    """Name of the class or function at the margin that a line is in, or of its file."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0):
            return node.name
    return path.stem


@dataclass(frozen=True)
class Verdict:
    """What became of a change."""

    verdict: str
    """``killed``, ``hang`` or ``survived``."""
    by: str = ""
    """The test that noticed it."""


def notice(mutant: Mutant, seconds: float) -> Verdict:
    """Run the tests on the change."""
    with tempfile.TemporaryDirectory() as folder:
        copy = _copied(Path(folder))
        (copy / mutant.file).write_bytes(mutant.source())  # newer than its compiled form, which Python then leaves
        doctests = str(copy / mutant.file)
        for tests in tests_of(mutant):
            failed = _failures(copy, [*tests, doctests, "-x"], seconds)
            if failed is None:
                return Verdict("hang")
            if failed:
                return Verdict("killed", failed[0])
    return Verdict("survived")


def failing_anyway(tests: Iterable[str], seconds: float) -> list[str]:
    """Which of some tests fail without any change, such as for a busy processor: what they noticed is not known."""
    with tempfile.TemporaryDirectory() as folder:
        # without parameters, whose names a change may have changed
        own = list(dict.fromkeys(test.partition("[")[0] for test in tests if test.startswith("tests/")))
        return (_failures(_copied(Path(folder)), own, seconds) or []) if own else []


def _copied(folder: Path) -> Path:
    """A folder that holds the package and can be changed."""
    shutil.copytree(PACKAGE, folder / "vrft_pl")
    return folder


def _failures(folder: Path, arguments: list[str], seconds: float) -> list[str] | None:
    """Tests that fail on a copy of the package, in a process of their own; ``None`` where they don't end in time."""
    names = folder / "failures.txt"
    process = multiprocessing.get_context("fork").Process(target=_run, args=(folder, arguments, names))
    process.start()
    process.join(seconds)
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return None
    failed = names.read_text().splitlines() if names.exists() else []
    return failed or ["a crash"] * bool(process.exitcode)


def _run(folder: Path, arguments: list[str], names: Path) -> None:
    """Run pytest on the copy, which children of the tests find too; never returns."""
    os.setsid()  # with whatever the tests start, so that all of it can be ended together
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1), os.dup2(sink, 2)
    sys.path.insert(0, str(folder))
    for name, module in list(sys.modules.items()):
        # where the caller is itself a test: those that are collected hold on to the package as it is
        file = Path(getattr(module, "__file__", None) or "/")
        if name != __name__ and any(file.is_relative_to(ROOT / part) for part in OURS):
            del sys.modules[name]
    os.environ["PYTHONPATH"] = str(folder)
    import pytest

    options = [*CALM, "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    code = pytest.main([*options, *arguments], plugins=[Failures(names)])
    os._exit(int(code != 0))


class Failures:
    """Writes the names of tests that fail, a line each; pytest calls it.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test, its set-up or its tear-down has ended."""
        if report.failed:
            with self.path.open("a") as file:
                file.write(f"{report.nodeid}\n")

    def pytest_collectreport(self, report: Any) -> None:
        """A file of tests has been imported."""
        self.pytest_runtest_logreport(report)


def _import_others() -> None:
    """Import what the package and its tests need, once for every forked process; nothing of the package itself."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    asked = subprocess.run(
        [sys.executable, "-c", EVERYTHING], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
    )
    for name in asked.stdout.decode().split():
        if name.split(".")[0] not in (*OURS, "__main__"):
            with suppress(ImportError):  # some modules make others up
                importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)


def main() -> None:
    """Draw, run, print what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("areas", nargs="*", help="folders or modules of the package; all of them by default")
    parser.add_argument("--at", help="FILE:LINE, to try every change of one line")
    parser.add_argument("--count", type=int, default=20, help="changes of each area")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300, help="after which a run of tests counts as hanging")
    parser.add_argument("--json", type=Path, help="file for the verdicts")
    args = parser.parse_args()
    if args.at:
        file, _, line = args.at.rpartition(":")
        drawn = [mutant for mutant in mutants_of(ROOT / file) if mutant.line == int(line)]
    else:
        every = sorted(p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())
        drawn = draw(args.areas or every, args.count, args.seed)
    os.chdir(ROOT)
    _import_others()
    start, verdicts = time.time(), []
    with ThreadPoolExecutor(args.processes) as pool:
        for mutant, verdict in zip(drawn, pool.map(lambda m: notice(m, args.seconds), drawn), strict=True):
            verdicts.append({**asdict(mutant), **asdict(verdict)})
            if verdict.verdict == "survived":
                print(f"{mutant.file}:{mutant.line}: {mutant.before!r} -> {mutant.after!r} survived", flush=True)
            if args.json:
                args.json.write_text(json.dumps(verdicts, indent=1) + "\n")
    for test in failing_anyway((row["by"] for row in verdicts), args.seconds):
        print(f"{test} fails without any change: what it noticed is not known")
    counts = Counter(row["verdict"] for row in verdicts)
    noticed = counts["killed"] + counts["hang"]
    print(f"{noticed} of {len(verdicts)} noticed ({dict(counts)}) in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
