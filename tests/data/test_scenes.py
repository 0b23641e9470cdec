from __future__ import annotations

import hashlib
from itertools import islice

import numpy as np
import pytest

from vrft_pl.answers import Box
from vrft_pl.data import Counting, CountingScenes, Grounding, GroundingScenes
from vrft_pl.data.scenes import COLOURS, DOMAINS, HELD_OUT_PAIRS, OUTLINES, SceneImage, Shape, overlaps

SOURCES = (CountingScenes, GroundingScenes)
BACKGROUND = 100
RECORDED = {
    ("CountingScenes", "base"): ("111e12d853a96979", "ec7a9ed160da269b"),
    ("CountingScenes", "pairs"): ("55dfcc5ed0e88f79", "082a7e6b65d405e4"),
    ("CountingScenes", "crowded"): ("29675e50a103f796", "9abe1f5e0aebf939"),
    ("CountingScenes", "noise"): ("65567b1eda024fea", "a62a2e3501d02beb"),
    ("CountingScenes", "shapes"): ("208d72362ceed2ca", "b16eab0f06563321"),
    ("CountingScenes", "night"): ("4c52d10d361147e5", "03a75e9e0947bf6c"),
    ("CountingScenes", "snow"): ("3d02e1fb9c3c8d4c", "8e53db00ec376737"),
    ("GroundingScenes", "base"): ("51f8731f4ad24336", "4c1da2e5d91509cb"),
    ("GroundingScenes", "pairs"): ("2d46404f3951112e", "e545b7e386213228"),
    ("GroundingScenes", "crowded"): ("343bd749cc77aa7c", "4c1da2e5d91509cb"),
    ("GroundingScenes", "noise"): ("e4dd3757392c8438", "b0426ff2d3c59c47"),
    ("GroundingScenes", "shapes"): ("a7eb3aac3e434e6f", "b2f8718243df093f"),
    ("GroundingScenes", "night"): ("2a21f04d6d474520", "256eb1f6add86945"),
    ("GroundingScenes", "snow"): ("cc9dc52fafb48cc0", "89065bc919ab0f1b"),
}
"""Hashes of rows and of pixels, of scenes as the embedded policy was trained on."""


def pixels(image):
    return np.asarray(image.open()).astype(int)


def fingerprint(image):
    return hashlib.sha256(pixels(image).tobytes()).hexdigest()


def drawn_box(kind, box, size=64):
    """Return the box around the pixels that differ from a flat background."""
    red = pixels(SceneImage((Shape(kind, "red", box),), size, (BACKGROUND, BACKGROUND), 0))
    rows, columns = np.nonzero((red != BACKGROUND).any(axis=2))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def connected_regions(mask):
    """Count 8-connected regions."""
    left, regions = set(zip(*np.nonzero(mask), strict=True)), 0
    while left:
        regions, front = regions + 1, [left.pop()]
        while front:
            y, x = front.pop()
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            front.extend(near)
    return regions


def count_shapes(array, colour, tolerance):
    """Count regions of one exact colour near the named one: shapes may touch, but no two have the same jitter."""
    near = array[(abs(array - np.array(COLOURS[colour])) <= tolerance).all(axis=2)]
    return sum(connected_regions((array == exact).all(axis=2)) for exact in np.unique(near, axis=0))


@pytest.mark.parametrize(("scenes", "domain"), [(s, d) for s in SOURCES for d in DOMAINS])
def test_rows_are_those_that_the_embedded_policy_and_published_numbers_are_from(scenes, domain):
    rows, drawn = hashlib.sha256(), hashlib.sha256()
    for source in (scenes(domain, size=40, seed=3), scenes(domain, size=20, image_size=32, seed=2**31 + 5)):
        for record in source:
            scene = record.images[0]
            look = scene.size, scene.background, scene.noise_seed, scene.colour_jitter, scene.fade
            shapes = [(shape.kind, shape.colour, shape.box) for shape in scene.shapes]
            answer = list(record.answer.xyxy) if isinstance(record.answer, Box) else record.answer
            rows.update(repr((record.id, record.problem, answer, record.cot, shapes, *look)).encode())
            drawn.update(scene.open().tobytes())
    assert (rows.hexdigest()[:16], drawn.hexdigest()[:16]) == RECORDED[scenes.__name__, domain]


