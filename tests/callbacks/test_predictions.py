from __future__ import annotations

import contextlib
import io
import json
from random import Random

import pytest
from builders import make_completions
from checkpoints import loaded
from evaluation import TARGET, Alternating, Looking, evaluate, evaluator, scenes
from lightning.pytorch import Callback
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from training import counting, fit, grpo

from vrft_pl.answers import AnswerFrame, Box, Instance, Instances, Number
from vrft_pl.callbacks import PredictionWriter
from vrft_pl.callbacks.coco_results import category_ids
from vrft_pl.callbacks.evaluation import predictions
from vrft_pl.data import COCODetection, Detection, Source
from vrft_pl.metrics import Accuracy, COCOAveragePrecision, GroundingIoU
from vrft_pl.modules import PolicyModule
from vrft_pl.rewards import BoxIoU, Format, NumberMatch, Reward, Unread
from vrft_pl.rewards.panel import grades_of
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import RunFolder
from vrft_pl.runs.pictures import encoded
from vrft_pl.types import Sample

FRAME = AnswerFrame(100, 50, 0.1, 0.05)
CATEGORIES = {7: "dog", 3: "cat", 12: "emu"}
DOG, CAT = Instance((10.0, 5.0, 20.0, 15.0), "dog"), Instance((50.0, 5.0, 70.0, 45.0), "cat")


def described(solution, text, *metrics, frame=FRAME):
    sample = Sample("row 7", (), "Where?", solution, style="answer", tags=("id",))
    completions = make_completions([text], frame)
    for metric in metrics:
        if metric.judges(sample):
            metric.update(completions, [sample])
    (told,) = predictions(7, "id", [sample], completions, grades_of(metrics, [sample]))
    return told.record.row_of_json()


def test_a_row_holds_the_question_the_truth_and_what_became_of_the_answer():
    row = described(Number(3.0), "3", NumberMatch(), Accuracy(NumberMatch()), BoxIoU(), COCOAveragePrecision())
    assert row == {
        "step": 7,
        "rank": 0,
        "row": 0,
        "split": "id",
        "id": "row 7",
        "tags": ["id"],
        "problem": "Where?",
        "answer": "3",
        "completion": "3",
        "finish_reason": "stop",
        "scores": {"NumberMatch": 1.0, "Accuracy": 1.0},
        "parse_failures": {},
        "size": [100, 50],
    }


def test_a_row_says_why_no_answer_could_be_read():
    row = described(Number(3.0), "three or four", NumberMatch(), Format())
    assert row["scores"] == {"NumberMatch": 0.0, "Format": 1.0}
    assert row["parse_failures"] == {"NumberMatch": "malformed"}


class Refuses(Reward):
    """Reads no answer, for the reason that the answer names."""

    def grade_one(self, text, sample, frame):
        return Unread(text)


@pytest.mark.parametrize("reason", Unread)
def test_every_reason_is_written(reason):
    assert described(Number(3.0), reason.value, Refuses())["parse_failures"] == {"Refuses": reason.value}


def test_a_box_is_written_in_pixels_of_the_original_image():
    row = described(Box((10, 5, 20, 15)), "[100, 100, 500, 9e9]", GroundingIoU())
    assert row["answer"] == "[10, 5, 20, 15]"
    assert row["boxes"] == [[10.0, 5.0, 50.0, 50.0]]
    assert row["scores"] == {"GroundingIoU": pytest.approx(100 / 1800, abs=1e-6)}


def test_detected_boxes_carry_confidence_and_category():
    entries = [
        {"bbox": [100, 100, 200, 300], "score": 0.25, "label": "Dog"},
        {"bbox": [500, 0, 600, 1000], "label": "cat"},
        {"bbox": [500, 0, 600, 1000], "label": "fish"},
    ]
    row = described(Instances((DOG, CAT), ("dog", "cat"), "a.jpg"), json.dumps(entries), COCOAveragePrecision())
    assert row["boxes"] == [
        {"box": [10.0, 5.0, 20.0, 15.0], "confidence": 0.25, "category": "dog"},
        {"box": [50.0, 0.0, 60.0, 50.0], "confidence": 1.0, "category": "cat"},
    ]
    assert row["answer"].startswith("[{'Position': [10, 5, 20, 15], 'Confidence': 1.0, 'Label': 'dog'}")


