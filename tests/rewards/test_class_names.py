"""LabelMatch on the class names of the four fine-grained data sets; the names are not in the repository."""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import pytest
from builders import make_completions, make_sample

from vrft_pl.answers import Label
from vrft_pl.names import normalize_name
from vrft_pl.rewards import Unread
from vrft_pl.rewards.answer import LabelMatch

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "class_names"
SIZES = {"fgvc_aircraft": 100, "oxford_flowers": 102, "pets": 37, "stanford_cars": 196}
LISTS = {name: (FOLDER / f"{name}.txt").read_text().splitlines() for name in SIZES if FOLDER.is_dir()}
pytestmark = pytest.mark.skipif(not LISTS, reason=f"no class names in {FOLDER}")


def scores(answer, names):
    completions = make_completions([f"<think>a</think><answer>{answer}</answer>"] * len(names))
    return LabelMatch().score(completions, [make_sample(Label(name)) for name in names])


def right(answer, names):
    return [name for name, score in zip(names, scores(answer, names).tolist(), strict=True) if score]


@pytest.mark.parametrize("dataset", SIZES)
def test_every_list_is_whole(dataset):
    assert len(set(LISTS[dataset])) == SIZES[dataset]


@pytest.mark.parametrize("dataset", SIZES)
def test_no_name_matches_another(dataset):
    names = LISTS[dataset]
    assert all(normalize_name(a) != normalize_name(b) for a, b in combinations(names, 2))
    assert all(right(name, names) == [name] for name in names[::10])


@pytest.mark.parametrize("dataset", SIZES)
def test_case_separators_articles_and_ends_do_not_matter(dataset):
    for name in LISTS[dataset]:
        spellings = {name, name.upper(), name.lower(), name.title(), name.swapcase()}
        for old, new in permutations(" _-", 2):
            spellings |= {spelling.replace(old, new) for spelling in tuple(spellings)}
        article = "an" if name[0].lower() in "aeiou" else "a"
        spellings |= {
            f"{before}{spelling}{after}"
            for spelling in tuple(spellings)
            for before in ("", "The ", f"{article} ", '"', "**")
            for after in ("", ".", "!", '"', "**", "\n")
        }
        samples = [make_sample(Label(name), "answer")] * len(spellings)
        assert LabelMatch().score(make_completions(tuple(spellings)), samples).all(), name


@pytest.mark.parametrize("dataset", SIZES)
@pytest.mark.parametrize("separator", [", ", " or ", "\n", " ", "/", "; "])
def test_a_list_of_classes_earns_nothing(dataset, separator):
    names = LISTS[dataset]
    assert not right(separator.join(names), names)
    assert not right(separator.join(names[:2]), names)
    assert not right(str(names[:2]), names)


@pytest.mark.parametrize("answer", ["", " ", ".", "2012", "sedan", "lily", "Sedan 2012", "the", "a", "Audi", "1", "2"])
@pytest.mark.parametrize("dataset", SIZES)
def test_a_part_of_many_names_earns_nothing(dataset, answer):
    """The published reward pays 117 of 196 cars for `2012`, 46 for `sedan`, and every class for no answer at all."""
    assert not right(answer, LISTS[dataset])


def test_a_number_at_the_end_is_not_the_name():
    """math-verify compares the last number of both: the published reward takes one car for another."""
    cars = LISTS["stanford_cars"]
    years = {name: name.split()[0] for name in cars}
    for name in cars[::7]:
        swapped = f"{' '.join(name.split()[1:])} {years[name]}"
        assert not right(swapped, [other for other in cars if other != name])
        assert not right(f"{name} 2012", cars)


def test_a_class_named_in_the_thoughts_does_not_count():
    names = LISTS["pets"]
    completions = make_completions([f"<think>{name}</think><answer>cat</answer>" for name in names])
    assert not LabelMatch().score(completions, [make_sample(Label(name)) for name in names]).any()


def test_no_answer_is_told_from_a_wrong_one():
    sample = make_sample(Label(LISTS["pets"][0]))
    answers = ["<think>a</think><answer></answer>", f"<think>{LISTS['pets'][0]}</think>"]
    assert [LabelMatch().grade_one(text, sample, None) for text in answers] == [Unread.EMPTY, Unread.NO_ANSWER]