@pytest.mark.parametrize("scenes", SOURCES)
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_row_depends_on_seed_and_index_alone(scenes, domain):
    source, again = scenes(domain, size=9, seed=5), scenes(domain, size=3).with_seed(5)
    _ = source[1], source[0]
    assert source[2] == again[2]
    assert (pixels(source[2].images[0]) == pixels(again[2].images[0])).all()


@pytest.mark.parametrize("scenes", SOURCES)
def test_another_seed_gives_other_rows_and_leaves_the_source_alone(scenes):
    source = scenes(size=4)
    other = source.with_seed(1)
    assert source.seed == 0
    assert not {fingerprint(r.images[0]) for r in source} & {fingerprint(r.images[0]) for r in other}


@pytest.mark.parametrize("kind", OUTLINES)
@pytest.mark.parametrize(
    "box", [(3, 5, 25, 17), (0, 0, 64, 64), (10, 10, 22, 41), (7, 9, 17, 19), (40, 41, 57, 58)], ids=str
)
def test_a_shape_touches_all_four_edges_of_its_box(kind, box):
    assert drawn_box(kind, box) == box


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_true_box_is_the_box_of_the_pixels(domain):
    """The asked shape is the first; a picture without it differs inside its box and nowhere else."""
    for record in GroundingScenes(domain, size=20):
        scene = record.images[0]
        asked = scene.shapes[0]
        assert asked.box == record.answer.xyxy
        assert record.problem == f"Locate the {asked.colour} {asked.kind}."
        assert [(s.kind, s.colour) for s in scene.shapes].count((asked.kind, asked.colour)) == 1
        assert not any(overlaps(asked.box, other.box) for other in scene.shapes[1:])
        flat = SceneImage((asked,), scene.size, (BACKGROUND, BACKGROUND), 0)
        rows, columns = np.nonzero((pixels(flat) != BACKGROUND).any(axis=2))
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == asked.box


