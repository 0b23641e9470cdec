from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from vrft_pl.data import Classification, ImageFolder, LabelCSV
from vrft_pl.data.sources.folders import QUESTION
from vrft_pl.types import InputError


@pytest.fixture
def root(tmp_path):
    """Two classes of flowers, five pictures, one of them in a folder of its own."""
    for name in (
        "tiger_lily/b.png",
        "tiger_lily/a.JPG",
        "tiger_lily/wild/c.webp",
        "fire lily/2.png",
        "fire lily/10.png",
    ):
        path = tmp_path / "flowers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    return tmp_path / "flowers"


def rows(source):
    return [(record.images[0].path.relative_to(source.root).as_posix(), record.answer) for record in source]


def table(folder, text, name="rows.csv", **kwargs):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return LabelCSV(str(path), **kwargs)


def cells(source):
    return [(r.images[0].path.relative_to(source.image_root).as_posix(), r.answer) for r in source]


def test_folders_are_classes_and_rows_follow_the_names(root):
    source = ImageFolder(str(root))
    assert rows(source) == [
        ("fire lily/10.png", "fire lily"),
        ("fire lily/2.png", "fire lily"),
        ("tiger_lily/a.JPG", "tiger_lily"),
        ("tiger_lily/b.png", "tiger_lily"),
        ("tiger_lily/wild/c.webp", "tiger_lily"),
    ]
    assert {record.problem for record in source} == {QUESTION}
    assert [record.id for record in source][4] == f"{root}, tiger_lily/wild/c.webp"
    assert len({record.id for record in source}) == len(source) == 5
    assert source[4].images[0].open().size == (8, 6)


def test_folders_can_be_named_and_the_question_chosen(root):
    source = ImageFolder(str(root), "Which flower?", {"tiger_lily": "tiger lily"})
    assert [source.classes(i) for i in range(5)] == [("fire lily",)] * 2 + [("tiger lily",)] * 3
    assert source[4].answer == "tiger lily"
    assert source[0].problem == "Which flower?"


def test_two_folders_may_be_one_class(root):
    source = ImageFolder(str(root), class_names=dict.fromkeys(("tiger_lily", "fire lily"), "lily"))
    assert {record.answer for record in source} == {"lily"}


def test_classes_are_known_without_opening_a_picture(root, monkeypatch):
    (root / "fire lily" / "2.png").write_bytes(b"no picture")
    source = ImageFolder(str(root))
    monkeypatch.setattr(Image, "open", lambda *args: pytest.fail("opened a picture"))
    assert [source.classes(i)[0] for i in range(len(source))] == ["fire lily"] * 2 + ["tiger_lily"] * 3


def test_hidden_files_are_no_pictures(root, recwarn):
    for name in (".DS_Store", "fire lily/.DS_Store", "fire lily/._2.png", ".cache/a.png", "fire lily/.thumbs/2.png"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (root / "labels.csv").write_text("path,label\n")
    assert len(ImageFolder(str(root))) == 5
    assert not recwarn.list


@pytest.mark.parametrize(
    "name", ["fire lily/notes.txt", "fire lily/features.h5", "fire lily/figure.eps", "fire lily/picture", "stray.png"]
)
def test_what_is_left_out_is_counted_and_named(root, name):
    (root / name).write_bytes(b"")
    with pytest.warns(
        UserWarning, match=f"Left out 1 files of .*flowers that are no picture of a class. First: {name}"
    ):
        assert len(ImageFolder(str(root))) == 5


def test_an_empty_class_is_named(root):
    (root / "arum lily").mkdir()
    with pytest.warns(UserWarning, match="Expected pictures in .*arum lily, but there is none"):
        assert len(ImageFolder(str(root))) == 5


def test_links_are_followed_and_a_circle_of_them_ends(root, tmp_path, monkeypatch):
    listed = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scan(path))
    (tmp_path / "more").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "more" / "d.png")
    (root / "fire lily" / "more").symlink_to(tmp_path / "more")
    (root / "fire lily" / "self").symlink_to(root / "fire lily")
    (root / "arum lily").symlink_to(tmp_path / "more")
    assert [name for name, _ in rows(ImageFolder(str(root)))][:4] == [
        "arum lily/d.png",
        "fire lily/10.png",
        "fire lily/2.png",
        "fire lily/more/d.png",
    ]
    assert len(listed) < 10


