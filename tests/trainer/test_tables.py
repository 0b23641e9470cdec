from vrft_pl.runs import RunFolder
from vrft_pl.trainer.scores import finite
from vrft_pl.trainer.tables import print_scores, print_summary


def cells_of(lines):
    """Numbers of the rows of a table, by part and name."""
    found, part = {}, ""
    for line in lines:
        name, *cells = (cell.strip() for cell in line.split("\u2502")[1:-1]) if line[:1] == "\u2502" else ("",)
        if any(cells):
            found[part, name] = [cell for cell in cells if cell]
        part = part if any(cells) else name or part
    return found


def test_the_table_shows_what_changed(tmp_path, capsys):
    print_summary(RunFolder(tmp_path), {"val/a/X": 0.25, "val/b/X": 1.0}, {"val/a/X": 0.5, "val/a/[red]Y": 0.1}, 61.7)
    lines = capsys.readouterr().out.splitlines()
    changed = {("val/a", "X"): ["0.250", "0.500", "+0.250"], ("val/a", "[red]Y"): ["0.100"], ("val/b", "X"): ["1.000"]}
    assert cells_of(lines) == changed
    assert "62 s" in lines[0]
    assert lines[-1] == f"Files of this run: {tmp_path}"


def test_a_constant_stands_beside_what_it_is_known_for_and_beside_what_was_sampled(tmp_path, capsys):
    constant, scores = {"val/id/A": 0.3}, {"val/id/A": 0.5, "val/id/sampled/A": 0.4, "val/id/B": 1.0}
    print_scores(scores, constant, ["Warning: [/a] stays as it is"])
    lines = capsys.readouterr().out.splitlines()
    beside = {("val/id", "A"): ["0.500", "0.300"], ("val/id/sampled", "A"): ["0.400", "0.300"]}
    assert cells_of(lines) == beside | {("val/id", "B"): ["1.000"]}
    assert "Warning: [/a] stays as it is" in lines
    print_summary(RunFolder(tmp_path), scores, scores, 1.0, constant)
    cells = cells_of(capsys.readouterr().out.splitlines())
    assert [row[3:] for row in cells.values()] == [["0.300"], [], ["0.300"]]


def test_what_no_metric_of_a_part_can_parse_is_one_row_and_parts_come_before_what_is_within_them(capsys):
    failures = {"A": 0.25, "BoxAccuracy": 0.25}
    parts = {"val/id/sampled": failures | {"BoxAccuracy": 0.5}, "val/id": failures, "val/ood": {"A": 0.0}}
    scores = {f"{part}/parse_failures/{name}": value for part, own in parts.items() for name, value in own.items()}
    print_scores({"loss": 2.0, "val/id/sampled/A": 1.0, "val/id/A": 1.0} | scores)
    assert list(cells_of(capsys.readouterr().out.splitlines()).items()) == [
        (("", "loss"), ["2.000"]),
        (("val/id", "A"), ["1.000"]),
        (("val/id", "parse_failures"), ["0.250"]),
        (("val/ood", "parse_failures"), ["0.000"]),
        (("val/id/sampled", "A"), ["1.000"]),
        (("val/id/sampled", "parse_failures/A"), ["0.250"]),
        (("val/id/sampled", "parse_failures/BoxAccuracy"), ["0.500"]),
    ]


def test_names_of_three_rewards_stand_on_a_line_each_on_a_narrow_screen(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    rewards = ("TransformationMatch", "a_reward_of_ones_own", "BoxAccuracy")
    names = [f"{kind}{name}" for name in rewards for kind in ("", "parse_failures/")]
    parts = ("val/ood_night_of_winter/sampled", "val/blind/ood_night_of_winter/other")
    scores = {f"{part}/{name}": i / 10 for part in parts for i, name in enumerate(names)}
    print_summary(RunFolder(tmp_path), scores, scores, 1.0, {"val/id/A": 0.0})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert {f"{part}/{name}" for part, name in cells_of(lines)} == set(scores)


def test_a_long_name_is_not_cut(capsys):
    name = "TransformationMatch" * 6
    print_scores({f"val/id/{name}": 0.5}, {"val/id/A": 0.5})
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split("\u2502")[1].strip() for line in lines if line[0] == "\u2502"]
    assert "".join(cells) == f"val/id{name}"


def test_a_run_without_scores_prints_no_table(tmp_path, capsys):
    print_summary(RunFolder(tmp_path), {}, {}, 1.0)
    assert capsys.readouterr().out == f"Files of this run: {tmp_path}\n"


def test_a_score_that_is_no_number_becomes_null():
    assert finite({"a": float("nan"), "b": float("inf"), "c": 0.5}) == {"a": None, "b": None, "c": 0.5}
