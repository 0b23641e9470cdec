from __future__ import annotations

import json
import sys
from types import ModuleType

import numpy as np
import pytest
from metrics.detections import answered, coco_dataset, coco_results, made_up, perturbed, question, write

from vrft_pl.answers import Instance
from vrft_pl.metrics import LVISAveragePrecision
from vrft_pl.metrics.detection import Asked
from vrft_pl.metrics.lvis import limit_detections
from vrft_pl.types import InputError

LEFT, RIGHT, ELSEWHERE = (0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 300.0, 100.0), (0.0, 300.0, 100.0, 400.0)
FREQUENCY = {"ant": "r", "bee": "c", "cow": "f", "emu": "f"}


def judge(metric, *cases):
    """Judge ``(sample, text)`` in one batch."""
    metric.update(answered([text for _, text in cases]), [sample for sample, _ in cases])
    return {name: value.item() for name, value in metric.values().items()}


def test_unmatched_boxes_are_excused_where_a_category_is_not_exhaustive():
    text = write([(ELSEWHERE, 0.9, "ant"), (LEFT, 0.5, "ant")])
    for names, expected in (((), 0.5), (("ant",), 1.0)):
        truth = question("1", "a", [Instance(LEFT, "ant")], ["ant"], not_exhaustive=names)
        assert judge(LVISAveragePrecision(FREQUENCY), (truth, text))["LVIS_AP"] == pytest.approx(expected)


def test_a_category_is_judged_where_it_is_known_to_be_present_or_absent():
    positive = (question("1", "a", [Instance(LEFT, "ant")], ["ant"]), write([(LEFT, 0.5, "ant")]))
    negative = (question("2", "b", [], ["ant"]), write([(LEFT, 0.9, "ant")]))
    unknown = (question("3", "c", [], ["bee"]), write([(LEFT, 0.9, "ant")]))
    assert judge(LVISAveragePrecision(FREQUENCY), positive, negative)["LVIS_AP"] == pytest.approx(0.5)
    assert judge(LVISAveragePrecision(FREQUENCY), positive, unknown)["LVIS_AP"] == 1


def test_frequencies_have_means_of_their_own():
    truth = question("1", "a", [Instance(LEFT, "ant"), Instance(RIGHT, "cow")], ["ant", "bee", "cow"])
    numbers = judge(LVISAveragePrecision(FREQUENCY, name="lvis"), (truth, write([(LEFT, 0.5, "ant")])))
    frequent = {name: numbers.get(f"lvis/AP{name}") for name in "rcf"}
    assert (numbers["lvis"], frequent) == (0.5, {"r": 1, "c": None, "f": 0})


def test_the_most_confident_boxes_of_an_image_count():
    few = Asked("ant", (), ((LEFT, 0.1), (LEFT, 0.95)), True)
    many = Asked("bee", (), tuple((RIGHT, i / 400) for i in range(400)), True)
    kept = limit_detections({"ant": {("a", 0): few, ("b", 0): few}, "bee": {("a", 0): many}})
    assert [score for _, score in kept["ant"]["a", 0].answers] == [0.95]
    assert [score for _, score in kept["bee"]["a", 0].answers] == [i / 400 for i in range(101, 400)]
    assert kept["ant"]["b", 0] == few


def test_a_frequency_is_rare_common_or_frequent():
    with pytest.raises(ValueError, match="Expected the frequency of `ant` to be r, c or f, but got 'x'"):
        LVISAveragePrecision({"ant": "x"})


CATEGORIES = [{"id": i, "name": name, "frequency": value} for i, (name, value) in enumerate(FREQUENCY.items())]


