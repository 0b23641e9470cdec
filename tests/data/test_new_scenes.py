"""Scenes of classification, detection, structure and spatial transformation."""

from __future__ import annotations

import ast
import hashlib
import itertools
import math
import re

import numpy as np
import pytest

from vrft_pl.data import (
    Classification,
    ClassificationScenes,
    Detection,
    DetectionScenes,
    Spatial,
    SpatialScenes,
    Structure,
    StructureScenes,
)
from vrft_pl.data.scenes import DOMAINS, HELD_OUT_PAIRS, OUTLINES, SceneImage, overlaps
from vrft_pl.data.scenes.structure import CELLS

FAMILIES = {
    ClassificationScenes: Classification,
    DetectionScenes: Detection,
    StructureScenes: Structure,
    SpatialScenes: Spatial,
}
FLAT = ("base", "pairs", "crowded", "shapes")
"""Domains with backgrounds of one grey."""
STEPS = {"left": (0, -1), "right": (0, 1), "front": (1, 0), "behind": (-1, 0)}
"""Rows down and columns to the right."""
SHIFTS = [(scenes, domain) for scenes in FAMILIES for domain in DOMAINS if domain != "base"]
SHIFTS.remove((ClassificationScenes, "crowded"))  # a crowd of one shape is one shape


def pixels(image):
    return np.asarray(image.open()).astype(int)


def fingerprint(record):
    return hashlib.sha256(b"".join(pixels(image).tobytes() for image in record.images)).hexdigest()


def pairs(shapes):
    return {(shape.kind, shape.colour) for shape in shapes}


@pytest.mark.parametrize("scenes", FAMILIES)
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_row_depends_on_seed_and_index_alone(scenes, domain):
    source, again = scenes(domain, size=9, seed=5), scenes(domain, size=3).with_seed(5)
    _ = source[1], source[0]
    assert source[2] == again[2]
    assert fingerprint(source[2]) == fingerprint(again[2])
    assert source[2].cot


@pytest.mark.parametrize("scenes", FAMILIES)
def test_no_row_of_training_is_held_out(scenes):
    source = scenes(size=150)
    data = FAMILIES[scenes](train=source, val={"id": source}, test={"id": source}, seed=3)
    seen = {
        split: {fingerprint(s) for part in data.datasets(split).values() for s in map(part.__getitem__, range(150))}
        for split in ("train", "val", "test")
    }
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]
    assert all(len(fingerprints) > 130 for fingerprints in seen.values())


@pytest.mark.parametrize(("scenes", "domain"), SHIFTS)
def test_every_domain_is_a_shift_from_base(scenes, domain):
    ours, base = ({fingerprint(record) for record in scenes(d, size=20)} for d in (domain, "base"))
    assert len(ours - base) > 10


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_class_is_the_shape_in_the_picture(domain):
    for record in ClassificationScenes(domain, size=30):
        (shape,) = record.images[0].shapes
        assert record.answer == shape.kind
        assert record.cot == f"{shape.colour} with {len(OUTLINES[shape.kind] or ())} corners"
        assert record.problem == "Which shape is in the picture?"
        assert 0 <= shape.box[0] < shape.box[2] <= 64
        assert 0 <= shape.box[1] < shape.box[3] <= 64