@pytest.mark.parametrize("solution", [Box((10, 5, 20, 15)), Instances((DOG,), ("dog",), "a.jpg")], ids=["box", "list"])
@pytest.mark.parametrize(("text", "frame"), [("a dog?", FRAME), ("[[1, 2, 3, 4]]", None)], ids=["unread", "no-picture"])
def test_an_answer_that_cannot_be_read_has_no_boxes(solution, text, frame):
    assert "boxes" not in described(solution, text, frame=frame)


def written(folder):
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def alternating(checkpoint, **kwargs):
    module = PolicyModule(
        loaded(checkpoint),
        [NumberMatch(), COCOAveragePrecision()],
        eval_params=SamplingParams(6, 0.0),
        sampler=Looking(),
    )
    return module, Alternating(val={"few": scenes(3), "many": scenes(13, "snow")}, style="answer", **kwargs)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_every_sample_has_one_row_in_the_order_of_the_data(qwen3_vl, tmp_path, stage):
    module, task = alternating(qwen3_vl, eval_batch_size=3)
    numbers = evaluate(module, task, stage, callbacks=[PredictionWriter()], default_root_dir=tmp_path)
    rows = written(tmp_path)
    split = {"validate": "val", "test": "test"}[stage]
    samples = {part: [data[i] for i in range(len(data))] for part, data in task.datasets(split).items()}
    assert [(row["split"], row["id"]) for row in rows] == [(part, s.id) for part in samples for s in samples[part]]
    judged = [row["scores"]["NumberMatch"] for row in rows if row["split"] == "many" and row["scores"]]
    assert len(judged) == 7
    assert sum(judged) / 7 == pytest.approx(numbers[f"{split}/many/NumberMatch"])
    found = json.loads((tmp_path / "coco_results_many.json").read_text())
    boxes = [(s.id, box) for s, row in zip(samples["many"], rows[3:], strict=True) for box in row.get("boxes", [])]
    boxes.sort(key=lambda named: named[0])  # results go by the name of the picture
    assert [(entry["image_id"], entry["category_id"]) for entry in found] == [(name, "dog") for name, _ in boxes]
    assert [entry["score"] for entry in found] == pytest.approx([box["confidence"] for _, box in boxes], abs=1e-6)
    assert found
    assert found[0]["bbox"][:2] == pytest.approx(TARGET[:2])


def test_the_first_samples_of_each_part_have_their_pictures_kept(qwen3_vl, tmp_path):
    module, task = alternating(qwen3_vl, eval_batch_size=3)
    evaluate(module, task, callbacks=[PredictionWriter(pictures=9, max_side=16)], default_root_dir=tmp_path)
    folder, rows = RunFolder(tmp_path), list(RunFolder(tmp_path).predictions())
    samples = [data[i] for data in task.datasets("val").values() for i in range(len(data))]
    kept = [bool(row.pictures) for row in rows]
    assert kept == [True] * 3 + [True] * 4 + [False] * 9  # of the 5 of the first part it has 3 samples only
    assert all(
        list(row.pictures) == [picture.name for picture in encoded(sample.images, 16)]
        for row, sample in zip(rows, samples, strict=True)
        if row.pictures
    )
    assert folder.kept_pictures() == {name for row in rows for name in row.pictures}
    assert rows[0].size == (32, 32)
    assert Image.open(folder.picture(rows[0].pictures[0])).size == (16, 16)


def test_no_pictures_of_held_out_samples_are_kept_where_none_are_asked_for(qwen3_vl, tmp_path):
    evaluate(*alternating(qwen3_vl), callbacks=[PredictionWriter(pictures=0)], default_root_dir=tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".jsonl"}


class Interrupts(Callback):
    """Breaks an evaluation off when some of it is kept."""

    def on_validation_batch_end(self, *args):
        raise RuntimeError("interrupted")


