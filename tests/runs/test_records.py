import json

from vrft_pl.runs import append_rows, cut_back


def test_rows_are_appended_line_by_line(tmp_path):
    path = tmp_path / "new/rows.jsonl"
    append_rows(path, [{"step": 0, "text": "é\n"}])
    append_rows(path, [{"step": 1, "text": "\ud83d"}])
    first, second = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(first) == {"step": 0, "text": "é\n"}
    assert json.loads(second) == {"step": 1, "text": "\ud83d"}


def test_rows_of_the_step_and_after_it_are_cut_off(tmp_path):
    path = tmp_path / "rows.jsonl"
    append_rows(path, [{"step": step} for step in (0, 1, 1, 2, 3)])
    cut_back(path, 2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


def test_lines_that_are_no_rows_are_dropped(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 0}\n\xff\n[3]\n{"other": 1}\n{"step": null}\n{"step": 1}\n{"step": 0}')
    cut_back(path, 5)
    assert path.read_bytes() == b'{"step": 0}\n{"step": 1}\n'


def test_a_file_that_is_not_there_stays_so(tmp_path):
    cut_back(tmp_path / "rows.jsonl", 0)
    assert not list(tmp_path.iterdir())
