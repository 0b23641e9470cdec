import json
from pathlib import Path

import pytest
import yaml

from vrft_pl.__main__ import main

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
FAMILIES = ("classification", "detection", "grounding", "counting", "structure", "spatial")
STAGES = ("sft", "grpo")
EVERY = sorted(p for folder in ("configs", "experiments") for p in (ROOT / folder).rglob("*.yaml"))
HARDWARE, MODELS = (sorted((CONFIGS / folder).glob("*.yaml")) for folder in ("hardware", "model"))
PAPERS = sorted(path for path in EVERY if path.stem.startswith(("visual_rft", "reason_rft")))
SHORT = ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "1", "--data.init_args.eval_batch_size", "2"]
SHORT += ["--data.init_args.batch_size", "2", "--trainer.enable_progress_bar", "false", "--run.wandb", "off"]
SHORT += ["--model.init_args.eval_params.max_tokens", "24", "--run.evaluate_before", "false"]


def name(path):
    return path.relative_to(ROOT).as_posix()


def parse(*paths):
    with pytest.raises(SystemExit) as stop:
        main(["fit", *(word for path in paths for word in ("--config", str(path))), "--print_config"])
    return stop.value.code


@pytest.fixture
def merged(capsys, no_argv):
    """The values that a stack of files makes."""

    def show(*paths):
        assert parse(*paths) in (0, None)
        return yaml.safe_load(capsys.readouterr().out)

    return show


def policy_of(config):
    return config["model"]["init_args"]["policy"]["init_args"]


def test_every_family_has_both_stages_and_those_of_its_paper():
    names = {name(path) for path in EVERY}
    assert {f"configs/{family}/{stage}.yaml" for family in FAMILIES for stage in STAGES} <= names
    papers = dict.fromkeys(FAMILIES[:3], "visual_rft") | dict.fromkeys(FAMILIES[3:], "reason_rft")
    assert {f"configs/{family}/{paper}_{stage}.yaml" for family, paper in papers.items() for stage in STAGES} <= names
    assert "configs/quickstart.yaml" in names
    assert len(HARDWARE) >= 6
    assert len(MODELS) == 6


@pytest.mark.parametrize("path", [p for p in EVERY if p not in {*HARDWARE, *MODELS}], ids=name)
def test_config_agrees_with_the_signatures_it_configures(path, capsys, no_argv):
    assert parse(path) in (0, None)
    assert "class_path" in capsys.readouterr().out


@pytest.mark.parametrize("hardware", HARDWARE, ids=lambda p: p.stem)
def test_hardware_changes_where_a_family_runs_and_keeps_the_rest(hardware, merged):
    family = merged(CONFIGS / "grounding/grpo.yaml")
    config = merged(CONFIGS / "grounding/grpo.yaml", hardware)
    layer = yaml.safe_load(hardware.read_text())
    assert {key: config["trainer"][key] for key in ("accelerator", "devices")} == {
        key: layer["trainer"][key] for key in ("accelerator", "devices")
    }
    for part in ("rewards", "params", "optimizer", "scheduler", "group_size"):
        assert config["model"]["init_args"][part] == family["model"]["init_args"][part]
    assert config["data"]["init_args"]["train"] == family["data"]["init_args"]["train"]
    assert policy_of(config)["checkpoint"] == "tiny"


@pytest.mark.parametrize("model", MODELS, ids=lambda p: p.stem)
@pytest.mark.parametrize("stage", STAGES)
def test_model_replaces_the_embedded_one_on_any_hardware(model, stage, merged):
    layer = policy_of(yaml.safe_load(model.read_text()))
    config = merged(CONFIGS / f"counting/{stage}.yaml", model, CONFIGS / "hardware/gpu8_deepspeed_zero2.yaml")
    assert {key: policy_of(config)[key] for key in layer} == layer
    assert policy_of(config)["gradient_checkpointing"] is True
    assert policy_of(config)["dtype"] == "bfloat16"
    assert config["trainer"]["strategy"] == "deepspeed_stage_2"
    assert config["model"]["init_args"]["eval_params"]["max_tokens"] == 32
    assert layer["coordinates"] == ("resized_pixels" if "2_5" in model.stem else "permille")


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_an_update_of_a_paper_has_sixteen_prompts_on_one_gpu_and_on_eight(paper, merged):
    eight = merged(paper, CONFIGS / "hardware/gpu8_deepspeed_zero2.yaml")
    for config in (merged(paper), merged(paper, CONFIGS / "hardware/gpu_24gb_lora.yaml"), eight):
        trainer, data = config["trainer"], config["data"]["init_args"]
        assert trainer["devices"] * trainer["accumulate_grad_batches"] * data["batch_size"] == 16
    assert eight["trainer"]["precision"] == "bf16-true"
    assert policy_of(eight)["max_pixels"] == (480000 if paper.stem.startswith("reason") else 401408)


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_papers_read_what_the_tools_write(paper):
    """Paths are relative, below `data/`, and those that a tool writes are its names."""
    text = paper.read_text()
    config = yaml.safe_load(text)["data"]["init_args"]
    keys = ("path", "folder", "annotations", "image_root", "classes")
    paths = [value for key, value in walk(config) if key in keys and isinstance(value, str)]
    assert paths
    assert all(path.startswith("data/") for path in paths)
    if paper.stem.startswith("reason_rft"):
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(ROOT / "tools"))
            from prepare_reason_rft import TEST, TRAIN
        written = {*TEST, *(f"{family}_{stage}" for family in TRAIN for stage in STAGES)}
        assert {Path(path).stem for path in paths} <= written


def walk(value):
    """Keys and values at any depth."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, part
            yield from walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from walk(part)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_family_trains_a_step_and_is_judged_as_it_stands(family, stage, tmp_path, capsys, no_argv):
    short = [*SHORT, "--model.init_args.params.max_tokens", "24"] if stage == "grpo" else SHORT
    path = CONFIGS / family / f"{stage}.yaml"
    main(["fit", "--config", str(path), *short, "--run.folder", str(tmp_path / "run")])
    after = json.loads((tmp_path / "run/summary.json").read_text())["after"]
    splits = yaml.safe_load(path.read_text())["data"]["init_args"]["val"]
    assert {key.split("/")[1] for key in after} == set(splits)
    assert {f"val/{split}/Format" for split in splits} <= set(after)
    losses = [line for line in (tmp_path / "run/metrics.csv").read_text().splitlines() if line]
    assert "train/loss" in losses[0]


def test_misspelt_key_in_a_config_is_refused(tmp_path, capsys, no_argv):
    bad = tmp_path / "bad.yaml"
    bad.write_text((CONFIGS / "quickstart.yaml").read_text().replace("group_size", "grup_size"))
    assert parse(bad) == 2
    assert "grup_size" in capsys.readouterr().err
