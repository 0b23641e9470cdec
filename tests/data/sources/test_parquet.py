from __future__ import annotations

import io
import pickle
from traceback import clear_frames

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vrft_pl.data import Counting, First, Mixture, ParquetRows
from vrft_pl.data.order import MIXED_BLOCKS
from vrft_pl.data.resumable import ResumableLoader
from vrft_pl.data.sources import parquet
from vrft_pl.types import InputError

PIXELS = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)


def png(shift=0):
    content = io.BytesIO()
    Image.fromarray(PIXELS + np.uint8(shift)).save(content, "PNG")
    return content.getvalue()


def rows(start=0, count=10, **columns):
    numbers = range(start, start + count)
    questions = {"problem": [f"How many at {i}?" for i in numbers], "answer": [str(i) for i in numbers]}
    return {"image": [png(i) for i in numbers], **questions, **columns}


def written(path, content=None, row_group_size=4, **kwargs):
    pq.write_table(pa.table(rows() if content is None else content), path, row_group_size=row_group_size, **kwargs)
    return str(path)


def answers(source):
    return [int(record.answer) for record in source]


def test_a_row_becomes_a_record(tmp_path):
    content = rows(cot=["Because."] * 10, name=[f"x{i}" for i in range(10)])
    path = written(tmp_path / "a.parquet", content)
    record = ParquetRows(path, cot="cot", id="name")[6]
    assert (record.problem, record.answer, record.cot) == ("How many at 6?", "6", "Because.")
    assert record.id == f"{path}, row 6 (id x6)"
    assert np.array_equal(np.asarray(record.images[0].open()), PIXELS + 6)
    plain = ParquetRows(path)[6]
    assert (plain.cot, plain.id) == (None, f"{path}, row 6")


def test_columns_can_be_named_otherwise_and_pictures_left_out(tmp_path):
    path = written(tmp_path / "a.parquet", {"question": ["<image>?"], "target": [3], "cot": ["unused"]})
    record = ParquetRows(path, image=None, problem="question", answer="target")[0]
    assert (record.problem, record.answer, record.cot, record.images) == ("?", 3, None, ())


def test_files_follow_each_other_and_row_groups_are_blocks(tmp_path):
    files = [written(tmp_path / "a.parquet"), written(tmp_path / "b.parquet", rows(10, 5))]
    source = ParquetRows(files)
    assert source.streamed
    assert source.blocks == [range(0, 4), range(4, 8), range(8, 10), range(10, 14), range(14, 15)]
    assert len(source) == 15
    assert answers(source) == list(range(15))
    assert source[11].id == f"{files[1]}, row 1"


@pytest.mark.parametrize("count", [1, 4, 5, 11, 15, 99])
def test_the_first_rows_read_no_other_row_group(tmp_path, monkeypatch, count):
    files = [written(tmp_path / "a.parquet"), written(tmp_path / "b.parquet", rows(10, 5))]
    source = First(ParquetRows(files), count)
    read = []
    original = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda file, i, **kwargs: read.append(i) or original(file, i, **kwargs)
    )
    assert answers(source) == list(range(min(count, 15))) == [row for block in source.blocks for row in block]
    assert all(source.blocks)
    assert source.streamed
    assert read == [0, 1, 2, 0, 1][: len(source.blocks)]


@pytest.mark.parametrize(
    "pattern",
    ["{}/a.parquet", "{}/[ab].parquet", "file://{}/a.parquet", "{}/odd[1].parquet", "memory://set/*.parquet"],
)
def test_files_are_found_by_path_glob_and_url(tmp_path, pattern):
    for name in ("a", "c", "odd[1]"):
        written(tmp_path / f"{name}.parquet", rows(count=2))
    with fsspec.open("memory://set/x.parquet", "wb") as file:
        file.write((tmp_path / "a.parquet").read_bytes())
    source = pickle.loads(pickle.dumps(ParquetRows(pattern.format(tmp_path))))
    assert answers(source) == [0, 1]
    assert source[0].id.startswith("memory://" if pattern.startswith("memory") else str(tmp_path))


