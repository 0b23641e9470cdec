from __future__ import annotations

import io

import datasets
import numpy as np
import pytest
from PIL import Image

from vrft_pl.data import Counting, VisualRFTDataset
from vrft_pl.data.images import BytesImage, FileImage
from vrft_pl.types import InputError

PIXELS = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)


@pytest.fixture(autouse=True)
def _no_progress_bars():
    datasets.disable_progress_bars()


def png(pixels=PIXELS):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def rows(count=3, **columns):
    images = [Image.fromarray(PIXELS + i) for i in range(count)]
    problems = [f"<image>How many at {i}?" for i in range(count)]
    solutions = [f"<answer>{i}</answer>" for i in range(count)]
    return {"image": images, "problem": problems, "solution": solutions, **columns}


def saved(folder, content=None, split=None, **splits):
    made = {name: datasets.Dataset.from_dict(part) for name, part in splits.items()}
    whole = datasets.Dataset.from_dict(content, split=split) if content else datasets.DatasetDict(made)
    whole.save_to_disk(str(folder / "set"))
    return str(folder / "set")


def test_a_saved_row_becomes_a_record(tmp_path):
    source = VisualRFTDataset(saved(tmp_path, rows()))
    assert len(source) == 3
    record = source[2]
    assert (record.problem, record.answer) == ("How many at 2?", "<answer>2</answer>")
    assert record.id == f"{tmp_path}/set, train row 2"
    (image,) = record.images
    assert isinstance(image, BytesImage), "not decoded yet"
    assert image.owner == record.id
    assert np.array_equal(np.asarray(image.open()), PIXELS + 2)


def test_rows_stay_on_disk(tmp_path):
    source = VisualRFTDataset(saved(tmp_path, rows()))
    assert type(source.rows.data).__name__ == "MemoryMappedTable"


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_is_chosen_by_name(tmp_path, split):
    path = saved(tmp_path, train=rows(2), test=rows(5))
    assert len(VisualRFTDataset(path, split)) == {"train": 2, "test": 5}[split]


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(png(), id="bytes"),
        pytest.param({"bytes": png(), "path": "a.png"}, id="struct"),
        pytest.param({"bytes": None, "path": "a.png"}, id="struct-with-path"),
        pytest.param("a.png", id="path"),
        pytest.param([png(), png()], id="list"),
    ],
)
def test_a_picture_is_stored_in_several_ways(tmp_path, image):
    path = saved(tmp_path, {"image": [image], "problem": ["?"], "solution": ["1"]})
    (tmp_path / "set" / "a.png").write_bytes(png())
    images = VisualRFTDataset(path)[0].images
    assert len(images) == (2 if isinstance(image, list) else 1)
    assert all(np.array_equal(np.asarray(picture.open()), PIXELS) for picture in images)


def test_a_task_reads_them_with_workers(tmp_path):
    task = Counting(VisualRFTDataset(saved(tmp_path, rows(4))), style="answer", batch_size=4, num_workers=1)
    (batch,) = task.train_dataloader()
    assert sorted(sample.solution.value for sample in batch) == [0, 1, 2, 3]
    for sample in batch:
        assert np.array_equal(np.asarray(sample.images[0].open()), PIXELS + int(sample.solution.value))


def test_a_single_split_answers_to_its_own_name_alone(tmp_path):
    path = saved(tmp_path, rows(), split="test")
    assert len(VisualRFTDataset(path, "test")) == 3
    with pytest.raises(InputError, match=r"Expected split 'train' of .*set to be among \['test'\], but it is not"):
        VisualRFTDataset(path)


def test_an_unknown_split_is_named_beside_the_known_ones(tmp_path):
    path = saved(tmp_path, train=rows(), test=rows())
    with pytest.raises(
        InputError, match=r"Expected split 'val' of .*set to be among \['train', 'test'\], but it is not"
    ):
        VisualRFTDataset(path, "val")


@pytest.mark.parametrize("column", ["image", "problem", "solution"])
def test_a_missing_column_is_named_beside_the_known_ones(tmp_path, column):
    content = {"other": [1, 2, 3], **rows()}
    del content[column]
    with pytest.raises(InputError, match=rf"split 'train' of .*set, but '{column}' is not among \['other', '"):
        VisualRFTDataset(saved(tmp_path, content))


