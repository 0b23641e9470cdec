import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def command(*args):
    line = [sys.executable, "tools/verify_gpu.py", *args]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def verify(tool):
    return tool("verify_gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_a_machine_without_gpu_is_told_in_one_line(verify, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["verify_gpu"])
    assert verify.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_check_passes_fails_or_is_skipped(verify, tool, tmp_path, monkeypatch):
    checks = tool("verify.checks")

    def skip(place):
        raise checks.Skipped("not here")

    def fail(place):
        return {"gap": checks.at_most("a gap", 2.0, 1.0)}

    runs = {"good": lambda place: {"gap": checks.at_most("a gap", 1.0, 1.0)}, "bad": fail, "absent": skip}
    monkeypatch.setattr(verify, "CHECKS", {name: checks.Check(run, 1) for name, run in runs.items()})
    results = {}
    for name in runs:
        verify.run_here(name, checks.Place("cpu", tmp_path), tmp_path / "result.json")
        results[name] = verify.Result(**json.loads((tmp_path / "result.json").read_text()))
    assert [one.result for one in results.values()] == ["pass", "fail", "skipped"]
    assert results["bad"].reason == "ValueError: Expected a gap of at most 1, but got 2."
    lines = verify.table(list(results.values())).splitlines()
    assert lines[2].startswith("| good | pass |")
    assert lines[2].endswith("| gap 1 |")
    assert lines[4].endswith("| not here |")


def test_no_number_is_within_no_bound(tool):
    with pytest.raises(ValueError, match="but got nan"):
        tool("verify.checks").at_most("a gap", float("nan"), 1.0)


@pytest.mark.parametrize(("results", "code"), [(["pass", "skipped"], 0), (["pass", "fail"], 1)])
def test_a_failure_is_an_exit_code(results, code, verify, monkeypatch, capsys, tmp_path):
    names = list(verify.CHECKS)[: len(results)]
    made = iter([verify.Result(name, result, 1.0, {}) for name, result in zip(names, results, strict=True)])
    monkeypatch.setattr(verify, "run_apart", lambda *args: next(made))
    file = tmp_path / "verified.json"
    monkeypatch.setattr(sys, "argv", ["verify_gpu", "--device", "cpu", "--json", str(file), "--checks", *names])
    assert verify.main() == code
    assert [one["result"] for one in json.loads(file.read_text())["results"]] == results


def test_what_needs_a_gpu_and_what_has_no_time_left_is_not_run(verify):
    assert verify.run_apart("FSDP2", "cpu", None, 9.0).result == "skipped"
    late = verify.run_apart("shared prefix", "cpu", None, 0.0)
    assert (late.result, late.reason) == ("fail", "no time was left")


def test_a_check_that_hangs_is_ended(verify):
    assert verify.run_apart("GRPO", "cpu", None, 0.5).reason == "was not done after 0 s"


@pytest.mark.nightly
def test_what_has_a_form_on_a_cpu_passes_there():
    done = command("--device", "cpu")
    assert done.returncode == 0, done.stdout
    assert "| shared prefix | pass |" in done.stdout
    assert "| FSDP2 | skipped |" in done.stdout