def test_a_row_group_without_rows_is_no_block(tmp_path):
    table = pa.table(rows(count=3))
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        for part in (table[:0], table[:2], table[:0], table[2:]):
            writer.write_table(part)
    source = ParquetRows(str(tmp_path / "a.parquet"))
    assert source.blocks == [range(0, 2), range(2, 3)]
    assert answers(source) == [0, 1, 2]


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(png(), id="bytes"),
        pytest.param({"bytes": png(), "path": None}, id="struct"),
        pytest.param({"bytes": None, "path": "a.png"}, id="struct-with-path"),
        pytest.param("a.png", id="path"),
        pytest.param([png(), png()], id="list"),
        pytest.param([{"bytes": png(), "path": "a.png"}] * 3, id="list-of-structs"),
    ],
)
def test_a_picture_is_stored_in_several_ways(tmp_path, image):
    (tmp_path / "a.png").write_bytes(png())
    path = written(tmp_path / "a.parquet", {"image": [image], "problem": ["?"], "answer": [1]})
    images = ParquetRows(path)[0].images
    assert len(images) == (len(image) if isinstance(image, list) else 1)
    assert all(np.array_equal(np.asarray(picture.open()), PIXELS) for picture in images)


def test_several_pictures_of_a_row_stand_where_its_question_has_them(tmp_path):
    content = {"image": [[png(), png()]], "problem": ["From <image> to <image>?"], "answer": ["3"]}
    (record,) = ParquetRows(written(tmp_path / "a.parquet", content))
    assert (record.problem, len(record.images)) == ("From <image> to <image>?", 2)
    content["problem"] = ["Only <image>?"]
    with pytest.raises(InputError, match="row 0: expected `<image>` once for each of 2 pictures, but got 1"):
        ParquetRows(written(tmp_path / "b.parquet", content))[0]


class Reads(list):
    """Every row group that is read, with the columns that are."""

    def __init__(self, monkeypatch):
        read = pq.ParquetFile.read_row_group

        def noted(file, index, columns=None, **kwargs):
            self.append((index, columns))
            return read(file, index, columns=columns, **kwargs)

        monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)


def test_a_row_group_is_read_once_while_few_others_are_and_then_forgotten(tmp_path, monkeypatch):
    source = ParquetRows(written(tmp_path / "a.parquet", rows(count=40), row_group_size=2))
    reads = Reads(monkeypatch)
    for row in (0, 9, 1, 3, 0, 5, 6, 8):  # as many groups as are kept
        source[row]
    assert [index for index, _ in reads] == [0, 4, 1, 2, 3]
    source[10]
    source[1]  # read again: group 0 was used before all others that were kept
    assert [index for index, _ in reads[5:]] == [5]
    source[9]
    assert [index for index, _ in reads[6:]] == []
    source[2]
    assert [index for index, _ in reads[6:]] == [1]
    assert len({0, 1, 2, 3, 4}) == parquet.KEPT_GROUPS > MIXED_BLOCKS


def test_only_needed_columns_are_read(tmp_path, monkeypatch):
    source = ParquetRows(written(tmp_path / "a.parquet", rows(ballast=["x" * 1000] * 10)))
    reads = Reads(monkeypatch)
    source[0]
    assert reads == [(0, ["image", "problem", "answer"])]


def test_a_copy_for_another_process_leaves_its_rows_behind(tmp_path, monkeypatch):
    source = ParquetRows(written(tmp_path / "a.parquet"))
    before, reads = len(pickle.dumps(source)), Reads(monkeypatch)
    assert answers(source) == list(range(10))
    assert len(pickle.dumps(source)) == before
    groups = len(reads)
    assert answers(source) == list(range(10))
    assert len(reads) == groups  # the original keeps its own
    assert answers(pickle.loads(pickle.dumps(source))) == list(range(10))
    assert len(reads) == 2 * groups


def test_an_epoch_reads_every_row_group_once(tmp_path, monkeypatch):
    source = ParquetRows(written(tmp_path / "a.parquet", rows(count=60), row_group_size=3))
    task = Counting(source, style="answer", batch_size=4)
    reads = Reads(monkeypatch)
    read = [int(sample.solution.value) for batch in task.train_dataloader() for sample in batch]
    assert sorted(read) == list(range(60)) != read
    assert sorted(index for index, _ in reads) == list(range(20))


