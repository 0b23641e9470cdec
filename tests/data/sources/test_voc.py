from __future__ import annotations

import pytest
from PIL import Image

from vrft_pl.answers import Instance, Instances
from vrft_pl.data import Detection, VOCDetection
from vrft_pl.types import InputError


def an_object(name="dog", box=(1, 1, 10, 20), more="<difficult>0</difficult>"):
    edges = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{edges}</bndbox></object>"


def annotation(*objects, size="<size><width>40</width><height>30</height><depth>3</depth></size>", file="a.jpg"):
    return f"<annotation><folder>x</folder><filename>{file}</filename>{size}{''.join(objects)}</annotation>"


PART = "<part><name>head</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax><ymax>6</ymax></bndbox></part>"
FILES = {
    "000_a": annotation(
        an_object("dog"),
        an_object("cat", (40, 30, 40, 30), PART),
        an_object("dog", (2.5, 3, 8, 9), "<difficult>1</difficult>"),
    ),
    "000_b": annotation(an_object("cat", (1, 1, 40, 30)), file="000_b.png"),
    "000_c": annotation(size=""),
}


def voc(folder, files=None, names=None, **kwargs):
    files = FILES | (files or {})
    for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        for suffix in ("jpg", "png"):
            Image.new("RGB", (40, 30)).save(folder / "JPEGImages" / f"{name}.{suffix}")
        data = content if isinstance(content, bytes) else content.encode()
        (folder / "Annotations" / f"{name}.xml").write_bytes(data)
    (folder / "ImageSets/Main/train.txt").write_text("\n".join(files) + "\n" if names is None else names)
    return VOCDetection(str(folder), **kwargs)


def test_pixels_are_counted_from_zero_and_difficult_objects_are_not_judged(tmp_path):
    cat, dog, *_ = voc(tmp_path)
    assert cat.answer == Instances((Instance((39, 29, 40, 30), "cat"),), ("cat",), "000_a.jpg")
    assert dog.answer == Instances(
        (Instance((0, 0, 10, 20), "dog"), Instance((1.5, 2, 8, 9), "dog", crowd=True)), ("dog",), "000_a.jpg"
    )
    assert dog.problem == "Detect all objects belonging to the category 'dog' in the image."
    assert dog.id == f"{tmp_path / 'ImageSets/Main/train.txt'}, image 000_a.jpg, category dog"


def test_pictures_have_the_name_of_their_annotations(tmp_path):
    source = voc(tmp_path, negatives="all")
    paths = dict.fromkeys(record.images[0].path.relative_to(tmp_path).as_posix() for record in source)
    assert list(paths) == ["JPEGImages/000_a.jpg", "JPEGImages/000_b.png", "JPEGImages/000_c.jpg"]
    assert len(source) == 6


def test_every_question_passes_the_task(tmp_path):
    task = Detection(val={"id": voc(tmp_path, negatives="all")})
    assert len(task.datasets("val")["id"]) == 6


def test_a_list_of_one_category_is_read_without_its_flags(tmp_path):
    assert len(voc(tmp_path, names="000_a  1\n\n000_b -1\n")) == 3


@pytest.mark.parametrize(
    ("box", "message"),
    [
        pytest.param((10, 1, 9, 20), "expected a box with x2 > x1 and y2 > y1", id="no-area"),
        pytest.param((1, 1, 50, 20), "expected a box inside the image of 40 x 30 pixels", id="outside"),
        pytest.param(
            (1, 1, "x", 20), "expected `bndbox` to hold the numbers xmin, ymin, xmax, ymax, but got", id="text"
        ),
        pytest.param((1, 1, "nan", 20), "expected `bndbox` to hold the numbers", id="nan"),
        pytest.param((1, 1, "1e999", 20), "expected `bndbox` to hold the numbers", id="infinite"),
        pytest.param((1, 1, "", 20), "expected `bndbox` to hold the numbers", id="empty"),
    ],
)
def test_a_bad_box_is_named_or_left_out(tmp_path, box, message):
    files = {"000_d": annotation(an_object(), an_object("bird", box))}
    last = voc(tmp_path, files, categories=["bird"])
    with pytest.raises(InputError, match=f"train.txt, image 000_d.jpg, annotation 2: {message}"):
        last[0]
    with pytest.warns(UserWarning, match=f"Left out 1 of 6 boxes of .*train.txt. First: .*{message}"):
        assert len(voc(tmp_path, files, bad_boxes="drop")) == 4


