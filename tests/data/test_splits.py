from __future__ import annotations

import pytest

from vrft_pl.data.splits import (
    COCO_BASE,
    COCO_FEWSHOT8,
    COCO_NOVEL,
    LVIS_FEWSHOT6,
    LVIS_NOVEL13,
    NAMED,
    resolve_categories,
)
from vrft_pl.names import normalize_name
from vrft_pl.types import InputError

LETTERS = {"horse_buggy": "r", "die": "r", "mug": "c", "person": "f"}


def test_base_and_novel_are_the_80_categories_of_coco():
    assert len(COCO_BASE) == 65
    assert len(COCO_NOVEL) == 15
    assert len({*COCO_BASE, *COCO_NOVEL}) == 80
    assert set(COCO_FEWSHOT8) < {*COCO_BASE, *COCO_NOVEL}
    assert len(LVIS_FEWSHOT6) == 6
    assert len(LVIS_NOVEL13) == 13


@pytest.mark.parametrize("name", NAMED)
def test_a_named_set_is_found_in_the_spelling_of_the_file(name):
    known = ["Something else", *(category.title().replace(" ", "-") for category in reversed(NAMED[name]))]
    found = resolve_categories(name, known, "a.json")
    assert set(found) == set(known[1:])
    assert [normalize_name(category) for category in found] == [normalize_name(category) for category in NAMED[name]]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        pytest.param(None, ("horse_buggy", "die", "mug", "person"), id="all"),
        pytest.param(["mug", "die", "mug"], ("mug", "die"), id="list-in-its-order-and-once"),
        pytest.param(["Horse buggy"], ("horse_buggy",), id="another-spelling"),
        pytest.param("lvis_rare", ("horse_buggy", "die"), id="rare"),
        pytest.param("lvis_common", ("mug",), id="common"),
        pytest.param("lvis_frequent", ("person",), id="frequent"),
    ],
)
def test_categories_are_chosen_by_name_or_frequency(chosen, expected):
    assert resolve_categories(chosen, list(LETTERS), "a.json", LETTERS) == expected


def test_unknown_names_are_listed_beside_the_known_ones():
    message = r"`categories` of a.json to be among \['die', 'horse_buggy', 'mug', 'person'\], but got \['dice', 'cow'\]"
    with pytest.raises(InputError, match=message):
        resolve_categories(["mug", "dice", "cow"], list(LETTERS), "a.json")
    with pytest.raises(InputError, match=r"'c99'\] and 50 others, but got \['mug'\]"):
        resolve_categories(["mug"], [f"c{i:02}" for i in range(100)] + [f"d{i}" for i in range(50)], "a.json")


def test_a_named_set_needs_all_of_its_categories():
    with pytest.raises(InputError, match=r"but got \['bus', 'train', 'fire hydrant', 'stop sign', 'cat', 'bed'"):
        resolve_categories("coco_fewshot8", ["dog"], "a.json")


def test_a_set_by_frequency_needs_frequencies():
    with pytest.raises(InputError, match="Expected a.json to hold categories of `frequency` r for 'lvis_rare'"):
        resolve_categories("lvis_rare", ["dog"], "a.json")


def test_names_that_differ_in_their_spelling_alone_are_no_two_categories():
    known = ["Hot dog", "cat", "hot_dog"]
    assert resolve_categories(["cat"], known, "a.json") == ("cat",)
    for chosen in (["hot_dog"], ["hot dog"], None):
        with pytest.raises(InputError, match=r"categories of a.json to differ .*, but got \['Hot dog', 'hot_dog'\]"):
            resolve_categories(chosen, known, "a.json")


@pytest.mark.parametrize(("chosen", "got"), [("coco_bass", "'coco_bass'"), ("dog", "'dog'"), ([], "an empty list")])
def test_a_choice_is_a_list_or_the_name_of_a_set(chosen, got):
    with pytest.raises(ValueError, match=f"Expected `categories` to .*, but got {got}"):
        resolve_categories(chosen, ["dog"], "a.json")