def test_every_shape_of_the_domain_is_a_class():
    source = ClassificationScenes(size=60)
    assert {names for i in range(60) for names in source.classes(i)} == {"circle", "square", "triangle"}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_instances_are_all_shapes_of_the_asked_colour(domain):
    for record in DetectionScenes(domain, size=40):
        (asked,), shapes = record.answer.categories, record.images[0].shapes
        assert record.problem == f"Detect all {asked} objects."
        found = [item.xyxy for item in record.answer.items]
        assert sorted(found) == sorted(shape.box for shape in shapes if shape.colour == asked)
        assert {item.category for item in record.answer.items} <= {asked}
        cells = [(int(y1 + y2) * 2 // 64 + 1, int(x1 + x2) * 2 // 64 + 1) for x1, y1, x2, y2 in found]
        assert cells == sorted(cells)
        assert record.cot == (", ".join(f"row {row} column {column}" for row, column in cells) or "none")


@pytest.mark.parametrize("domain", DOMAINS)
def test_shapes_to_detect_lie_inside_and_apart_and_the_box_is_that_of_the_pixels(domain):
    for record in DetectionScenes(domain, size=20, image_size=32):
        shapes = record.images[0].shapes
        assert all(0 <= b[0] < b[2] <= 32 and 0 <= b[1] < b[3] <= 32 for b in (s.box for s in shapes))
        assert not any(overlaps(a.box, b.box) for a, b in itertools.combinations(shapes, 2))
        for shape in shapes:
            rows, columns = np.nonzero((pixels(SceneImage((shape,), 32, (100, 100), 0)) != 100).any(axis=2))
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == shape.box


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.2, 50, 110), (1.0, 400, 400)])
def test_negatives_are_the_share_asked_for(share, low, high):
    source = DetectionScenes(size=400, negatives=share)
    empty = [i for i in range(400) if not source[i].answer.items]
    assert low <= len(empty) <= high
    assert all(source[i].images[0].shapes for i in empty)
    assert all((source.classes(i) == ()) == (i in empty) for i in range(400))


def test_a_picture_holds_as_many_objects_as_the_domain_and_the_argument_say():
    def counts(*args, **kwargs):
        return {len(record.images[0].shapes) for record in DetectionScenes(*args, size=60, **kwargs)}

    assert counts() == {1, 2, 3, 4}
    assert counts(max_objects=2) == {1, 2}
    assert counts("crowded") <= {4, 5, 6}
    assert max(counts("crowded")) == 6


def test_every_question_of_detection_has_a_picture_of_its_own():
    sources = [DetectionScenes(d, size=20, seed=s) for d in ("base", "night") for s in (0, 1)]
    assert len({record.answer.image for source in sources for record in source}) == 80


def coloured_cells(record):
    """Cells of the grid whose inside is not grey. Shape ``(rows, columns)``."""
    picture, side = pixels(record.images[0]), 64 // CELLS
    spread = picture.max(axis=2) - picture.min(axis=2)
    return np.array(
        [[spread[y + 3 : y + 6, x + 3 : x + 6].min() > 30 for x in range(0, 64, side)] for y in range(0, 64, side)]
    )


def measured(record):
    """What a person would count in the picture: area and perimeter of full cells."""
    cells = np.pad(coloured_cells(record), 1).astype(int)
    edges = sum(abs(np.diff(cells, axis=axis)).sum() for axis in (0, 1))
    return {"area": f"{cells.sum()} cm^2", "perimeter": f"{edges} cm"}


def true_text(record):
    """The text of the right answer."""
    return record.options["ABCD".index(record.answer)] if record.options else record.answer


@pytest.mark.parametrize("domain", FLAT)
def test_area_and_perimeter_are_what_one_counts_in_the_picture(domain):
    seen = set()
    for record in StructureScenes(domain, size=60):
        quantity, name = re.search(r"the ([a-z ]+) of the [a-z]+ ([a-z ]+)\?", record.problem).groups()
        if name != "right triangle":
            assert true_text(record) == measured(record)[quantity]
            seen.add(quantity)
    assert seen == {"area", "perimeter"}