def test_a_missing_box_is_named(tmp_path):
    files = {"000_d": annotation("<object><name>bird</name></object>")}
    with pytest.raises(InputError, match="image 000_d.jpg, annotation 1: expected `bndbox` to hold the numbers"):
        voc(tmp_path, files, categories=["bird"])[0]


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + annotation(an_object("&b;"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("", "Expected VOC annotations at .*000_d.xml, but they can't be read", id="empty"),
        pytest.param(annotation()[:-5], "Expected VOC annotations at .*000_d.xml, but they can't be read", id="cut"),
        pytest.param("<a>" * 100_000, "Expected VOC annotations at .*000_d.xml, but they can't be read", id="deep"),
        pytest.param(
            annotation().encode("utf-16"), "Expected VOC annotations at .*, but they can't be read", id="utf-16"
        ),
        pytest.param(
            BOMB, "Expected plain VOC annotations .*, but the file declares a document type or", id="entities"
        ),
        pytest.param(b"<a>" + b" " * 10_000_000, "Expected plain .* the file has more than 10000000 bytes", id="large"),
        pytest.param(
            annotation("<object/>"), "000_d.xml: expected every `object` to have a `name`, but one has none", id="name"
        ),
        pytest.param(
            annotation(an_object(more="<difficult>no</difficult>")),
            "000_d.xml: expected `difficult` of 'dog' to be 0 or 1, but got 'no'",
            id="difficult",
        ),
        pytest.param(
            annotation(size="<size><width>w</width><height>3</height></size>"),
            "000_d.xml: expected `width` and `height` in whole pixels, but got nan, 3.0",
            id="size",
        ),
    ],
)
def test_annotations_that_cannot_be_read_are_one_bad_row(tmp_path, content, message):
    source = voc(tmp_path, {"000_d": content})
    assert len(source) == 4
    with pytest.raises(InputError, match=message):
        source[3]
    with pytest.warns(UserWarning, match="Skipped 1 of 4 rows of val/id"):
        assert len(Detection(val={"id": source}, on_bad_row="skip").datasets("val")["id"]) == 3


def test_missing_annotations_are_a_bad_row(tmp_path):
    source = voc(tmp_path, names="000_a\n000_z\n000_\0")
    assert len(source) == 4
    for row in (2, 3):
        with pytest.raises(InputError, match="Expected VOC annotations at .*, but they can't be read"):
            source[row]


def test_a_deep_but_whole_file_has_no_objects(tmp_path):
    assert len(voc(tmp_path, {"000_d": "<a>" * 100_000 + "</a>" * 100_000})) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"image_set": "trainer"}, "Expected a list of VOC images at .*trainer.txt, but it can't be read", id="set"
        ),
        pytest.param({"names": "\n \n"}, "train.txt to name at least one image, but it is empty", id="empty"),
        pytest.param({"names": "000_c"}, r"train.txt to hold an object of \[\], but it has none", id="no-object"),
        pytest.param({"names": "000_a\n000_a"}, "every picture of .*train.txt to be there once, but 1 are", id="twice"),
        pytest.param({"categories": ["cow"]}, r"to be among \['cat', 'dog'\], but got \['cow'\]", id="category"),
    ],
)
def test_a_wrong_set_of_images_is_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        voc(tmp_path, **options)