def test_a_folder_that_cannot_be_read_is_named(root, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("wild"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="Expected a folder of pictures at .*wild, but it can't be read: .*denied"):
        ImageFolder(str(root))


def test_a_name_in_another_encoding_is_refused(root):
    try:
        Path(os.fsdecode(bytes(root / "fire lily") + b"/\xe9t\xe9.png")).touch()
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    with pytest.raises(InputError, match="flowers: expected names of files in UTF-8, but got 'fire lily/.udce9t"):
        ImageFolder(str(root))


def test_a_folder_without_pictures_of_classes_is_named(tmp_path):
    with pytest.raises(InputError, match="Expected a folder of classes at .*none, but it can't be read"):
        ImageFolder(str(tmp_path / "none"))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Expected a folder of classes at .*file, but it can't be read"):
        ImageFolder(str(tmp_path / "file"))
    with pytest.raises(InputError, match="Expected a folder a class in .*, but there is none"):
        ImageFolder(str(tmp_path))
    (tmp_path / "fire lily").mkdir()
    with (
        pytest.warns(UserWarning, match="Expected pictures in .*fire lily"),
        pytest.raises(InputError, match="Expected pictures in the folders of .*, but there is none"),
    ):
        ImageFolder(str(tmp_path))


def test_a_name_of_no_folder_is_refused(root):
    with pytest.raises(InputError, match=r"Expected a folder in .* for every one of `class_names`, .* \['tigerlily'\]"):
        ImageFolder(str(root), class_names={"tigerlily": "tiger lily"})


def test_several_columns_are_several_pictures_of_a_row(tmp_path):
    """Where the question has their places, in those."""
    text = "before,after,label\na.png,b.png,larger\nc.png,,smaller\n"
    source = table(tmp_path, text, path_column=["before", "after"], question="From <image> to <image>?")
    record = source[0]
    assert [image.path.name for image in record.images] == ["a.png", "b.png"]
    assert (record.problem, record.answer) == ("From <image> to <image>?", "larger")
    with pytest.raises(InputError, match="line 3: expected a value for `after`, but it is blank"):
        source[1]
    with pytest.raises(InputError, match="`<image>` once for each of 2 pictures, but got 1"):
        table(tmp_path, text, path_column=["before", "after"], question="What is <image>?")


@pytest.mark.parametrize("source", [ImageFolder, LabelCSV])
def test_a_question_is_not_blank(root, source):
    with pytest.raises(ValueError, match="Expected `question` to be a question, but got ' '"):
        source(str(root), question=" ")


def test_a_class_has_a_name(root):
    with pytest.raises(ValueError, match="Expected `class_names` to hold names, but that of 'tiger_lily' is blank"):
        ImageFolder(str(root), class_names={"tiger_lily": " "})


def test_a_row_of_the_table_is_a_picture_with_its_label(root):
    source = table(root, "path,label\nfire lily/2.png,fire lily\ntiger_lily/b.png, tiger lily \n")
    assert cells(source) == [("fire lily/2.png", "fire lily"), ("tiger_lily/b.png", "tiger lily")]
    assert source[1].id == f"{root}/rows.csv, line 3"
    assert source[1].problem == QUESTION
    assert source.classes(1) == ("tiger lily",)
    assert source[0].images[0].open().size == (8, 6)


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        pytest.param("\ufeffpath,label\r\na.png,x\r\n", {}, [("a.png", "x")], id="byte-order-mark-and-windows"),
        pytest.param('path,label\n"a, b.png","lily, ""fire"""\n', {}, [("a, b.png", 'lily, "fire"')], id="quotes"),
        pytest.param("path,label\n\na.png,x\n\n\n", {}, [("a.png", "x")], id="blank-lines"),
        pytest.param("path, label\na.png, x\n", {}, [("a.png", "x")], id="blanks"),
        pytest.param("label,split,path\nx,train,a.png", {}, [("a.png", "x")], id="order-and-further-columns"),
        pytest.param("path;label\na.png;x, y\n", {"delimiter": ";"}, [("a.png", "x, y")], id="delimiter"),
        pytest.param(
            "file,kind\na.png,x\n", {"path_column": "file", "label_column": "kind"}, [("a.png", "x")], id="columns"
        ),
        pytest.param(
            "path,label\na.png,\u00e9t\u00e9\u2028\n", {}, [("a.png", "\u00e9t\u00e9")], id="separators-of-unicode"
        ),
    ],
)
def test_tables_are_written_in_several_ways(tmp_path, text, arguments, expected):
    assert cells(table(tmp_path, text, **arguments)) == expected


