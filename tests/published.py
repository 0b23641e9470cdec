"""Tiny copies of public data sets, in the layout in which they are published."""

from __future__ import annotations

import csv
import json
import pickle

import numpy as np
from PIL import Image
from scipy.io import savemat

CLASSES = ["Abyssinian", "american_bulldog", "Basset_Hound"]
VARIANTS = ["707-320", "F/A-18", "BAE 146-200"]
CARS = ["AM General Hummer SUV 2000", "Audi S4 Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), "grey").save(path)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def flowers102(folder):
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 1, 12, 60, 102]], dtype=np.uint8)})
    ids = {"trnid": [[1, 3]], "valid": [[4]], "tstid": [[2, 5]]}
    savemat(folder / "setid.mat", {name: np.array(value, dtype=np.uint16) for name, value in ids.items()})
    for i in range(1, 6):
        picture(folder / f"jpg/image_{i:05d}.jpg")


def pets37(folder, names=CLASSES):
    lines = [f"{name}_{10 + i} {i + 1} 1 {i + 1}" for i, name in enumerate(names)]
    put(folder / "annotations/trainval.txt", "#Image CLASS-ID SPECIES BREED ID\n" + "\n".join(lines))
    put(folder / "annotations/test.txt", f"{names[0]}_99 1 1 1\n")
    for line in [*lines, f"{names[0]}_99"]:
        picture(folder / f"images/{line.split()[0]}.jpg")


def fgvc_aircraft(folder, names=VARIANTS):
    put(folder / "data/variants.txt", "\n".join(names))
    for k, split in enumerate(("train", "val", "test")):
        ids = [f"{1000 * (k + 1) + i:07d}" for i in range(len(names))]
        put(folder / f"data/images_variant_{split}.txt", "\n".join(map(" ".join, zip(ids, names, strict=True))))
        for number in ids:
            picture(folder / f"data/images/{number}.jpg")


def cars196(folder, names=CARS):
    (folder / "devkit").mkdir()
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array([names], dtype=object)})
    fields = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    for split, path in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = [(1, i + 1, f"{i + 1:05d}.jpg") for i in range(len(names))]
        savemat(folder / path, {"annotations": np.array([rows], dtype=fields)})
        for _, _, name in rows:
            picture(folder / f"cars_{split}/{name}")


def reason_rft(folder, rows=5, root="images"):
    """Rows share a few pictures."""
    from prepare_reason_rft import TEST, TRAIN

    answers = {"counting": 3, "structure": "B", "spatial": "change_color(0, red)"}
    picture(folder / root / "train_images/a.png")
    picture(folder / root / "train_images/b.png")
    for name, file in (TRAIN | TEST).items():
        family = name.split("_")[0]
        images = ["train_images/a.png", "train_images/b.png"] if family == "spatial" else "train_images/a.png"
        row = {"image": images, "problem": "How many?", "answer": answers[family], "cot": "I see."}
        put(folder / file, json.dumps([{"id": i, **row} for i in range(rows if name in TRAIN else 2)]))


def geometry3k(folder):
    for split in ("train", "val", "test"):
        for number in (2, 10):
            data = {
                "problem_text": "Find x. ",
                "choices": ["12", "13", r"6 \sqrt 3", "15"],
                "answer": "C",
                "id": number,
            }
            put(folder / split / str(number) / "data.json", json.dumps(data))
            picture(folder / split / str(number) / "img_diagram.png")


REFS = [
    {
        "ref_id": 7,
        "ann_id": 5,
        "image_id": 1,
        "split": "train",
        "sentences": [{"sent": "left cat"}, {"sent": "the cat"}],
    },
    {"ref_id": 8, "ann_id": 6, "image_id": 1, "split": "testA", "sentences": [{"sent": "dog"}]},
]


def refcoco(folder, name="refs(unc).p"):
    coco = {
        "images": [{"id": 1, "file_name": "COCO_train2014_000000000001.jpg", "width": 32, "height": 24}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 12.5]},
            {"id": 6, "image_id": 1, "category_id": 1, "bbox": [4, 2, 10, 10]},
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    put(folder / "instances.json", json.dumps(coco))
    (folder / name).write_bytes(pickle.dumps(REFS, protocol=2) if name.endswith(".p") else json.dumps(REFS).encode())
    picture(folder / "train2014/COCO_train2014_000000000001.jpg")


def cards(folder):
    """Eight photographs of one card and one of two, out of order; three to test."""
    for split, sizes in {"train": [1, 1, 1, 2, 1, 1, 1, 1, 1], "test": [1, 2, 1]}.items():
        names = [f"IMG_{split}_{9 - i}.jpg" for i in range(len(sizes))]
        owners = [i for i, cards in enumerate(sizes) for _ in range(cards)]
        coco = {
            "images": [{"id": i, "file_name": name, "width": 32, "height": 24} for i, name in enumerate(names)],
            "annotations": [
                {"id": n, "image_id": i, "category_id": 1 + n % 2, "bbox": [n, 2, 10, 12.5]}
                for n, i in enumerate(owners)
            ],
            "categories": [{"id": 1, "name": "ten"}, {"id": 2, "name": "queen"}],
        }
        put(folder / f"{split}.json", json.dumps(coco))
        for name in names:
            picture(folder / "images" / name)


def clothing(folder):
    """Ten photographs of hats and nine of T-shirts to train on; one to validate and one to test on."""
    for split, counts in {"train": {"hat": 10, "t-shirt": 9}, "validation": {"hat": 1}, "test": {"t-shirt": 1}}.items():
        for name, count in counts.items():
            for i in range(count):
                picture(folder / split / name / f"{i}.jpg")


def nlvr(folder):
    """Six pictures of three boxes to develop on, the first under two sentences; one to test on."""

    def shape(colour, kind, x, y, size):
        return {"color": colour, "type": kind, "x_loc": x, "y_loc": y, "size": size}

    boxes = [
        [shape("Yellow", "circle", 10, 0, 20), shape("Yellow", "circle", 10, 80, 20)],
        [shape("Black", "square", 40, 80, 20)],
        [shape("#0099ff", "triangle", 0, 0, 30)],
    ]
    for split, ids in {"dev": ["1-0", "1-1", "2-0", "3-0", "4-0", "5-0", "6-0"], "test": ["7-0"]}.items():
        rows = [{"id": name, "image": f"{split}/{split}-{name}-0.png", "sentence": "", "boxes": boxes} for name in ids]
        put(folder / f"{split}.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
        for row in rows:
            page = Image.new("RGBA", (400, 100))
            for left in (40, 190):
                page.paste((255, 0, 0, 255), (left, 80, left + 20, 100))
            (folder / row["image"]).parent.mkdir(parents=True, exist_ok=True)
            page.save(folder / row["image"])


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text().splitlines()]
