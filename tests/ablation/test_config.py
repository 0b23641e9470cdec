import math
from pathlib import Path

import pytest
from ablation.builders import RATE, ablation, recipe

from vrft_pl.ablation import ARMS, ByDifficulty, ContrastSpec, Match, SearchOptions, Section, Stage, Suite
from vrft_pl.ablation.arms import arm_of
from vrft_pl.types import InputError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"arms": {}}, "Expected `arms` to name at least one", id="no-arm"),
        pytest.param({"seeds": [1, 1]}, "Expected `seeds` to name each once", id="seed-twice"),
        pytest.param({"rows": []}, "Expected `rows` to name at least one", id="no-size"),
        pytest.param({"match": Match(amount=0)}, "Expected `match` to be above 0", id="no-budget"),
        pytest.param(
            {"search": SearchOptions("snow/NumberMatch", seeds=[2, 3])},
            "seeds apart from those",
            id="search-on-the-seeds",
        ),
        pytest.param({"recipes": {}}, "Expected `recipes` to have .'sft'. for arm `SFT`", id="no-recipe"),
        pytest.param(
            {"arms": {"half": [Stage("sft", share=0.5)]}},
            "shares of the stages of arm `half` to be above 0 and add up to 1",
            id="shares",
        ),
        pytest.param(
            {"arms": {"less": [Stage("sft", share=1.5), Stage("sft", share=-0.5)]}},
            "shares of the stages of arm `less` to be above 0",
            id="share-below-0",
        ),
        pytest.param({"arms": {"x": [Stage("sft", share=math.nan)]}}, "shares .* to be above 0", id="share-of-nan"),
        *(
            pytest.param(
                {"arms": {"own": [Stage("sft", set={key: 1})]}},
                f"Expected arm `own` to leave to the ablation what all arms share, but it sets {key}",
                id=f"sets-{key}",
            )
            for key in (
                "seed_everything",
                "trainer.max_steps",
                "data.init_args.train.init_args.path",
                "data.init_args.style",
                "data",
                "trainer",
                "trainer.overfit_batches",
                "model.init_args.metrics",
            )
        ),
        *(
            pytest.param({"rows": [size], "draw": draw}, "Expected `rows` to be", id=f"{draw}-{size}")
            for draw, size in (
                ("rows", 0),
                ("rows", -3),
                ("rows", 8.5),
                ("rows", math.nan),
                ("shots", 1.5),
                ("fraction", 2.0),
                ("fraction", 0.0),
            )
        ),
        pytest.param({"seeds": [-1]}, "Expected `seeds` to be from 0", id="seed-below-0"),
        pytest.param({"match": Match(amount=math.inf)}, "Expected `match` to be above 0", id="no-end"),
        pytest.param({"match": Match("generated_tokens", 9, steps=0)}, "Expected `match` to be above 0", id="no-steps"),
        pytest.param(
            {"roles": {"dawn": "home"}},
            "Expected `roles` of suite `target` to name parts .*'dawn'",
            id="role-of-none",
        ),
        pytest.param(
            {"search": SearchOptions("snow/NumberMatch", seeds=[])}, "Expected `search`", id="search-unseeded"
        ),
        pytest.param(
            {"search": SearchOptions("sno/NumberMatch")}, "part of `data.init_args.val`.*'sno'", id="search-where"
        ),
        pytest.param(
            {"suites": {"other": Suite({"init_args": {}}, [])}},
            "of suite `other` to name the parts",
            id="suite-of-nothing",
        ),
        pytest.param(
            {"suites": {"other": Suite({"init_args": {"test": {"a": {}}}}, [])}},
            "`metrics` of suite `other` to name at least one",
            id="suite-unjudged",
        ),
        pytest.param({"metrics": []}, "Expected `metrics` to name at least one", id="unjudged"),
        pytest.param(
            {"metrics": [Section(class_path="a")] * 2}, "Expected `metrics` to name .* once", id="judged-twice"
        ),
        *(
            pytest.param({"name": name}, "Expected names of ", id=repr(name))
            for name in ("", " ", "a\n", "a\nb", "a\u2028b", "../a", "a\\b", "\0")
        ),
        pytest.param({"arms": {"a\nb": "base"}}, "Expected names of one line", id="arm-of-two-lines"),
        pytest.param(
            {"search": SearchOptions("snow/NumberMatch", seeds=[-1])}, "Expected `search.seeds`", id="search-seed"
        ),
        pytest.param(
            {"suites": {"a/b": Suite({}, [])}}, "names of ablation and `suites` without a slash", id="suite-slash"
        ),
        pytest.param(
            {"contrasts": [ContrastSpec("RFT", "SFT", "sonw/NumberMatch")]},
            "Expected `contrasts` to name a metric of target/night, target/snow.*'sonw/NumberMatch'",
            id="no-such-part",
        ),
        pytest.param(
            {"contrasts": [ContrastSpec("RFT", "RFT", "snow/NumberMatch")]}, "once, of two arms", id="arm-with-itself"
        ),
        pytest.param(
            {"contrasts": [ContrastSpec("RFT", "SFT", "snow/NumberMatch")] * 2}, "once, of two arms", id="asked-twice"
        ),
        pytest.param(
            {"contrasts": [ContrastSpec("RTF", "SFT", "snow/NumberMatch")]},
            "to name arms out of .*'RTF'",
            id="no-such-arm",
        ),
        pytest.param(
            {"contrasts": [ContrastSpec("RFT", "SFT", "snow/NumberMatch", 9)]}, "to name rows out of", id="no-such-size"
        ),
        pytest.param(
            {"suites": {"target": Suite({"init_args": {"test": {"a": {}}}}, [])}},
            "Expected another name than `target`",
            id="suite",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        ablation(tmp_path, **changes)


def test_an_ablation_without_rows_to_test_on_is_refused(tmp_path):
    data = ablation(tmp_path).data
    data["init_args"].pop("test")
    with pytest.raises(ValueError, match=r"Expected `data.init_args.test` to name the parts"):
        ablation(tmp_path, data=data)


def test_an_ablation_without_a_pool_is_refused(tmp_path):
    data = ablation(tmp_path).data
    data["init_args"]["train"] = None
    with pytest.raises(ValueError, match=r"Expected `data.init_args.train` to name the pool"):
        ablation(tmp_path, data=data)


@pytest.mark.parametrize("values", [[], [3e-4, 1e-4], [1e-4, 1e-4]], ids=["none", "descending", "twice"])
def test_an_axis_that_can_not_be_walked_is_refused(tmp_path, values):
    recipes = {
        "sft": recipe(tmp_path, "sft", "SFTModule", search={RATE: values}),
        "rft": recipe(tmp_path, "rft", "GRPOModule"),
    }
    with pytest.raises(ValueError, match=f"Expected `search.{RATE}` of recipe `sft` to name values"):
        ablation(tmp_path, recipes=recipes, search=SearchOptions("snow/NumberMatch"))


@pytest.mark.parametrize(("low", "high"), [(0.8, 0.2), (-0.1, 0.5), (0.5, 1.1)])
def test_shares_of_difficulty_are_in_order(low, high):
    with pytest.raises(ValueError, match="Expected `low` and `high` to be shares in order"):
        ByDifficulty(low=low, high=high)


def test_an_arm_is_shipped_or_a_list_of_stages_or_the_path_of_one(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs/examples"))
    assert arm_of("mine", "cot_sft_rft") is ARMS["cot_sft_rft"]
    assert arm_of("mine", [Stage("sft", "answer")]).asked_in == "answer"
    assert arm_of("mine", "arm.TWICE").stages[1].recipe == "rft"


@pytest.mark.parametrize(
    "path", ["rtf", "vrft_pl.nothing.ARM", "vrft_pl.ablation.arms.NONE", "vrft_pl.ablation.arms.ARMS"]
)
def test_what_is_no_arm_is_named(path):
    with pytest.raises(InputError, match=f"Expected .*{path.split('.')[0]}"):
        arm_of("mine", path)


def test_every_shipped_arm_uses_up_its_budget_and_is_judged_in_its_own_style():
    for arm in ARMS.values():
        assert not arm.stages or sum(stage.share for stage in arm.stages) == pytest.approx(1)
    assert {name for name, arm in ARMS.items() if arm.asked_in == "answer"} == {
        "base_answer",
        "ans_sft",
        "rft_no_thoughts",
    }


def test_values_are_searched_stage_by_stage(tmp_path):
    recipes = {
        "sft": recipe(tmp_path, "sft", "SFTModule", search={RATE: [1e-4, 3e-4]}),
        "rft": recipe(tmp_path, "rft", "GRPOModule", search={RATE: [1e-5]}),
    }
    tried = ablation(tmp_path, recipes=recipes, search=SearchOptions("snow/NumberMatch"))
    assert tried.searched(ARMS["cot_sft_rft"]) == {f"0.{RATE}": [1e-4, 3e-4], f"1.{RATE}": [1e-5]}
    assert tried.searched(ARMS["base"]) == {}
    assert ablation(tmp_path, recipes=recipes).searched(ARMS["cot_sft"]) == {}


def test_roles_of_parts_default_to_the_domain_trained_on(tmp_path):
    assert ablation(tmp_path).all_suites["target"].roles == {"snow": "in_domain", "night": "out_of_domain"}