@pytest.mark.parametrize(
    "content",
    [FREQUENCY, {"images": [{"id": 1}], "annotations": [{"id": 1, "image_id": 1}], "categories": CATEGORIES}],
)
def test_frequencies_are_read_from_a_file(tmp_path, content):
    (tmp_path / "lvis.json").write_text(json.dumps(content))
    assert LVISAveragePrecision(str(tmp_path / "lvis.json")).frequency == FREQUENCY


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "{}", '{"categories": [{"name": "ant"}]}', '{"categories": [{"name": ["ant"], "frequency": "r"}]}'],
)
def test_a_file_without_frequencies_is_named(tmp_path, content):
    (tmp_path / "lvis.json").write_text(content)
    with pytest.raises(InputError, match="lvis.json"):
        LVISAveragePrecision(str(tmp_path / "lvis.json"))
    with pytest.raises(InputError, match="none.json, but it can't be read"):
        LVISAveragePrecision(str(tmp_path / "none.json"))


def test_every_category_needs_a_frequency():
    message = r"Expected `frequency` of LVIS_AP to hold every category, but it lacks \['bee', 'elk'\]"
    with pytest.raises(InputError, match=message):
        judge(LVISAveragePrecision({"ant": "r"}), (question("1", "a", [], ["elk", "bee", "ant"]), "[]"))


@pytest.fixture
def lvis(monkeypatch):
    for name in ("cv2", "matplotlib", "matplotlib.pyplot", "matplotlib.patches"):  # for drawing only
        stub = ModuleType(name)
        stub.Polygon = None
        monkeypatch.setitem(sys.modules, name, stub)
    monkeypatch.setattr(np, "float", float, raising=False)  # removed from numpy after the last release
    return pytest.importorskip("lvis", reason="needs `pip install --no-deps lvis`")


def test_random_detections_agree_with_the_evaluation_of_lvis(lvis):
    rng, categories = np.random.default_rng(0), list(FREQUENCY)
    truths = [made_up(rng, categories[:3], int(rng.integers(0, 9)), crowds=0.0) for _ in range(30)]
    answers = [perturbed(rng, items, categories, extra=8) for items in truths]
    dataset, cases = coco_dataset(truths, categories), []
    for i, (image, items) in enumerate(zip(dataset["images"], truths, strict=True)):
        present = {item.category for item in items}
        if i == 0:  # above the limit of 300; all of it is judged
            answers[0] += perturbed(rng, items, categories, extra=400)
        negative = {name for name in categories if name not in present and (i == 0 or rng.random() < 0.5)}
        partial = {name for name in present if rng.random() < 0.4}
        asked = sorted(present | negative)
        image["neg_category_ids"] = [categories.index(name) + 1 for name in negative]
        image["not_exhaustive_category_ids"] = [categories.index(name) + 1 for name in partial]
        for part in (asked[::2], asked[1::2]):
            kept = [item for item in items if item.category in part]
            other = i and len(part) > 1  # where one category is asked for, labels are not read
            boxes = [box for box in answers[i] if box[2] in part or (other and box[2] not in asked)]
            sample = question(f"{i} {part}", f"{i:03d}", kept, part, not_exhaustive=tuple(partial))
            cases.append((sample, write(boxes)))
    for category, count in FREQUENCY.items():
        dataset["categories"][categories.index(category)]["frequency"] = count
    truth = lvis.LVIS.__new__(lvis.LVIS)
    truth.dataset = dataset
    truth.logger = lvis.lvis.logging.getLogger("lvis")
    truth._create_index()
    evaluation = lvis.LVISEval(truth, coco_results(answers, categories), "bbox")
    evaluation.run()
    numbers = judge(LVISAveragePrecision(FREQUENCY), *[cases[i] for i in rng.permutation(len(cases))])
    names = {"AP": "LVIS_AP"} | {
        name: f"LVIS_AP/{name}" for name in ("AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")
    }
    for name, ours in names.items():
        assert numbers.get(ours, -1) == pytest.approx(evaluation.results[name], abs=1e-6), name
    assert len({evaluation.results[name] for name in ("AP", "APr", "APc", "APf")}) == 4
