import pytest
import yaml
from ablation.builders import RATE, SCENES, ablation, recipe

from vrft_pl.ablation import Section, Stage
from vrft_pl.ablation.compose import merged, put, stage_config, test_config
from vrft_pl.types import InputError

test_config.__test__ = False


def test_nothing_shared_is_taken_from_a_recipe(tmp_path):
    path = tmp_path / "grpo.yaml"
    arguments = {
        "policy": {"class_path": "other"},
        "metrics": [{"class_path": "other"}],
        "eval_params": {"temperature": 1.0},
        "eval_samples": 3,
        "seed": 5,
        "group_size": 8,
    }
    config = {
        "seed_everything": 9,
        "data": {"class_path": "other"},
        "model": {"class_path": "vrft_pl.modules.GRPOModule", "init_args": arguments},
        "trainer": {"max_epochs": 3},
    }
    path.write_text(yaml.safe_dump(config))
    recipes = {"sft": recipe(tmp_path, "sft", "SFTModule"), "rft": recipe(tmp_path, "x", "GRPOModule")}
    recipes["rft"] = type(recipes["rft"])(str(path))
    made = stage_config(
        ablation(tmp_path, recipes=recipes), Stage("rft", "answer"), None, {"class_path": "rows"}, {}, 4
    )
    assert made["model"]["init_args"] == {
        "group_size": 8,
        "policy": {"class_path": "vrft_pl.policy.VLM", "init_args": {"checkpoint": "tiny"}},
        "metrics": [{"class_path": "vrft_pl.rewards.NumberMatch"}],
        "eval_params": {"temperature": 0.0},
    }
    assert made["data"] == {
        "class_path": "vrft_pl.data.Counting",
        "init_args": {"batch_size": 4, "style": "answer", "train": {"class_path": "rows"}},
    }
    assert made["seed_everything"] == 4
    assert "max_epochs" not in made["trainer"]


def test_values_of_the_search_stand_over_those_of_the_stage_and_these_over_the_recipes(tmp_path):
    recipes = {"sft": recipe(tmp_path, "sft", "SFTModule", set={RATE: 1.0, "trainer.gradient_clip_val": 2.0})}
    tried = ablation(tmp_path, recipes=recipes, arms={"SFT": "cot_sft"})
    made = stage_config(tried, Stage("sft", set={RATE: 2.0}), None, {}, {}, 0)
    assert made["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 2.0
    assert made["trainer"]["gradient_clip_val"] == 2.0
    made = stage_config(tried, Stage("sft", set={RATE: 2.0}), None, {}, {RATE: 3.0}, 0)
    assert made["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 3.0


def test_a_stage_starts_from_what_the_one_before_exported(tmp_path):
    made = stage_config(ablation(tmp_path), Stage("rft"), "runs/sft/export", {}, {}, 0)
    assert made["model"]["init_args"]["policy"]["init_args"]["checkpoint"] == "runs/sft/export"


def test_a_suite_is_judged_by_its_own_metrics_in_the_style_of_the_arm(tmp_path):
    tried = ablation(tmp_path)
    made = test_config(tried, tried.all_suites["target"], "answer", "export", None)
    assert made["data"]["init_args"] == {"batch_size": 4, "style": "answer", "test": {"snow": SCENES, "night": SCENES}}
    assert made["model"]["init_args"]["metrics"] == [{"class_path": "vrft_pl.rewards.NumberMatch"}]


def test_another_class_brings_its_own_arguments():
    base = {"loss": {"class_path": "A", "init_args": {"beta": 1}}, "lr": 1}
    assert merged(base, {"loss": {"class_path": "B"}}) == {"loss": {"class_path": "B"}, "lr": 1}
    assert merged(base, {"loss": {"init_args": {"x": 2}}})["loss"]["init_args"] == {"beta": 1, "x": 2}
    assert base == {"loss": {"class_path": "A", "init_args": {"beta": 1}}, "lr": 1}


def test_a_dotted_key_leads_into_lists():
    config = {"rewards": [{"weight": 1.0}, {"weight": 1.0}]}
    put(config, "rewards.1.weight", 2.0)
    put(config, "trainer.precision", "bf16")
    assert config == {"rewards": [{"weight": 1.0}, {"weight": 2.0}], "trainer": {"precision": "bf16"}}


@pytest.mark.parametrize("key", ["rewards.2.weight", "rewards.x", "name.x.y"])
def test_a_key_that_leads_nowhere_is_named(key):
    with pytest.raises(InputError, match=f"Expected `{key}` to lead to a value"):
        put({"rewards": [{}], "name": "text"}, key, 1)


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\0"])
def test_a_recipe_that_is_no_config_is_named(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    recipes = {"sft": type(recipe(tmp_path, "x", "SFTModule"))(str(tmp_path / "bad.yaml"))}
    with pytest.raises(InputError, match=r"Expected .*bad.yaml to be a config of `vrft_pl fit`"):
        stage_config(ablation(tmp_path, recipes=recipes, arms={"SFT": "cot_sft"}), Stage("sft"), None, {}, {}, 0)


@pytest.mark.parametrize(
    ("trainer", "expected"), [({}, 1), ({"devices": "auto"}, 1), ({"devices": 2}, 2), ({"devices": [3]}, [3])]
)
def test_a_run_takes_one_device_unless_it_is_told_how_many(tmp_path, trainer, expected):
    made = ablation(tmp_path, trainer=Section(trainer))
    suite = made.all_suites["target"]
    assert stage_config(made, Stage("sft"), None, SCENES, {}, 0)["trainer"]["devices"] == expected
    assert test_config(made, suite, "think", None, None)["trainer"]["devices"] == expected


def test_all_devices_that_there_are_is_told_at_the_start(tmp_path):
    with pytest.raises(InputError, match="Expected `trainer.devices` of an ablation to be a number"):
        stage_config(ablation(tmp_path, trainer=Section(devices=-1)), Stage("sft"), None, SCENES, {}, 0)
