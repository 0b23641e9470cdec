from __future__ import annotations

import random
import warnings
from collections import Counter

import pytest
from jsonargparse import ArgumentParser

from vrft_pl.data import (
    Classification,
    ClassificationScenes,
    Counting,
    CountingScenes,
    Detection,
    DetectionScenes,
    FewShot,
    First,
    Fraction,
    Grounding,
    GroundingScenes,
    Record,
    Source,
    VisionTask,
)
from vrft_pl.types import InputError


class Listed(Source):
    """Rows with given classes; pictures can't be opened."""

    def __init__(self, classes, streamed=False, blocks=None):
        self.names, self._streamed, self._blocks = [names.split() for names in classes], streamed, blocks

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        if self.names[index] == ["bad"]:
            raise InputError(f"rows.json, row {index}: expected something else.")
        return Record(f"id {index}", (None,), "Which?", self.names[index][0] if self.names[index] else "none")

    def classes(self, index):
        _ = self[index]
        return tuple(self.names[index])

    @property
    def streamed(self):
        return self._streamed

    @property
    def blocks(self):
        return self._blocks


FLOWERS = Listed(["rose", "lily", "rose", "tulip", "lily", "rose", "tulip", "rose", "lily", "tulip"] * 4)
MIXED = Listed(["dog cat", "dog", "", "cat", "dog cat bird", "", "bird", "dog", "", "cat bird", "dog", ""] * 5)


def few(source, shots, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return FewShot(source, shots, **kwargs)


@pytest.mark.parametrize("shots", [1, 2, 4, 8])
def test_each_class_has_its_shots(shots):
    drawn = few(FLOWERS, shots)
    assert Counter(record.answer for record in drawn) == dict.fromkeys(("rose", "lily", "tulip"), shots)
    assert len(drawn) == 3 * shots


@pytest.mark.parametrize("source", [FLOWERS, MIXED], ids=["one-class", "several"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("negatives", [0.0, 0.3])
def test_sets_of_fewer_shots_are_part_of_larger_ones(source, seed, negatives):
    negatives = negatives if source is MIXED else 0.0
    sets = [set(few(source, shots, seed=seed, negatives=negatives).rows) for shots in range(1, 8)]
    assert all(small < large for small, large in zip(sets, sets[1:], strict=False))


@pytest.mark.parametrize("seed", range(10))
def test_sets_are_nested_whatever_classes_come_together(seed):
    rng = random.Random(seed)
    source = Listed([" ".join(rng.sample("abcdef", rng.choice((1, 1, 2, 3)))) for _ in range(120)])
    sets = [set(few(source, shots, seed=seed).rows) for shots in range(1, 6)]
    assert all(small < large for small, large in zip(sets, sets[1:], strict=False))


def test_classes_are_drawn_from_independently():
    rows = few(Listed(["a"] * 30 + ["b"] * 30), 4).rows
    assert rows[:4] != [row - 30 for row in rows[4:]]


def test_a_row_of_several_classes_counts_for_each_and_none_is_drawn_in_vain():
    for seed in range(10):
        drawn = few(MIXED, 3, seed=seed)
        counts = Counter(name for i in range(len(drawn)) for name in drawn.classes(i))
        assert min(counts.values()) >= 3
        assert len(drawn) <= 9
        assert all(drawn.classes(i) for i in range(len(drawn)))
    only = Listed(["dog cat"] * 5)
    assert len(few(only, 2)) == 2


def test_the_draw_depends_on_its_seed_alone():
    sets = [few(FLOWERS, 2, seed=seed).rows for seed in (0, 0, 1, 2)]
    assert sets[0] == sets[1]
    assert len(set(map(tuple, sets))) == 3
    assert few(FLOWERS, 2).with_seed(7).rows == sets[0]


def test_another_class_does_not_change_the_rows_of_the_first():
    more = Listed([" ".join(names) for names in FLOWERS.names] + ["daisy"] * 5)
    rows = [row for row in few(more, 2).rows if row < len(FLOWERS)]
    assert rows == few(FLOWERS, 2).rows


def test_rows_stay_in_the_order_of_the_source():
    for subset in (few(FLOWERS, 3), Fraction(FLOWERS, 0.5), Fraction(FLOWERS, rows=7)):
        assert subset.rows == sorted(subset.rows)
        assert [record.id for record in subset] == [f"id {row}" for row in subset.rows] == subset.chosen()


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.25, 1), (0.5, 3), (0.6, 4)])
def test_negatives_are_the_share_of_the_set(share, expected):
    source = Listed(["dog", "cat", "bird", "", "", "", "", ""])
    drawn = few(source, 1, negatives=share)
    assert sum(not drawn.classes(i) for i in range(len(drawn))) == expected
    assert len(drawn) == 3 + expected


