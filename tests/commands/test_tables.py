import re

from vrft_pl.commands.tables import print_scores, print_summary
from vrft_pl.runs import RunFolder
from vrft_pl.trainer.scores import finite


def test_the_table_shows_what_changed(tmp_path, capsys):
    print_summary(RunFolder(tmp_path), {"val/id": 0.25, "val/old": 1.0}, {"val/id": 0.5, "val/new": 0.1}, 61.7)
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[1]: re.findall(r"[+-]?\d\.\d+", line) for line in lines if "val/" in line}
    assert cells == {"val/id": ["0.250", "0.500", "+0.250"], "val/old": ["1.000"], "val/new": ["0.100"]}
    assert "62 s" in lines[0]
    assert lines[-1] == f"Files of this run: {tmp_path}"


def test_a_constant_stands_beside_what_it_is_known_for_and_beside_what_was_sampled(tmp_path, capsys):
    constant, scores = {"val/id/A": 0.3}, {"val/id/A": 0.5, "val/id/sampled/A": 0.4, "val/id/B": 1.0}
    print_scores(scores, constant, ["Warning: [/a] stays as it is"])
    print_summary(RunFolder(tmp_path), scores, scores, 1.0, constant)
    lines = capsys.readouterr().out.splitlines()
    cells = [re.findall(r"[+-]?\d\.\d+", line) for line in lines if "val/" in line]
    assert cells[:3] == [["0.500", "0.300"], ["0.400", "0.300"], ["1.000"]]
    assert [row[3:] for row in cells[3:]] == [["0.300"], ["0.300"], []]
    assert "Warning: [/a] stays as it is" in lines


def test_a_long_name_is_not_cut(capsys):
    name = "val/ood_night/sampled/parse_failures/" + "TransformationMatch" * 4
    print_scores({name: 0.5}, {"val/id/A": 0.5})
    cells = [line.split("\u2502")[1].strip() for line in capsys.readouterr().out.splitlines() if line[0] == "\u2502"]
    assert "".join(cells) == name


def test_a_run_without_scores_prints_no_table(tmp_path, capsys):
    print_summary(RunFolder(tmp_path), {}, {}, 1.0)
    assert capsys.readouterr().out == f"Files of this run: {tmp_path}\n"


def test_a_score_that_is_no_number_becomes_null():
    assert finite({"a": float("nan"), "b": float("inf"), "c": 0.5}) == {"a": None, "b": None, "c": 0.5}