def test_an_epoch_of_a_mixture_reads_every_row_of_every_file(tmp_path):
    files = [written(tmp_path / f"{name}.parquet", rows(count=count), row_group_size=3) for name, count in SIZES]
    tasks = {name: Counting(ParquetRows(path), style="answer") for (name, _), path in zip(SIZES, files, strict=True)}
    read = numbers(Mixture(tasks, batch_size=4).train_dataloader())
    assert sorted(read) == sorted([*range(10), *range(17), *range(5)])


SIZES = (("a", 10), ("b", 17), ("c", 5))


def loader(path, num_workers=2, **kwargs):
    task = Counting(ParquetRows(path), style="answer", batch_size=3, num_workers=num_workers, seed=5, **kwargs)
    return task.train_dataloader()


def numbers(batches):
    return [int(sample.solution.value) for batch in batches for sample in batch]


def test_workers_read_every_row_in_the_same_order(tmp_path):
    path = written(tmp_path / "a.parquet", rows(count=20))
    batches = list(loader(path))
    assert numbers(batches) == numbers(loader(path, 0))
    assert sorted(numbers(batches)) == list(range(20))
    for batch in batches:
        for sample in batch:
            assert np.array_equal(np.asarray(sample.images[0].open()), PIXELS + np.uint8(sample.solution.value))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_reads_what_is_left(tmp_path, num_workers):
    path = written(tmp_path / "a.parquet", rows(count=20))
    whole, resumed = (ResumableLoader(loader(path, num_workers)) for _ in range(2))
    batches = iter(whole)
    read = numbers(next(batches) for _ in range(4))
    resumed.load_state_dict(whole.state_dict())
    rest = numbers(batches)
    assert numbers(resumed) == rest
    assert sorted(read + rest) == list(range(20))


def with_bad_rows():
    content = rows(count=12)
    content["answer"][2], content["image"][7], content["problem"][9] = "many", png()[:45], None
    return content


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_row_is_replaced_by_the_next_and_told_of(tmp_path, num_workers, recwarn):
    path = written(tmp_path / "a.parquet", with_bad_rows())
    read = numbers(loader(path, num_workers, on_bad_row="skip"))
    assert sorted(read) == [0, 1, 3, 3, 4, 5, 6, 8, 8, 10, 10, 11]
    if not num_workers:  # a worker's warnings go to its own standard error
        told = "\n".join(str(warning.message) for warning in recwarn)
        for row, reason in ((2, "the answer to be a number"), (7, "a whole picture"), (9, "a value for `problem`")):
            assert f"Skipped a row: {path}, row {row}: expected {reason}" in told


@pytest.mark.filterwarnings("ignore:Skipped a row")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_rows_replaced_while_training_are_counted_once_where_no_worker_reads(tmp_path, num_workers):
    path = written(tmp_path / "a.parquet", with_bad_rows())
    task = Counting(ParquetRows(path), style="answer", on_bad_row="skip", num_workers=num_workers)
    batches = task.train_dataloader()
    assert task.skipped == {}
    for _ in range(2):
        list(batches)
    told = [reason.removeprefix(f"{path}, ").split(":")[0] for reason in task.skipped.get("train/train", [])]
    assert sorted(told) == ([] if num_workers else ["row 2", "row 7", "row 9"])
    assert set(task.skipped) <= {"train/train"}


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("split", ["val", "test"])
def test_held_out_rows_are_gone_through_once_and_no_good_one_is_judged_twice(tmp_path, monkeypatch, split, num_workers):
    path = written(tmp_path / "a.parquet", with_bad_rows(), row_group_size=1)
    task = Counting(**{split: {"id": ParquetRows(path)}}, on_bad_row="skip", num_workers=num_workers)
    reads = Reads(monkeypatch)
    with pytest.warns(UserWarning, match=f"Skipped 3 of 12 rows of {split}/id. First: .*row 2: expected the answer to"):
        task.setup({"val": "validate"}.get(split, split))
    assert [index for index, _ in reads] == list(range(12))
    assert list(task.skipped) == [f"{split}/id"]
    for reason, row in zip(task.skipped[f"{split}/id"], (2, 7, 9), strict=True):
        assert reason.startswith(f"{path}, row {row}: expected ")
    (batches,) = getattr(task, f"{split}_dataloader")()
    assert numbers(batch.value for batch in batches) == [0, 1, 3, 4, 5, 6, 8, 10, 11]
    assert len(task.datasets(split)["id"]) == 9