@pytest.mark.parametrize("too_few", ["warn", "error"])
def test_a_class_with_too_few_rows_is_named(too_few):
    source = Listed(["dog"] * 4 + ["cat"] * 2 + ["bird"])
    message = r"Expected at least 3 rows of each class, but got bird \(1\), cat \(2\)\."
    if too_few == "error":
        with pytest.raises(InputError, match=message):
            FewShot(source, 3, too_few="error")
    else:
        with pytest.warns(UserWarning, match=message):
            drawn = FewShot(source, 3)
        assert Counter(record.answer for record in drawn) == {"dog": 3, "cat": 2, "bird": 1}


def test_of_many_classes_with_too_few_rows_ten_are_named():
    with pytest.warns(UserWarning, match=r"but got c00 \(1\), .*c09 \(1\) and 5 more\.") as caught:
        FewShot(Listed([f"c{i:02}" for i in range(15)]), 2)
    assert "c10" not in str(caught[0].message)


def test_too_few_negatives_are_named():
    with pytest.warns(UserWarning, match=r"Expected at least 3 .*, but got rows without a class \(1\)"):
        assert len(FewShot(Listed(["a", "b", "c", ""]), 1, negatives=0.5)) == 4


def test_a_bad_row_is_kept_for_the_task_to_report():
    source = Listed(["dog", "bad", "dog", "cat", "bad"])
    drawn = few(source, 1)
    assert {1, 4} < set(drawn.rows)
    assert len(drawn) == 4
    assert "row 1" in drawn.chosen()
    with pytest.raises(InputError, match=r"rows.json, row 1: expected something else"):
        Classification(train=drawn, verify_images=False).datasets("train")
    task = Classification(train=drawn, on_bad_row="skip", verify_images=False)
    with pytest.warns(UserWarning, match="Skipped 2 of 4 rows of train/train"):
        assert len(task.datasets("train")["train"]) == 2


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"shots": 0}, "Expected `shots` to be at least 1 row of each class, but got 0", id="shots"),
        pytest.param({"shots": 1, "negatives": 1.0}, "`negatives` to be a share .* but got 1.0", id="all-negative"),
        pytest.param({"shots": 1, "negatives": -0.1}, "`negatives` to be a share .* but got -0.1", id="below-0"),
    ],
)
def test_values_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FewShot(FLOWERS, **kwargs)


def test_what_has_no_classes_can_not_be_drawn_from():
    with pytest.raises(
        InputError, match="FewShot needs the classes of all rows, but Listed is streamed. Use `Fraction`"
    ):
        FewShot(Listed(["dog"], streamed=True), 1)
    with pytest.raises(InputError, match="Expected rows with a class for few-shot sets, but none of 2 has one"):
        FewShot(Listed(["", ""]), 1)


@pytest.mark.parametrize(("rows", "expected"), [(1, 1), (7, 7), (39, 39), (40, 40), (99, 40)])
def test_the_first_rows_are_those_of_the_source_or_all(rows, expected):
    first = First(FLOWERS, rows)
    assert [record.id for record in first] == [f"id {row}" for row in range(expected)]
    assert [first.classes(row) for row in range(expected)] == [(name,) for (name,) in FLOWERS.names[:expected]]
    assert first.blocks is None
    with pytest.raises(IndexError):
        first[expected]


@pytest.mark.parametrize("rows", [0, -1])
def test_the_first_rows_are_at_least_one(rows):
    with pytest.raises(ValueError, match=f"Expected `rows` to be at least 1, but got {rows}"):
        First(FLOWERS, rows)


def test_the_first_rows_of_a_source_are_not_drawn():
    assert First(FLOWERS, 3).chosen() is None
    half = Fraction(FLOWERS, 0.5)
    assert First(half, 3).chosen() == half.chosen()[:3] == [record.id for record in First(half, 3)]


def test_the_first_rows_follow_the_source_in_all_else():
    blocks = [range(4), range(4, 8), range(8, 12)]
    first = First(Listed(["a"] * 12, streamed=True, blocks=blocks), 6)
    assert first.streamed
    assert first.blocks == [range(4), range(4, 6)]
    made = First(ClassificationScenes(size=20), 5)
    assert made.procedural
    assert [r.answer for r in made.with_seed(3)] == [r.answer for r in ClassificationScenes(size=20).with_seed(3)][:5]


@pytest.mark.parametrize(("fraction", "expected"), [(0.1, 4), (0.5, 20), (1.0, 40), (0.001, 1)])
def test_a_fraction_is_a_share_of_the_rows(fraction, expected):
    assert len(Fraction(FLOWERS, fraction)) == len(set(Fraction(FLOWERS, fraction).rows)) == expected
    assert Fraction(FLOWERS, fraction).rows == Fraction(FLOWERS, rows=expected).rows