@pytest.mark.parametrize("domain", ["base", "pairs", "crowded", "shapes"])
def test_the_count_is_the_number_of_regions_of_the_asked_colour(domain):
    tolerance = DOMAINS[domain].colour_jitter + 1
    for record in CountingScenes(domain, size=15):
        asked = record.problem.split()[2]
        assert record.answer == count_shapes(pixels(record.images[0]), asked, tolerance)
        assert record.problem == f"How many {asked} objects are there?"


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_thoughts_of_a_count_add_up_row_by_row(domain):
    for record in CountingScenes(domain, size=20):
        asked, scene = record.problem.split()[2], record.images[0]
        rows = [0, 0, 0, 0]
        for shape in scene.shapes:
            rows[shape.box[1] * 4 // scene.size] += shape.colour == asked
        assert record.cot == " ".join(map(str, rows))
        assert sum(rows) == record.answer


def test_the_thoughts_of_a_box_name_the_cell_of_its_centre():
    for record in GroundingScenes(size=20):
        x1, y1, x2, y2 = record.answer.xyxy
        assert record.cot == f"row {(y1 + y2) * 2 // 64 + 1} column {(x1 + x2) * 2 // 64 + 1}"


@pytest.mark.parametrize("domain", DOMAINS)
def test_counts_and_distractors_stay_in_the_domain(domain):
    limits = DOMAINS[domain]
    records = list(CountingScenes(domain, size=150))
    counts = {record.answer for record in records}
    others = {len(record.images[0].shapes) - record.answer for record in records}
    assert (min(counts), max(counts)) == limits.counts
    assert (min(others), max(others)) == limits.distractors


@pytest.mark.parametrize("scenes", SOURCES)
@pytest.mark.parametrize("domain", DOMAINS)
def test_shapes_lie_inside_and_apart(scenes, domain):
    for record in scenes(domain, size=30, image_size=32):
        boxes = [shape.box for shape in record.images[0].shapes]
        assert all(0 <= b[0] < b[2] <= 32 and 0 <= b[1] < b[3] <= 32 for b in boxes)
        assert not any(overlaps(a, b) for i, a in enumerate(boxes) for b in boxes[:i])


def pairs(scenes, domain):
    return {(s.kind, s.colour) for record in scenes(domain, size=150) for s in record.images[0].shapes}


@pytest.mark.parametrize("scenes", SOURCES)
def test_held_out_pairs_occur_in_their_domain_and_never_in_training(scenes):
    assert pairs(scenes, "pairs") == HELD_OUT_PAIRS
    assert not pairs(scenes, "base") & HELD_OUT_PAIRS
    assert len(pairs(scenes, "base")) == 3 * 4 - len(HELD_OUT_PAIRS)


@pytest.mark.parametrize("domain", sorted(set(DOMAINS) - {"base"}))
def test_every_domain_is_a_shift_from_base(domain):
    assert DOMAINS[domain] != DOMAINS["base"]
    ours, base = (next(iter(CountingScenes(d))) for d in (domain, "base"))
    assert fingerprint(ours.images[0]) != fingerprint(base.images[0])


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_background_stays_in_the_greys_of_the_domain(domain):
    for record in islice(GroundingScenes(domain), 10):
        scene = record.images[0]
        low, high = scene.background
        assert (low, high) in DOMAINS[domain].backgrounds
        empty = pixels(SceneImage((), scene.size, scene.background, scene.noise_seed))
        assert empty.min() >= low
        assert empty.max() <= high


@pytest.mark.parametrize(("task", "scenes"), [(Counting, CountingScenes), (Grounding, GroundingScenes)])
def test_no_picture_of_training_is_held_out(task, scenes):
    source = scenes(size=300)
    data = task(train=source, val={"id": source}, test={"id": source}, seed=3)
    seen = {
        split: {
            fingerprint(s.images[0])
            for part in data.datasets(split).values()
            for s in map(part.__getitem__, range(300))
        }
        for split in ("train", "val", "test")
    }
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]
    assert all(len(fingerprints) > 290 for fingerprints in seen.values())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"domain": "moon"}, "Expected `domain` to be one of .*'base'.* but got 'moon'", id="domain"),
        pytest.param({"size": 0}, "Expected `size` to be at least 1 row, but got 0", id="size"),
        pytest.param({"image_size": 28}, "`image_size` to be a multiple of 4 of at least 32, but got 28", id="small"),
        pytest.param({"image_size": 66}, "`image_size` to be a multiple of 4 of at least 32, but got 66", id="odd"),
        pytest.param({"max_objects": 0}, "Expected `max_objects` to be between 1 and 4, but got 0", id="no-object"),
        pytest.param({"max_objects": 5}, "Expected `max_objects` to be between 1 and 4, but got 5", id="crowd"),
    ],
)
def test_values_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GroundingScenes(**kwargs)


@pytest.mark.parametrize("index", [3, -1])
def test_rows_end_at_the_size(index):
    source = CountingScenes(size=3)
    with pytest.raises(IndexError, match=f"Expected a row below 3, but got {index}"):
        source[index]
    assert len(list(source)) == 3


def test_a_picture_holds_at_most_the_objects_asked_for():
    assert {len(r.images[0].shapes) for r in GroundingScenes(size=40, max_objects=1)} == {1}
    assert max(len(r.images[0].shapes) for r in GroundingScenes(size=40, max_objects=4)) > 2