@pytest.mark.parametrize("domain", ["base", "pairs", "crowded", "noise"])
def test_measures_of_a_triangle_are_those_of_its_corners(domain):
    seen = set()
    for record in StructureScenes(domain, size=60):
        quantity, name = re.search(r"the ([a-z ]+) of the [a-z]+ ([a-z ]+)\?", record.problem).groups()
        if name != "right triangle":
            continue
        seen.add(quantity)
        a, b, c = (np.array(corner) for corner in record.images[0].corners)
        area = abs(np.cross(np.append(b - a, 0), np.append(c - a, 0))[2]) / 2
        longest = max(math.dist(p, q) for p, q in itertools.combinations((a, b, c), 2))
        value, unit = true_text(record).split()
        number = math.sqrt(int(value[6:-1])) if value.startswith("\\sqrt{") else float(value)
        assert (number, unit) == (
            pytest.approx(area if quantity == "area" else longest),
            {"area": "cm^2"}.get(quantity, "cm"),
        )
    assert seen == {"area", "longest side"}


@pytest.mark.parametrize("domain", DOMAINS)
def test_half_of_the_questions_have_four_different_options(domain):
    records = list(StructureScenes(domain, size=200))
    with_options = [record for record in records if record.options]
    assert 70 < len(with_options) < 130
    assert {record.answer for record in with_options} == set("ABCD")
    for record in with_options:
        assert len(set(record.options)) == 4
        listed = "".join(f"\n{letter}. {text}" for letter, text in zip("ABCD", record.options, strict=True))
        assert record.problem.endswith("?" + listed)
        assert record.cot.endswith(true_text(record))
    for record in records:
        if not record.options:
            assert record.problem.endswith("?")
            assert record.cot.endswith(record.answer)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_figure_lies_on_the_grid_with_sides_of_the_domain(domain):
    corners = [record.images[0].corners for record in StructureScenes(domain, size=100)]
    assert all(0 <= v <= CELLS for figure in corners for corner in figure for v in corner)
    sides = {max(c[axis] for c in figure) - min(c[axis] for c in figure) for figure in corners for axis in (0, 1)}
    assert (min(sides), max(sides)) == DOMAINS[domain].sides


def test_figures_of_shifted_domains_are_not_those_of_training():
    def corners(domain):
        return {len(record.images[0].corners) for record in StructureScenes(domain, size=40)}

    assert corners("base") == {3, 4}
    assert corners("shapes") == corners("night") == corners("snow") == {6}


def test_held_out_pairs_of_figure_and_colour_never_occur_in_training():
    def seen(domain):
        records = StructureScenes(domain, size=150)
        return {({3: "triangle", 4: "rectangle"}[len(r.images[0].corners)], r.images[0].colour) for r in records}

    assert seen("pairs") == StructureScenes.held_out_pairs
    assert not seen("base") & StructureScenes.held_out_pairs
    assert len(seen("base")) == 2 * 4 - 2


def listed_objects(record):
    """The objects that the question lists: shape, size and colour."""
    listed = ast.literal_eval("[" + record.problem.split(": ")[1].split(". What")[0] + "]")
    assert [name for name, *_ in listed] == [str(i) for i in range(len(listed))]
    return [tuple(look) for _, *look in listed]