def test_held_out_rows_are_read_when_their_turn_comes_where_a_bad_one_stops_the_run(tmp_path, monkeypatch):
    task = Counting(val={"id": ParquetRows(written(tmp_path / "a.parquet", with_bad_rows()))})
    reads = Reads(monkeypatch)
    task.setup("validate")
    assert not reads
    (batches,) = task.val_dataloader()
    with pytest.raises(InputError, match="a.parquet, row 2: expected the answer to be a number, but got 'many'"):
        list(batches)


def test_held_out_rows_that_are_all_bad_are_an_error(tmp_path):
    content = {"image": [png()] * 2, "problem": ["?", "?"], "answer": ["many", "some"]}
    task = Counting(val={"id": ParquetRows(written(tmp_path / "a.parquet", content))}, on_bad_row="skip")
    with (
        pytest.raises(InputError, match="Expected at least one good row in val/id, but all 2 are bad: .*row 0"),
        pytest.warns(UserWarning, match="Skipped 2 of 2"),
    ):
        task.setup("validate")


@pytest.mark.filterwarnings("ignore:Skipped")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_picture_that_is_missing_is_found_without_decoding_it(tmp_path, num_workers):
    Image.effect_noise((40, 40), 50).save(tmp_path / "0.jpg")
    (tmp_path / "2.jpg").write_bytes((tmp_path / "0.jpg").read_bytes()[:700])  # its header is whole
    names = ["0.jpg", "1.jpg", "2.jpg"]
    path = written(tmp_path / "a.parquet", {"image": names, "problem": ["?"] * 3, "answer": ["0", "1", "2"]})
    assert sorted(numbers(loader(path, num_workers, on_bad_row="skip", verify_images=False))) == [0, 2, 2]
    task = Counting(val={"id": ParquetRows(path)}, on_bad_row="skip", verify_images=False)
    task.setup("validate")
    assert [reason.split(":")[1] for reason in task.skipped["val/id"]] == [
        f" expected a picture at {tmp_path}/1.jpg, but there is no such file."
    ]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_bad_row_stops_the_run(tmp_path, num_workers):
    content = rows(count=12)
    content["answer"][5] = "many"
    path = written(tmp_path / "a.parquet", content)
    with pytest.raises(
        InputError, match="a.parquet, row 5: expected the answer to be a number, but got 'many'"
    ) as raised:
        list(loader(path, num_workers))
    clear_frames(raised.tb)  # garbage only in a circle, whose workers do not hear of their end: 5 s each


def damaged_group(path):
    """Rows 4 to 7 of ten can't be read."""
    written(path, compression="none", use_dictionary=False, write_page_checksum=True)
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 8] ^= 0xFF
    path.write_bytes(content)
    return str(path)


def test_a_damaged_row_group_is_named_with_its_rows_and_read_once(tmp_path, monkeypatch):
    source = ParquetRows(damaged_group(tmp_path / "a.parquet"))
    reads = Reads(monkeypatch)
    assert source[3].answer == "3"
    for row in (4, 7, 5):
        with pytest.raises(InputError, match="a.parquet: expected rows 4 to 7, but they can't be read: .+") as caught:
            source[row]
        assert "\n" not in str(caught.value)
    assert source[8].answer == "8"
    assert [index for index, _ in reads] == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:Skipped a row")
def test_rows_of_a_damaged_row_group_are_skipped(tmp_path):
    task = Counting(ParquetRows(damaged_group(tmp_path / "a.parquet")), style="answer", on_bad_row="skip")
    assert sorted(numbers(task.train_dataloader())) == [0, 1, 2, 3, 8, 8, 8, 8, 8, 9]
    assert len(task.skipped["train/train"]) == 4


def test_a_file_that_changes_while_it_is_used_is_named(tmp_path):
    path = written(tmp_path / "a.parquet")
    source = ParquetRows(path)
    written(tmp_path / "a.parquet", rows(count=1))
    with pytest.raises(InputError, match="a.parquet: expected rows 0 to 3, but they can't be read: it holds 1"):
        source[0]
    with pytest.raises(InputError, match="a.parquet: expected rows 8 to 9, but they can't be read: .+"):
        source[9]
    (tmp_path / "a.parquet").unlink()
    with pytest.raises(InputError, match="a.parquet: expected rows 4 to 7, but they can't be read: .+"):
        source[4]


