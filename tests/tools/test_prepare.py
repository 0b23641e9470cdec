"""The tools that prepare public data sets, each on a tiny copy of the published layout."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
from pathlib import Path

import published
import pytest

from vrft_pl.data import Counting, Grounding, LabelCSV, ReasonJSON
from vrft_pl.names import normalize_name

TOOLS = Path(__file__).parents[2] / "tools"
LISTS = Path(__file__).parents[2].parent / "shared" / "data" / "class_names"
SETS = [
    "flowers102",
    "pets37",
    "fgvc_aircraft",
    "cars196",
    "reason_rft",
    "geometry3k",
    "refcoco",
    "cards",
    "nlvr",
    "clothing",
]


@pytest.fixture(autouse=True)
def stage_1(monkeypatch):
    """Tools can be imported; a first stage of 3 rows. Returns the true number of rows."""
    monkeypatch.syspath_prepend(str(TOOLS))
    tool = importlib.import_module("prepare_reason_rft")
    true = tool.STAGE_1
    monkeypatch.setattr(tool, "STAGE_1", 3)
    return true


@pytest.fixture
def build(tmp_path):
    """Lays out a data set; returns its folder."""

    def lay_out(name, *args):
        folder = tmp_path / name
        folder.mkdir()
        getattr(published, name)(folder, *args)
        return folder

    return lay_out


def prepare(name, folder, *args):
    importlib.import_module(f"prepare_{name}").main([str(folder), *args])


def refused(name, folder, capsys):
    """Prepare a data set that must be refused; return the one line it says."""
    with pytest.raises(SystemExit) as stop:
        prepare(name, folder)
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert len(said.splitlines()) == 1
    return said


def test_every_tool_is_tested():
    tools = {path.stem.removeprefix("prepare_") for path in TOOLS.glob("prepare_*.py")}
    assert tools - {"omniglot"} == set(SETS)


def test_flowers_have_the_official_splits_and_the_names_of_the_benchmark(build):
    folder = build("flowers102")
    prepare("flowers102", folder)
    assert published.read_csv(folder / "train.csv") == [
        ["path", "label"],
        ["jpg/image_00001.jpg", "pink primrose"],
        ["jpg/image_00003.jpg", "colts foot"],
    ]
    assert published.read_csv(folder / "val.csv")[1:] == [["jpg/image_00004.jpg", "pink-yellow dahlia"]]
    assert [row[1] for row in published.read_csv(folder / "test.csv")[1:]] == ["pink primrose", "blackberry lily"]
    assert json.loads((folder / "aliases.json").read_text()) == {"colts foot": ["colt's foot"]}
    assert len((folder / "classes.txt").read_text().splitlines()) == 102


def test_pets_are_named_by_their_pictures(build):
    folder = build("pets37")
    prepare("pets37", folder)
    assert published.read_csv(folder / "train.csv")[3] == ["images/Basset_Hound_12.jpg", "basset hound"]
    assert published.read_csv(folder / "test.csv") == [["path", "label"], ["images/Abyssinian_99.jpg", "abyssinian"]]
    assert (folder / "classes.txt").read_text() == "abyssinian\namerican bulldog\nbasset hound\n"
    assert not (folder / "aliases.json").exists()


def test_names_of_aircraft_may_hold_spaces_and_slashes(build):
    folder = build("fgvc_aircraft")
    prepare("fgvc_aircraft", folder)
    assert published.read_csv(folder / "val.csv")[1:] == [
        ["data/images/0002000.jpg", "707-320"],
        ["data/images/0002001.jpg", "F/A-18"],
        ["data/images/0002002.jpg", "BAE 146-200"],
    ]


def test_cars_begin_with_the_year_and_the_published_order_is_an_alias(build):
    folder = build("cars196")
    prepare("cars196", folder)
    assert published.read_csv(folder / "test.csv")[2] == ["cars_test/00002.jpg", "2012 Audi S4 Sedan"]
    assert json.loads((folder / "aliases.json").read_text())["2012 Audi S4 Sedan"] == ["Audi S4 Sedan 2012"]


def year_last(name):
    year, _, rest = name.partition(" ")
    return f"{rest} {year}"


@pytest.mark.skipif(not LISTS.is_dir(), reason=f"no class names in {LISTS}")
@pytest.mark.parametrize(
    ("name", "file", "publish"),
    [
        pytest.param("flowers102", "oxford_flowers", None, id="flowers"),
        pytest.param("pets37", "pets", str, id="pets"),
        pytest.param("fgvc_aircraft", "fgvc_aircraft", str, id="aircraft"),
        pytest.param("cars196", "stanford_cars", year_last, id="cars"),
    ],
)
def test_class_names_are_those_of_the_paper(name, file, publish, build):
    names = (LISTS / f"{file}.txt").read_text().splitlines()
    folder = build(name) if publish is None else build(name, [publish(label) for label in names])
    prepare(name, folder)
    written = (folder / "classes.txt").read_text().splitlines()
    assert [normalize_name(label) for label in written] == [normalize_name(label) for label in names]


def test_stages_of_reason_rft_share_no_row_but_for_structure(build, stage_1):
    assert stage_1 == 1600
    folder = build("reason_rft")
    prepare("reason_rft", folder)
    rows = {path.stem: published.read_jsonl(path) for path in folder.glob("*.jsonl")}
    ids = {name: [row["id"] for row in part] for name, part in rows.items()}
    assert ids["counting_sft"] == ids["spatial_sft"] == ids["structure_sft"] == [0, 1, 2]
    assert ids["counting_grpo"] == ids["spatial_grpo"] == [3, 4]
    assert ids["structure_grpo"] == [0, 1, 2, 3, 4]
    assert rows["spatial_ood_left"][0]["image"] == ["images/train_images/a.png", "images/train_images/b.png"]
    assert len(rows) == 3 * 2 + 7
    task = Counting(style="think", val={"id": ReasonJSON(str(folder / "counting_id.jsonl"))})
    task.setup("validate")
    assert len(task.datasets("val")["id"]) == 2


@pytest.mark.parametrize("root", ["images", ".", "images/train_images", "test_images"])
def test_pictures_of_reason_rft_are_found_wherever_their_paths_begin(root, build):
    folder = build("reason_rft", 4, root)
    prepare("reason_rft", folder)
    (image,) = {row["image"] for row in published.read_jsonl(folder / "counting_grpo.jsonl")}
    assert (folder / image).is_file()


def test_options_of_geometry_are_in_the_question_and_questions_in_order(build):
    folder = build("geometry3k")
    prepare("geometry3k", folder)
    first, second = published.read_jsonl(folder / "val.jsonl")
    assert [first["id"], second["id"]] == ["val-2", "val-10"]
    assert first["problem"] == "Find x.\nA. 12\nB. 13\nC. 6 \\sqrt 3\nD. 15"
    assert (first["answer"], first["image"]) == ("C", "val/2/img_diagram.png")


def test_every_sixth_photograph_of_one_card_is_for_validation(build):
    folder = build("cards")
    prepare("cards", folder)
    rows = {split: published.read_jsonl(folder / f"{split}.jsonl") for split in ("train", "val", "test")}
    assert [row["id"] for row in rows["val"]] == ["IMG_train_7"]
    assert [row["id"] for row in rows["train"]] == [f"IMG_train_{i}" for i in (1, 2, 3, 4, 5, 8, 9)]
    assert [row["id"] for row in rows["test"]] == ["IMG_test_7", "IMG_test_9"]
    [first] = Grounding(train=ReasonJSON(str(folder / "val.jsonl"))).datasets("train").values()
    assert first[0].problem == "Locate the ten."
    assert first[0].solution.xyxy == (2, 2, 12, 14.5)


def test_the_first_eight_photographs_of_each_class_of_clothing_are_for_the_cold_start(build):
    folder = build("clothing")
    prepare("clothing", folder)
    rows = {split: published.read_csv(folder / f"{split}.csv")[1:] for split in ("cold", "train", "val", "test")}
    assert rows["cold"] == [[f"train/{name}/{i}.jpg", name] for name in ("hat", "t-shirt") for i in range(8)]
    assert rows["train"] == [["train/hat/8.jpg", "hat"], ["train/hat/9.jpg", "hat"], ["train/t-shirt/8.jpg", "t-shirt"]]
    assert rows["val"] == [["validation/hat/0.jpg", "hat"]]
    assert rows["test"] == [["test/t-shirt/0.jpg", "t-shirt"]]
    assert (folder / "classes.txt").read_text() == "hat\nt-shirt\n"


def test_each_box_of_nlvr_is_counted_and_searched_once(build):
    folder = build("nlvr")
    prepare("nlvr", folder)
    rows = {p.stem: published.read_jsonl(p) for p in folder.glob("*_*.jsonl")}
    assert [row["id"] for row in rows["counting_val"]] == ["6-0-a", "6-0-b", "6-0-c"]
    assert len(rows["counting_train"]) == 15
    first, second, third = rows["counting_train"][:3]
    assert (first["problem"], first["answer"], first["cot"]) == ("How many yellow objects are there?", 2, "1 0 0 1")
    assert (second["problem"], second["answer"]) == ("How many black objects are there?", 1)
    assert (third["problem"], third["answer"]) == ("How many blue objects are there?", 1)
    places = [row["answer"] for row in rows["grounding_train"] if row["id"].startswith("1-0")]
    assert places == [[40, 80, 60, 100], [0, 0, 30, 30]]  # the first has two of a kind; the last ends at the edge
    task = Grounding(val={"val": ReasonJSON(str(folder / "grounding_val.jsonl"))})
    task.setup("validate")
    sample = task.datasets("val")["val"][0]
    assert sample.images[0].size() == (100, 100)
    assert sample.images[0].open().getpixel((50, 90)) == (255, 0, 0)
    assert sample.images[0].open().getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("refs", ["refs(unc).p", "refs(umd).p", "refs.json"])
def test_every_expression_of_refcoco_is_a_row(refs, build):
    folder = build("refcoco", refs)
    prepare("refcoco", folder)
    first, second = published.read_jsonl(folder / "train.jsonl")
    assert first["answer"] == second["answer"] == [1, 2, 11, 14.5]
    assert (first["id"], second["id"]) == ("7-0", "7-1")
    assert "left cat" in first["problem"]
    assert len(published.read_jsonl(folder / "testA.jsonl")) == 1
    task = Grounding(val={"testA": ReasonJSON(str(folder / "testA.jsonl"))})
    task.setup("validate")
    assert task.datasets("val")["testA"][0].solution.xyxy == (4, 2, 14, 12)


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_pickle_that_asks_for_code_is_refused_and_runs_none(build, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = build("refcoco")
    (folder / "refs(unc).p").write_bytes(pickle.dumps([Harmful()]))
    assert "posix.mkdir" in refused("refcoco", folder, capsys)
    assert not Path("harm").exists()


def test_output_may_be_another_folder(build, tmp_path):
    folder = build("pets37")
    prepare("pets37", folder, "--output", str(tmp_path / "deep/pets"))
    assert published.read_csv(tmp_path / "deep/pets/test.csv")[1][0] == "images/Abyssinian_99.jpg"
    assert (tmp_path / "deep/pets/images").resolve() == (folder / "images").resolve()
    assert LabelCSV(str(tmp_path / "deep/pets/test.csv"))[0].images[0].open().mode == "RGB"
    assert not list(folder.glob("*.csv"))


def test_folders_of_one_name_get_links_of_their_own(tmp_path):
    linked = importlib.import_module("prepare.files").linked
    for split in ("train", "test"):
        (tmp_path / split / "dress").mkdir(parents=True)
    links = [linked(tmp_path / split / "dress", tmp_path / "rows") for split in ("train", "test", "train")]
    assert [link.name for link in links] == ["dress", "dress-1", "dress"]
    assert [link.resolve().parent.name for link in links] == ["train", "test", "train"]


def test_what_was_written_is_said(build, capsys):
    prepare("pets37", build("pets37"))
    assert "train (3 rows), test (1 rows)" in capsys.readouterr().out


NEEDED = [
    ("flowers102", "imagelabels.mat"),
    ("flowers102", "setid.mat"),
    ("flowers102", "jpg/image_00003.jpg"),
    ("pets37", "annotations/trainval.txt"),
    ("pets37", "images/Basset_Hound_12.jpg"),
    ("fgvc_aircraft", "data/variants.txt"),
    ("fgvc_aircraft", "data/images_variant_val.txt"),
    ("fgvc_aircraft", "data/images/0001000.jpg"),
    ("cars196", "devkit/cars_meta.mat"),
    ("cars196", "devkit/cars_train_annos.mat"),
    ("cars196", "cars_test_annos_withlabels.mat"),
    ("cars196", "cars_test/00001.jpg"),
    ("reason_rft", "train_jsons/A3-Visual-Counting-train-35k-cot.json"),
    ("reason_rft", "test_jsons/Visual-Counting-ood-test-1k.json"),
    ("reason_rft", "images/train_images/a.png"),
    ("reason_rft", "images/train_images/b.png"),
    ("geometry3k", "val/2/data.json"),
    ("geometry3k", "val/2/img_diagram.png"),
    ("refcoco", "instances.json"),
    ("refcoco", "refs(unc).p"),
    ("refcoco", "train2014/COCO_train2014_000000000001.jpg"),
    ("cards", "train.json"),
    ("cards", "test.json"),
    ("cards", "images/IMG_train_9.jpg"),
    ("nlvr", "dev.jsonl"),
    ("nlvr", "test.jsonl"),
    ("nlvr", "dev/dev-3-0-0.png"),
]


@pytest.mark.parametrize(("name", "path"), NEEDED)
def test_a_missing_file_is_named_in_one_line(name, path, build, capsys):
    folder = build(name)
    (folder / path).unlink()
    assert Path(path).name in refused(name, folder, capsys)


@pytest.mark.parametrize("name", SETS)
def test_a_missing_folder_is_named_in_one_line(name, tmp_path, capsys):
    assert "nowhere" in refused(name, tmp_path / "nowhere", capsys)


@pytest.mark.parametrize(("name", "path"), [(n, p) for n, p in NEEDED if not p.endswith((".jpg", ".png"))])
@pytest.mark.parametrize("content", [b"", b"\x80\x04\xff\x00junk", b"[1, 2]\n"], ids=["empty", "junk", "numbers"])
def test_a_damaged_file_is_named_in_one_line(name, path, content, build, capsys):
    folder = build(name)
    (folder / path).write_bytes(content)
    said = refused(name, folder, capsys)
    assert Path(path).name in said
    assert not list(folder.glob("*.csv"))


@pytest.mark.parametrize(
    ("name", "path", "content", "said"),
    [
        pytest.param("pets37", "annotations/test.txt", "Pug_1 1 2 1", "class 1 to be 'abyssinian'", id="two-names"),
        pytest.param("fgvc_aircraft", "data/images_variant_val.txt", "1 747-100", "variants.txt", id="unknown-variant"),
        pytest.param("geometry3k", "val/2/data.json", '{"choices": ["1", "2"]}', "`choices`", id="two-options"),
        pytest.param("refcoco", "refs(unc).p", pickle.dumps([{"split": "../x"}]), "`split`", id="split-is-a-path"),
        pytest.param("refcoco", "refs(unc).p", pickle.dumps({"a": 1}), "list of references", id="no-list"),
    ],
)
def test_wrong_content_is_refused(name, path, content, said, build, capsys):
    folder = build(name)
    (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in refused(name, folder, capsys)


def test_a_label_out_of_range_is_refused(build, capsys):
    folder = build("flowers102")
    published.savemat(folder / "imagelabels.mat", {"labels": [[1, 1, 103, 60, 0]]})
    assert "1 to 102" in refused("flowers102", folder, capsys)


@pytest.mark.parametrize("rows", [0, 3])
def test_too_few_rows_for_two_stages_are_refused(rows, build, capsys):
    assert "A3-Visual-Counting" in refused("reason_rft", build("reason_rft", rows), capsys)


def test_a_first_row_without_thoughts_is_refused(build, capsys):
    folder = build("reason_rft")
    path = folder / "train_jsons/A3-Visual-Counting-train-35k-cot.json"
    rows = json.loads(path.read_text())
    del rows[0]["cot"]
    path.write_text(json.dumps(rows))
    assert "row 0" in refused("reason_rft", folder, capsys)


def test_help_says_where_the_data_set_comes_from(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prepare_flowers102.py"])
    with pytest.raises(SystemExit) as stop:
        importlib.import_module("prepare_flowers102").main(["--help"])
    assert stop.value.code == 0
    assert "robots.ox.ac.uk" in capsys.readouterr().out