def test_columns_of_a_tsv_are_separated_by_tabs(tmp_path):
    text = "path\tlabel\na.png\tx, y\n"
    assert cells(table(tmp_path, text, "rows.TSV")) == [("a.png", "x, y")]
    with pytest.raises(InputError, match=r"expected a column `path` among \['path\\tlabel'\], but it is missing"):
        table(tmp_path, text)


def test_paths_may_be_relative_to_another_folder(root, tmp_path):
    source = table(tmp_path, f"path,label\ntiger_lily/b.png,x\n{root}/fire lily/2.png,y", image_root=str(root))
    assert [record.images[0].open().size for record in source] == [(8, 6)] * 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("b.png", "expected 2 columns, but got 1", id="short"),
        pytest.param("b.png,x,y", "expected 2 columns, but got 3", id="comma-in-a-name"),
        pytest.param(" ,x", "expected a value for `path`, but it is blank", id="no-path"),
        pytest.param("b.png,", "expected a value for `label`, but it is blank", id="no-label"),
    ],
)
def test_a_wrong_row_is_named_with_its_line_and_can_be_skipped(tmp_path, line, message):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    source = table(tmp_path, f"path,label\n\na.png,x\n{line}\na.png,z\n")
    with pytest.raises(InputError, match=f"rows.csv, line 4: {message}"):
        source[1]
    task = Classification(val={"id": source}, on_bad_row="skip")
    with pytest.warns(UserWarning, match=f"Skipped 1 of 3 rows of val/id. First: .*line 4: {message}"):
        (samples,) = task.datasets("val").values()
    assert [samples[i].solution.name for i in range(len(samples))] == ["x", "z"]


def test_a_row_over_several_lines_is_named_by_its_last(tmp_path):
    source = table(tmp_path, 'path,label\na.png,"x\ny"\nb.png\n')
    assert source[0].answer == "x\ny"
    with pytest.raises(InputError, match="rows.csv, line 4: expected 2 columns, but got 1"):
        source[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", r"rows.csv: expected a column `path` among \[\], but it is missing", id="empty"),
        pytest.param("path,label\n\n", "Expected at least one row in .*rows.csv, but it is empty", id="no-row"),
        pytest.param(
            "a.png,x\n", r"expected a column `path` among \['a.png', 'x'\], but it is missing", id="no-header"
        ),
        pytest.param("path,class\na.png,x", r"expected a column `label` among \['path', 'class'\]", id="no-label"),
        pytest.param(
            "path,label,label\na,x,y", "expected a column `label` among .*, but it occurs 2 times", id="twice"
        ),
        pytest.param(
            'path,label\na.png,x\nb.png,"y\n',
            "rows.csv, after line 2: expected rows of cells, .* end of data",
            id="quote",
        ),
        pytest.param(
            'path,label\n"a"b,x\n', "rows.csv, after line 1: expected rows of cells, but they", id="quote-inside"
        ),
        pytest.param(
            f"path,label\na,{'x' * 200_000}", "after line 1: expected rows of cells, .*field limit", id="long"
        ),
        pytest.param(
            b"path,label\na.png,\xff\xfe", "Expected a table in UTF-8 at .*rows.csv, but it can't", id="latin"
        ),
        pytest.param("path,label\na,x\n".encode("utf-16"), "Expected a table in UTF-8 at .*rows.csv", id="utf-16"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        table(tmp_path, text)


def test_a_table_that_is_missing_is_named(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="Expected a table in UTF-8 at .*, but it can't be read"):
            LabelCSV(str(path))


@pytest.mark.parametrize("delimiter", ["", ", ", '"', "\n"])
def test_a_delimiter_is_one_character(tmp_path, delimiter):
    with pytest.raises(ValueError, match="Expected `delimiter` to be one character that ends no text, but got"):
        table(tmp_path, "path,label\na,x", delimiter=delimiter)


def test_a_missing_picture_of_either_source_is_named_with_its_row(root):
    folder = ImageFolder(str(root))
    (root / "fire lily" / "10.png").unlink()
    with pytest.raises(InputError, match="flowers, fire lily/10.png: expected a picture at .*10.png, but there is no"):
        Classification(val={"id": folder}).setup("validate")
    with pytest.raises(InputError, match="rows.csv, line 2: expected a picture at .*none.png, but there is no such"):
        Classification(val={"id": table(root, "path,label\nnone.png,x")}).setup("validate")