@pytest.mark.parametrize("seed", range(5))
def test_a_smaller_fraction_is_part_of_a_larger_one(seed):
    sets = [set(Fraction(FLOWERS, fraction, seed=seed).rows) for fraction in (0.05, 0.1, 0.25, 0.5, 1)]
    assert all(small < large for small, large in zip(sets, sets[1:], strict=False))
    assert Fraction(FLOWERS, 0.25, seed=seed).rows != Fraction(FLOWERS, 0.25, seed=seed + 1).rows


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({}, "Expected one of `fraction` and `rows`, but got None and None", id="neither"),
        pytest.param(
            {"fraction": 0.5, "rows": 3}, "Expected one of `fraction` and `rows`, but got 0.5 and 3", id="both"
        ),
        pytest.param({"fraction": 0.0}, "`fraction` to be above 0 and at most 1, but got 0.0", id="nothing"),
        pytest.param({"fraction": 1.5}, "`fraction` to be above 0 and at most 1, but got 1.5", id="more-than-all"),
        pytest.param({"rows": 0}, "`rows` to be between 1 and the 40 of the source, but got 0", id="no-row"),
        pytest.param({"rows": 41}, "`rows` to be between 1 and the 40 of the source, but got 41", id="too-many"),
    ],
)
def test_fractions_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Fraction(FLOWERS, **kwargs)


def test_a_fraction_of_a_stream_is_streamed_in_blocks_and_names_rows_by_position():
    source = Listed(["dog"] * 30, streamed=True, blocks=[range(0, 10), range(10, 12), range(12, 30)])
    subset = Fraction(source, rows=9, seed=2)
    assert subset.streamed
    assert [i for block in subset.blocks for i in block] == list(range(9))
    for block in subset.blocks:
        stored = {next(k for k, b in enumerate(source.blocks) if subset.rows[i] in b) for i in block}
        assert len(stored) == 1
    assert subset.chosen() == [f"row {row}" for row in subset.rows]
    assert Fraction(FLOWERS, 0.5).blocks is None


def test_subsets_of_subsets_draw_from_what_was_drawn():
    half = Fraction(FLOWERS, 0.5)
    both = FewShot(half, 2)
    assert set(both.chosen()) < set(half.chosen())
    assert Counter(both.classes(i)[0] for i in range(len(both))) == dict.fromkeys(("rose", "lily", "tulip"), 2)


def test_scenes_of_a_subset_follow_the_seed_of_the_task():
    task = Classification(train=FewShot(ClassificationScenes(size=60), 2), seed=5)
    samples = task.datasets("train")["train"]
    ids = {samples[i].id for i in range(len(samples))}
    assert len(ids) == 6
    assert all("seed 5" in name for name in ids)
    assert Counter(samples[i].solution.name for i in range(6)) == dict.fromkeys(("circle", "square", "triangle"), 2)


def test_drawing_opens_no_picture_and_the_ids_are_told(monkeypatch):
    monkeypatch.setattr("vrft_pl.data.scenes.SceneImage.open", lambda self: pytest.fail("opened"))
    task = Detection(train=FewShot(DetectionScenes(size=80), 3, negatives=0.2))
    assert len(task.chosen()["train/train"]) == len(task.train_source) >= 12


def test_the_ids_told_are_those_that_are_trained_on():
    task = Detection(train=FewShot(DetectionScenes(size=40), 2), val={"v": Fraction(DetectionScenes(), rows=3)}, seed=5)
    for split, part in (("train", "train"), ("val", "v")):
        samples = task.datasets(split)[part]
        assert [samples[i].id for i in range(len(samples))] == task.chosen()[f"{split}/{part}"]


@pytest.mark.parametrize(
    ("task", "scenes"), [(Counting, CountingScenes), (Detection, DetectionScenes), (Grounding, GroundingScenes)]
)
def test_scenes_have_classes_to_draw_from(task, scenes):
    drawn = FewShot(scenes(size=200), 2)
    classes = {name for i in range(200) for name in drawn.source.classes(i)}
    assert len(drawn) <= 2 * len(classes)
    assert len(classes) < 20


def test_a_subset_is_written_in_yaml():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(VisionTask, "data")
    scenes = {"class_path": "vrft_pl.data.ClassificationScenes", "init_args": {"size": 40}}
    train = {"class_path": "vrft_pl.data.FewShot", "init_args": {"source": scenes, "shots": 4}}
    val = {"class_path": "vrft_pl.data.Fraction", "init_args": {"source": scenes, "fraction": 0.5}}
    config = {"class_path": "vrft_pl.data.Classification", "init_args": {"train": train, "val": {"id": val}}}
    task = parser.instantiate(parser.parse_object({"data": config})).data
    assert len(task.train_source) == 12
    assert len(task.val_sources["id"]) == 20


@pytest.mark.parametrize(
    ("family", "init_args"),
    [("Structure", {"choices": "always"}), ("Spatial", {"functions": ["turn"], "max_calls": 2})],
)
def test_tasks_with_own_arguments_are_written_in_yaml(family, init_args):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(VisionTask, "data")
    scenes = {"class_path": f"vrft_pl.data.{family}Scenes", "init_args": {"size": 4}}
    init_args = {**init_args, "val": {"id": scenes}, "style": "answer"}
    config = {"class_path": f"vrft_pl.data.{family}", "init_args": init_args}
    task = parser.instantiate(parser.parse_object({"data": config})).data
    assert (task.style, len(task.val_sources["id"])) == ("answer", 4)