def test_two_evaluations_by_one_writer_do_not_mix(qwen3_vl, tmp_path):
    module, task = alternating(qwen3_vl)
    writer, trainer = PredictionWriter(), {"default_root_dir": tmp_path}
    evaluate(module, task, callbacks=[writer], **trainer)
    first = (tmp_path / "predictions.jsonl").read_bytes()
    with pytest.raises(RuntimeError, match="interrupted"):
        evaluate(module, task, callbacks=[writer, Interrupts()], **trainer)
    evaluate(module, task, callbacks=[writer], **trainer)
    assert (tmp_path / "predictions.jsonl").read_bytes() == first


def test_a_writer_that_is_off_writes_nothing(qwen3_vl, tmp_path):
    evaluate(*alternating(qwen3_vl), callbacks=[PredictionWriter(enabled=False)], default_root_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("in_fit", [False, True], ids=["evaluations-only", "in-fit"])
def test_training_writes_its_last_evaluation_where_it_is_asked_to(qwen3_vl, tmp_path, in_fit):
    module = grpo(qwen3_vl, metrics=[NumberMatch()], eval_params=SamplingParams(6, 0.0))
    task = counting(size=2, val={"id": scenes(3)}, eval_batch_size=2)
    options = {"callbacks": [PredictionWriter(in_fit=in_fit)], "default_root_dir": tmp_path}
    fit(module, task, num_sanity_val_steps=2, **options)
    assert (tmp_path / "predictions.jsonl").exists() == in_fit
    if in_fit:
        texts = module.generate([task.datasets("val")["id"][i] for i in range(3)], 1, module.eval_params, 0).texts
        assert [row["completion"] for row in written(tmp_path)] == list(texts)


def test_a_module_of_other_making_is_left_alone(qwen3_vl, tmp_path):
    class Silent(PolicyModule):
        parts = None

        def validation_step(self, samples, batch_idx):
            return None

        def on_validation_epoch_end(self):
            return None

    evaluator(callbacks=[PredictionWriter()], default_root_dir=tmp_path).validate(
        Silent(loaded(qwen3_vl)), datamodule=counting(val={"id": scenes(2)}), verbose=False
    )
    assert not list(tmp_path.iterdir())


def coco_file(folder, size=64, images=9):
    """A COCO file with ids that are no positions, and its pictures."""
    rng = Random(0)
    dataset = {"images": [], "annotations": [], "categories": [{"id": i, "name": n} for i, n in CATEGORIES.items()]}
    for number in range(images):
        name = f"{number:04d}.png"
        Image.new("RGB", (size, size), (20 * number, 90, 90)).save(folder / name)
        dataset["images"].append({"id": 100 + 7 * number, "file_name": name, "width": size, "height": size})
        for _ in range(rng.randint(0, 4)):
            x, y = rng.randint(0, 40), rng.randint(0, 40)
            width, height = rng.randint(6, size - x), rng.randint(6, size - y)
            category = rng.choice([7, 3])
            row = {"id": len(dataset["annotations"]) + 1, "image_id": 100 + 7 * number, "category_id": category}
            row |= {"bbox": [x, y, width, height], "area": width * height, "iscrowd": int(rng.random() < 0.1)}
            dataset["annotations"].append(row)
    path = folder / "instances.json"
    path.write_text(json.dumps(dataset))
    return path


class Detector(PolicyModule):
    """Writes the true boxes, somewhat shifted, and some of its own making."""

    def generate(self, samples, group_size, params, seed):
        return make_completions([self.text(s) for s in samples], AnswerFrame(64, 64, 0.064, 0.064))

    def text(self, sample):
        rng, boxes = Random(sample.id), []
        for item in sample.solution.items:
            box = [v / 0.064 + rng.gauss(0, 40) for v in item.xyxy]
            boxes.append({"bbox": box, "score": rng.random(), "label": item.category})
        for _ in range(rng.randint(0, 2)):
            label = rng.choice([*sample.solution.categories, "fish"])
            boxes.append({"bbox": [100, 100, 100 + rng.random() * 600, 700], "score": rng.random(), "label": label})
        return json.dumps(boxes)


@pytest.mark.parametrize("ask", ["one", "all"])
def test_pycocotools_reads_the_results_and_agrees(qwen3_vl, tmp_path, ask):
    path = coco_file(tmp_path)
    source = COCODetection(str(path), str(tmp_path), ask=ask, negatives="all")
    module = Detector(loaded(qwen3_vl), metrics=[COCOAveragePrecision()])
    task = Detection(val={"coco/val": source}, style="answer", eval_batch_size=4)
    numbers = evaluate(module, task, callbacks=[PredictionWriter()], default_root_dir=tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        oracle = COCOeval(truth, truth.loadRes(str(tmp_path / "coco_results_coco%2Fval.json")), "bbox")
        oracle.evaluate()
        oracle.accumulate()
        oracle.summarize()
    logged = [numbers[f"val/coco/val/AP{name}"] for name in ("", "/AP50", "/AP75")]
    assert logged == pytest.approx(oracle.stats[:3].tolist(), abs=1e-6)
    assert 0.05 < numbers["val/coco/val/AP"] < 0.95


class Tied(Detector):
    """Is as sure of one box as of most others, and writes more than 100 about some pictures."""

    def text(self, sample):
        rng = Random(sample.id)
        boxes = [box | {"score": rng.choice([0.5, 1, 1])} for box in json.loads(super().text(sample))]
        if rng.random() < 0.3 and len(sample.solution.categories) == 1:
            corners = [(rng.randint(0, 500), rng.randint(0, 500)) for _ in range(120)]
            made_up = [{"bbox": [x, y, x + 300, y + 300], "score": 0.5} for x, y in corners]
            boxes = made_up[:60] + boxes + made_up[60:]
        return json.dumps(boxes)


@pytest.mark.parametrize("identify", [lambda i: 200 - 7 * i, lambda i: f"{99 - i}"], ids=["numbers", "text"])
@pytest.mark.parametrize("ask", ["one", "all"])
def test_pycocotools_agrees_on_ties_edges_and_more_than_100_boxes(qwen3_vl, tmp_path, ask, identify):
    path = coco_file(tmp_path, images=24)
    dataset = json.loads(path.read_text())
    ids = {image["id"]: identify(i) for i, image in enumerate(dataset["images"])}  # in another order than the names
    for image in dataset["images"]:
        image["id"] = ids[image["id"]]
    for row in dataset["annotations"]:
        row["image_id"] = ids[row["image_id"]]
        if row["id"] % 3 == 0:
            row["bbox"] = [-1, -0.5, 12 + row["id"] % 5, 10]  # passes the edges of the picture
    path.write_text(json.dumps(dataset))
    source = COCODetection(str(path), str(tmp_path), ask=ask, negatives="all")
    task = Detection(val={"coco": source}, style="answer", eval_batch_size=4)
    module = Tied(loaded(qwen3_vl), metrics=[COCOAveragePrecision()])
    numbers = evaluate(module, task, callbacks=[PredictionWriter()], default_root_dir=tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        oracle = COCOeval(truth, truth.loadRes(str(tmp_path / "coco_results_coco.json")), "bbox")
        oracle.evaluate()
        oracle.accumulate()
        oracle.summarize()
    logged = [numbers[f"val/coco/AP{name}"] for name in ("", "/AP50", "/AP75")]
    assert logged == pytest.approx(oracle.stats[:3].tolist(), abs=1e-6)
    assert 0.02 < numbers["val/coco/AP"] < 0.95


class Subset(Source):
    """Every other row of another source."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source) // 2

    def __getitem__(self, index):
        return self.source[2 * index]


def test_rows_drawn_from_a_coco_file_keep_its_ids(tmp_path):
    path = coco_file(tmp_path, images=2)
    source = COCODetection(str(path), str(tmp_path))
    path.unlink()  # a file of a gigabyte is not read twice
    assert [source[i].answer.image_id for i in range(len(source))] == [100, 100, 107, 107]
    assert category_ids(Subset(Subset(source))) == {"dog": 7, "cat": 3, "emu": 12}
    assert category_ids(Subset(scenes())) == category_ids(None) == {}


@pytest.mark.parametrize("bounds", [{"pictures": -1}, {"max_side": 0}])
def test_bounds_of_pictures_that_mean_nothing_are_refused(bounds):
    with pytest.raises(ValueError, match=f"`{next(iter(bounds))}`"):
        PredictionWriter(**bounds)
