import json

from PIL import Image

from vrft_pl.check.labels import check_labels
from vrft_pl.check.rows import read_rows
from vrft_pl.check.subject import Subject
from vrft_pl.data import Classification, ReasonJSON


def found(tmp_path, train, val=("oak",)):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    for name, answers in {"train": train, "val": val}.items():
        rows = [{"id": i, "image": "a.png", "problem": "Which?", "answer": a} for i, a in enumerate(answers)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    train_rows, val_rows = (ReasonJSON(str(tmp_path / f"{name}.json")) for name in ("train", "val"))
    task = Classification(train=train_rows, val={"id": val_rows})
    subject = Subject(None, task, None, None, None, tmp_path, None)
    subject.rows = [row for part in task.every_part() for row in read_rows(part, 100, 0)]
    return check_labels(subject)


def test_names_that_rewards_take_for_one_are_named(tmp_path):
    collision, *_ = found(tmp_path, ["oak", "Fire lily", "fire-lily", "fire lily"])
    assert collision.level == "warning"
    assert "1 classes are spelled in several ways" in collision.what
    assert "'Fire lily'" in collision.rows[0]
    assert "'fire-lily'" in collision.rows[0]
    assert "oak" not in collision.rows[0]


def test_held_out_classes_that_are_never_trained_are_named(tmp_path):
    new, counts = found(tmp_path, ["oak", "oak", "elm"], ["oak", "ash"])
    assert (new.level, new.rows) == ("note", ("ash",))
    assert counts.what.endswith("in 1 rows to 'oak' in 3.")