def drawn_objects(image):
    """The objects of a picture: shape, size, colour and cell."""
    names = {8: "small", 14: "large"}
    return [
        (s.kind, names[s.box[2] - s.box[0]], s.colour, ((s.box[1] + s.box[3]) // 32, (s.box[0] + s.box[2]) // 32))
        for s in image.shapes
    ]


def differences(before, after):
    """What differs between two objects, in words."""
    words = [f"{before[i]} to {after[i]}" for i in (1, 2, 0) if before[i] != after[i]]
    cells = zip(("row", "column"), before[3], after[3], strict=True)
    places = [f"{name} {a + 1} to {b + 1}" for name, a, b in cells if a != b]
    return words + places


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_calls_turn_the_first_picture_into_the_second(domain):
    for record in SpatialScenes(domain, size=60):
        first, last = map(drawn_objects, record.images)
        assert [look[:3] for look in first] == listed_objects(record)
        assert len(set(listed_objects(record))) == len(first)
        assert [cell for *_, cell in first] == sorted(cell for *_, cell in first)
        for objects in (first, last):
            cells = [cell for *_, cell in objects]
            assert len(set(cells)) == len(cells)
            assert all(0 <= v < 4 for cell in cells for v in cell)
        moved = {after[3] for before, after in zip(first, last, strict=True) if before[3] != after[3]}
        assert not moved & {cell for *_, cell in first}  # so that the order of the calls means nothing
        state = [list(look) for look in first]
        for name, i, value in re.findall(r"change_(\w+)\((\d), (\w+)\)", record.answer):
            if name == "position":
                state[int(i)][3] = tuple(a + b for a, b in zip(state[int(i)][3], STEPS[value], strict=True))
            else:
                state[int(i)][("shape", "size", "color").index(name)] = value
        assert [tuple(look) for look in state] == last != first
        assert record.cot == "; ".join(
            f"{i} {', '.join(differences(a, b))}" for i, (a, b) in enumerate(zip(first, last, strict=True)) if a != b
        )


def test_calls_differ_in_function_or_object_and_their_number_is_that_asked_for():
    counts = set()
    for record in SpatialScenes(size=80):
        calls = re.findall(r"change_(\w+)\((\d), \w+\)", record.answer)
        assert len(set(calls)) == len(calls)
        counts.add(len(calls))
    assert counts == {1, 2, 3, 4}
    assert {record.answer.count("(") for record in SpatialScenes(size=20, max_calls=1)} == {1}


def test_all_kinds_of_change_occur_and_are_the_classes():
    source = SpatialScenes(size=60)
    classes = [source.classes(i) for i in range(60)]
    assert {name for names in classes for name in names} == {
        f"change_{w}" for w in ("size", "color", "shape", "position")
    }
    assert all(name in source[i].answer for i, names in enumerate(classes) for name in names)


def test_what_did_not_change_looks_the_same_in_both_pictures():
    for record in SpatialScenes("night", size=20):
        first, last = record.images
        different = (pixels(first) != pixels(last)).any(axis=2)
        for before, after in zip(first.shapes, last.shapes, strict=True):
            x1, y1, x2, y2 = before.box
            assert different[y1:y2, x1:x2].any() == (before != after)


@pytest.mark.parametrize("scenes", [ClassificationScenes, DetectionScenes, SpatialScenes])
def test_held_out_pairs_occur_in_their_domain_and_never_in_training(scenes):
    first = {pair for record in scenes("pairs", size=150) for pair in pairs(record.images[0].shapes)}
    assert first == HELD_OUT_PAIRS
    trained = {pair for record in scenes(size=150) for image in record.images for pair in pairs(image.shapes)}
    assert not trained & HELD_OUT_PAIRS
    assert len(trained) == 3 * 4 - len(HELD_OUT_PAIRS)


@pytest.mark.parametrize(
    ("scenes", "kwargs", "message"),
    [
        pytest.param(DetectionScenes, {"negatives": 1.1}, "`negatives` to be a share .*, but got 1.1", id="negatives"),
        pytest.param(DetectionScenes, {"max_objects": 0}, "`max_objects` to be between 1 and 6, but got 0", id="none"),
        pytest.param(DetectionScenes, {"max_objects": 7}, "`max_objects` to be between 1 and 6, but got 7", id="many"),
        pytest.param(StructureScenes, {"image_size": 36}, "`image_size` to be a multiple of 8, but got 36", id="grid"),
        pytest.param(SpatialScenes, {"max_calls": 0}, "`max_calls` to be between 1 and 4, but got 0", id="no-call"),
        pytest.param(SpatialScenes, {"max_calls": 5}, "`max_calls` to be between 1 and 4, but got 5", id="calls"),
        pytest.param(ClassificationScenes, {"domain": "moon"}, "`domain` to be one of .* but got 'moon'", id="domain"),
    ],
)
def test_values_out_of_range_are_named(scenes, kwargs, message):
    with pytest.raises(ValueError, match=message):
        scenes(**kwargs)