def test_a_split_without_rows_is_named(monkeypatch):
    empty = datasets.Dataset.from_dict({"image": [], "problem": [], "solution": []}, split="train")
    monkeypatch.setattr(datasets, "load_dataset", lambda path, split: empty)
    with pytest.raises(InputError, match="Expected at least one row in split 'train' of someone/none, but it is empty"):
        VisualRFTDataset("someone/none")


def test_a_folder_that_is_no_dataset_is_named(tmp_path):
    with pytest.raises(
        InputError, match=f"Expected a dataset that `save_to_disk` wrote at {tmp_path}, but there is none"
    ):
        VisualRFTDataset(str(tmp_path))


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
@pytest.mark.parametrize("damage", ["cut", "missing", "junk"])
def test_a_damaged_dataset_is_named_in_one_line(tmp_path, name, damage):
    path = saved(tmp_path, train=rows())
    file = tmp_path / "set" / "train" / name
    content = file.read_bytes()
    file.unlink() if damage == "missing" else file.write_bytes(content[:30] if damage == "cut" else b"[" * len(content))
    with pytest.raises(
        InputError, match="Expected split 'train' of a dataset at .*set, .*but it can't be read: "
    ) as caught:
        VisualRFTDataset(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_folder_is_looked_for_on_the_hub(tmp_path, monkeypatch):
    asked = []

    def load(path, split):
        asked.append((path, split))
        return datasets.Dataset.from_dict(rows(2), split=split)

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(VisualRFTDataset("someone/cars", "test")) == 2
    assert asked == [("someone/cars", "test")]


def test_a_dataset_of_the_hub_is_read_at_the_revision_that_is_named(monkeypatch, tmp_path):
    asked = []

    def load(path, split, revision):
        asked.append(revision)
        return datasets.Dataset.from_dict(rows(2), split=split)

    monkeypatch.setattr(datasets, "load_dataset", load)
    VisualRFTDataset("someone/cars", revision="v1")
    assert asked == ["v1"]
    with pytest.raises(InputError, match="Expected `revision` with the id of a dataset on the hub, but .* is a folder"):
        VisualRFTDataset(saved(tmp_path, rows()), revision="v1")


def test_a_dataset_that_the_hub_does_not_have_is_named_in_one_line(monkeypatch):
    def load(path, split):
        raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{path}' doesn't exist\non the Hub.")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(
        InputError, match="someone/cars, a saved folder .* can't be read: Dataset .* doesn't exist on the"
    ):
        VisualRFTDataset("someone/cars")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param({"image": [png(), None]}, "expected `image` to be a picture, a path, or a list", id="no-picture"),
        pytest.param({"image": [png(), b""]}, "expected `image` to be a picture, a path, or a list", id="no-bytes"),
        pytest.param(
            {"image": [1, 2]}, "expected `image` to be a picture, a path, or a list of them, but got 2", id="int"
        ),
        pytest.param({"problem": ["?", None]}, "expected a value for `problem`, but got None", id="no-problem"),
        pytest.param({"problem": [1, 2]}, "expected `problem` to be a string, but got 2", id="problem"),
        pytest.param({"solution": ["1", ""]}, "expected a value for `solution`, but got ''", id="no-solution"),
    ],
)
def test_a_wrong_row_is_named_with_dataset_split_and_row(tmp_path, columns, message):
    content = {"image": [png(), png()], "problem": ["?", "?"], "solution": ["1", "2"], **columns}
    source = VisualRFTDataset(saved(tmp_path, content))
    with pytest.raises(InputError, match=f"set, train row 1: {message}"):
        source[1]


def test_a_missing_file_of_a_row_is_named(tmp_path):
    path = saved(tmp_path, {"image": ["none.png"], "problem": ["?"], "solution": ["1"]})
    (image,) = VisualRFTDataset(path)[0].images
    assert isinstance(image, FileImage)
    with pytest.raises(
        InputError, match="set, train row 0: expected a picture at .*set/none.png, but there is no such"
    ):
        image.open()
