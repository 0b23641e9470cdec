import warnings

import pytest

from vrft_pl.runs import CompletionRecord, MetricsLogger, RunFolder
from vrft_pl.runs.rows import read_table

FOUR = b"epoch,loss,step\n,0.5,0\n,0.4,1\n,0.3,2\n,0.2,3\n"


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def numbers(folder):
    return [(row["step"], row["loss"]) for row in folder.metrics()]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b",0.", id="torn"),
        pytest.param(b",0.4,0.4,1", id="two-in-one"),
        pytest.param(b"\0" * 99, id="zeros"),
        pytest.param(b",0.4\0,1", id="a-zero"),
        pytest.param(b",0.4\xff,1", id="no-utf8"),
        pytest.param(b',"0.4,1', id="a-quote"),
        pytest.param(b",0.4,one", id="no-step"),
        pytest.param(b",0.4,", id="without-step"),
        pytest.param(b"," * 200_000, id="long"),
    ],
)
def test_a_broken_line_in_the_middle_is_told_of_once_and_kept(folder, line):
    path = folder.path / "metrics.csv"
    path.write_bytes(damaged := FOUR.replace(b",0.4,1", line))
    told = rf"every line of {path}, but 1 can't be read \(line 3\)\. They are left out; .* kept as {path}\.damaged\.$"
    with pytest.warns(UserWarning, match=told):
        MetricsLogger(folder.path).log_metrics({"loss": 0.1}, 4)
    assert numbers(folder) == [("0", "0.5"), ("2", "0.3"), ("3", "0.2"), ("4", "0.1")]
    assert (folder.path / "metrics.csv.damaged").read_bytes() == damaged
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MetricsLogger(folder.path).log_metrics({"loss": 0.0}, 5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("end", [b"", b",0.", b"\0\0"])
@pytest.mark.parametrize(
    "content", [FOUR, FOUR.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + FOUR, FOUR + b"\n"], ids=repr
)
def test_what_a_kill_or_an_editor_leaves_is_not_told_of(folder, content, end):
    (folder.path / "metrics.csv").write_bytes(content + end)
    MetricsLogger(folder.path).log_metrics({"loss": 0.1}, 4)
    assert numbers(folder) == [("0", "0.5"), ("1", "0.4"), ("2", "0.3"), ("3", "0.2"), ("4", "0.1")]


def test_a_table_without_steps_is_broken_in_every_line(folder):
    broken = []
    (folder.path / "metrics.csv").write_bytes(FOUR.replace(b"step", b"steps"))
    assert read_table(folder.path / "metrics.csv", broken) == []
    assert broken == [2, 3, 4, 5]


@pytest.mark.parametrize("written_anew", [RunFolder.cut_back, lambda *args: RunFolder.replace(*args, [])])
def test_a_broken_record_is_told_of_once_and_kept(folder, written_anew):
    records = [CompletionRecord(step, 0, 0, "id", "1", "How many?", "3", "3", "stop") for step in range(4)]
    folder.append(folder.PREDICTIONS, records)
    path = folder.path / folder.PREDICTIONS
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(damaged := b"".join([first, b"\0\0\n", first[:9] + first, b"{}\n", *rest, b'{"step": 4, "cut']))
    with pytest.warns(UserWarning, match=r"but 3 can't be read \(line 2, 3, 4\)"):
        written_anew(folder, folder.PREDICTIONS, 9)
    assert list(folder.predictions()) == records
    assert (folder.path / "predictions.jsonl.damaged").read_bytes() == damaged
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written_anew(folder, folder.PREDICTIONS, 9)


@pytest.mark.parametrize("row", [b'{"step": 1}', b'{"step": 1, "rank": 0, "row": 0, "tags": 3}'])
def test_a_row_that_is_no_record_is_left_out(folder, row):
    (folder.path / folder.COMPLETIONS).write_bytes(row + b"\n")
    assert list(folder.completions()) == []