def test_text_that_is_no_text_is_named_with_its_row(tmp_path):
    wrong = pa.array([b"What?", b"\xff\xfe"]).view(pa.string())
    path = written(tmp_path / "a.parquet", {"problem": wrong, "answer": [1, 2]})
    source = ParquetRows(path, image=None)
    assert source[0].problem == "What?"
    with pytest.raises(InputError, match="a.parquet, row 1: expected a row that can be read, but it can't: 'utf-8'"):
        source[1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param({"image": [png(), None]}, "expected `image` to be a picture, a path, or a list", id="no-picture"),
        pytest.param(
            {"image": [1, 2]}, "expected `image` to be a picture, a path, or a list of them, but", id="number"
        ),
        pytest.param({"problem": ["?", ""]}, "expected a value for `problem`, but got ''", id="no-problem"),
        pytest.param({"problem": [1, 2]}, "expected `problem` to be a string, but got 2", id="problem"),
        pytest.param({"answer": ["1", None]}, "expected a value for `answer`, but got None", id="no-answer"),
        pytest.param({"cot": [None, 5]}, "expected `cot` to be a string, but got 5", id="cot"),
    ],
)
def test_a_wrong_row_is_named_with_file_and_row(tmp_path, columns, message):
    content = {"image": [png(), png()], "problem": ["?", "?"], "answer": ["1", "2"], "cot": ["a", "b"], **columns}
    source = ParquetRows(written(tmp_path / "a.parquet", content), cot="cot")
    with pytest.raises(InputError, match=f"a.parquet, row 1: {message}"):
        source[1]


@pytest.mark.parametrize("index", [-1, 10])
def test_there_is_no_row_beyond_the_last(tmp_path, index):
    with pytest.raises(IndexError, match=f"Expected a row from 0 to 9, but got {index}"):
        ParquetRows(written(tmp_path / "a.parquet"))[index]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param("none.parquet", "Expected Parquet files at .*none.parquet, but there is none", id="missing"),
        pytest.param("*.arrow", r"Expected Parquet files at .*\*.arrow, but there is none", id="empty-glob"),
        pytest.param("", "Expected a Parquet file at .*, but it can't be read", id="folder"),
        pytest.param("junk.parquet", "Expected a Parquet file at .*junk.parquet, but it can't be read: .+", id="junk"),
        pytest.param("cut.parquet", "Expected a Parquet file at .*cut.parquet, but it can't be read: .+", id="cut"),
        pytest.param("*t.parquet", "Expected a Parquet file at .*cut.parquet, but it can't be read: .+", id="glob"),
        pytest.param(
            "rowless.parquet", r"Expected at least one row in .*rowless.parquet, but there is none", id="rows"
        ),
        pytest.param("bare.parquet", r"a column 'problem' in .*bare.parquet, but it has \['image'\]", id="column"),
    ],
)
def test_files_of_another_kind_are_named_in_one_line(tmp_path, files, message):
    content = (tmp_path / written(tmp_path / "whole.parquet")).read_bytes()
    (tmp_path / "junk.parquet").write_bytes(b"PAR1 no, it is not PAR1")
    (tmp_path / "cut.parquet").write_bytes(content[:-300] + content[-8:])
    written(tmp_path / "rowless.parquet", {name: values[:0] for name, values in rows().items()})
    written(tmp_path / "bare.parquet", {"image": [png()]})
    with pytest.raises(InputError, match=message) as caught:
        ParquetRows(f"{tmp_path}/{files}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["nowhere://a.parquet", "hf://a"])
def test_a_url_that_leads_nowhere_is_named(url):
    with pytest.raises(InputError, match=f"Expected Parquet files at {url}, but can't look: .+"):
        ParquetRows(url)


@pytest.mark.parametrize("files", ["", []], ids=["text", "list"])
def test_a_file_is_needed(files):
    with pytest.raises(ValueError, match="Expected `files` to name at least one file, but got"):
        ParquetRows(files)
