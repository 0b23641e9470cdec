import csv
import functools
import importlib
import json
import math
import re
import sys
from itertools import cycle
from pathlib import Path

import published
import pytest
import yaml

from vrft_pl.__main__ import main
from vrft_pl.ablation import Runner, Store
from vrft_pl.algorithms import GroupAdvantage, GRPOLoss
from vrft_pl.commands.ablate import parsed
from vrft_pl.commands.cli import RunCLI
from vrft_pl.commands.in_process import InProcess

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
FAMILIES = ("classification", "detection", "grounding", "counting", "structure", "spatial")
STAGES = ("sft", "grpo")
FILES = sorted(p for folder in ("configs", "experiments") for p in (ROOT / folder).rglob("*.yaml"))
ABLATIONS = [path for path in FILES if "\narms:" in path.read_text()]
EVERY = [path for path in FILES if path not in ABLATIONS]
HARDWARE, MODELS = (sorted((CONFIGS / folder).glob("*.yaml")) for folder in ("hardware", "model"))
LOOP = sorted((CONFIGS / "in_the_loop").glob("*.yaml"))
LOOP_EXPERIMENT = ROOT / "experiments/data_in_the_loop/quickstart_400.yaml"
ALGORITHMS = sorted((CONFIGS / "algorithms").glob("*.yaml"))
RUN = [CONFIGS / family / f"{stage}.yaml" for family in (*FAMILIES, "pointing") for stage in STAGES]
BCCD = ROOT / "experiments/bccd_detection"
BCCD_LAYERS = [BCCD / "all_kinds.yaml", BCCD / "few_shot.yaml"]
LAYERS = {*HARDWARE, *MODELS, *ALGORITHMS, *LOOP, LOOP_EXPERIMENT, *BCCD_LAYERS}
ALONE = [path for path in EVERY if path not in {*LAYERS, *RUN}]
PAPERS = sorted(path for path in EVERY if path.stem.startswith(("visual_rft", "reason_rft")))
AUTHORS = ("visual_rft", "reason_rft")
PUBLISHED = {
    *(f"data/ReasonSeg/{split}" for split in ("train", "val", "test")),
    *(f"data/coco/annotations/instances_{split}2017.json" for split in ("train", "val")),
    *(f"data/lvis/lvis_v1_{split}.json" for split in ("train", "val")),
    *("data/coco", "data/coco/train2017", "data/coco/val2017"),
}
"""Read as they are."""
SHORT = ["--trainer.max_steps", "1", "--trainer.limit_val_batches", "1", "--data.init_args.eval_batch_size", "2"]
SHORT += ["--data.init_args.batch_size", "2", "--trainer.enable_progress_bar", "false", "--run.wandb", "off"]
SHORT += ["--model.init_args.eval_params.max_tokens", "24", "--run.evaluate_before", "false"]


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def parse():
    """Parses a stack of files with the parser of the command line, which is built once: that takes the most time."""
    parsers = []

    def keep(cli, parser, args):
        parsers.append(parser)
        sys.exit()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vrft_pl"])
        patch.setattr(RunCLI, "parse_arguments", keep)
        with pytest.raises(SystemExit):
            main(["fit"])

    @functools.cache
    def stacked(*paths):
        return parsers[0].parse_args([word for path in paths for word in ("--config", str(path))])

    return stacked


def policy_of(config):
    return config.model.init_args.policy.init_args


def test_every_family_has_both_stages_and_those_of_its_paper():
    names = {name(path) for path in EVERY}
    assert {f"configs/{family}/{stage}.yaml" for family in FAMILIES for stage in STAGES} <= names
    papers = dict.fromkeys(FAMILIES[:3], "visual_rft") | dict.fromkeys(FAMILIES[3:], "reason_rft")
    assert {f"configs/{family}/{paper}_{stage}.yaml" for family, paper in papers.items() for stage in STAGES} <= names
    assert {f"configs/{family}/today_grpo.yaml" for family in FAMILIES} <= names
    assert "configs/quickstart.yaml" in names
    assert (len(HARDWARE), len(MODELS)) == (16, 7)


@pytest.mark.parametrize("path", ALONE, ids=name)
def test_config_agrees_with_the_signatures_it_configures(path, parse):
    config = parse(path)
    assert config.model.class_path.startswith("vrft_pl.")
    assert config.data.class_path.startswith("vrft_pl.")


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("layer", BCCD_LAYERS, ids=name)
def test_layers_of_the_detection_experiment_go_over_both_stages(layer, stage, parse):
    config = parse(BCCD / f"{stage}.yaml", layer)
    train = config.data.init_args.train
    assert train.class_path.endswith("FewShot") == (layer.stem == "few_shot")
    source = train.init_args.source if layer.stem == "few_shot" else train
    assert len(source.init_args.categories) == (2 if layer.stem == "few_shot" else 3)
    assert config.model.init_args.eval_params.max_tokens == (400 if layer.stem == "few_shot" else 1200)


def test_the_command_shows_every_value_of_a_stack_of_files(capsys, no_argv):
    stack = [CONFIGS / "grounding/grpo.yaml", MODELS[0], CONFIGS / "hardware/deepspeed_zero2.yaml"]
    with pytest.raises(SystemExit) as stop:
        main(["fit", *(word for path in stack for word in ("--config", str(path))), "--print_config"])
    assert stop.value.code in (0, None)
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["strategy"] == "deepspeed_stage_2"


@pytest.mark.parametrize(("model", "hardware"), list(zip(cycle(MODELS), HARDWARE, strict=False)), ids=lambda p: p.stem)
def test_layers_replace_their_own_values_and_keep_the_rest(model, hardware, parse):
    family = parse(CONFIGS / "grounding/grpo.yaml")
    config = parse(CONFIGS / "grounding/grpo.yaml", model, hardware)
    machine = yaml.safe_load(hardware.read_text())
    layer = yaml.safe_load(model.read_text())["model"]["init_args"]["policy"]["init_args"]
    if hardware.stem == "gpu_24gb_lora":
        layer["max_pixels"] = 401408  # what fits its memory
    assert {key: policy_of(config)[key] for key in layer} == layer
    assert layer["coordinates"] == ("resized_pixels" if "2_5" in model.stem else "permille")
    assert {key: config.trainer[key] for key in machine["trainer"] if key != "strategy"} == {
        key: value for key, value in machine["trainer"].items() if key != "strategy"
    }
    if "model" in machine:
        assert policy_of(config).gradient_checkpointing is True
        assert config.data.init_args.batch_size == 1
    for part in ("rewards", "params", "eval_params", "optimizer", "scheduler", "group_size"):
        assert config.model.init_args[part] == family.model.init_args[part]
    assert config.data.init_args.train == family.data.init_args.train


def test_what_decides_in_the_loop_goes_over_the_quickstart_one_by_one_and_together(parse):
    plain = parse(CONFIGS / "quickstart.yaml")
    alone = [parse(CONFIGS / "quickstart.yaml", path) for path in LOOP]
    assert all(config != plain for config in alone)
    together = parse(CONFIGS / "quickstart.yaml", *LOOP)
    callbacks = [{callback.class_path for callback in config.trainer.callbacks or ()} for config in (*alone, together)]
    assert callbacks[-1] == set().union(*callbacks[:-1])


def test_the_experiment_of_what_decides_in_the_loop_has_fewer_rows_and_a_curve(parse, monkeypatch):
    monkeypatch.syspath_prepend(str(LOOP_EXPERIMENT.parent))
    config = parse(CONFIGS / "quickstart.yaml", LOOP_EXPERIMENT, *LOOP[:1])
    assert config.data.init_args.train.init_args.size == 400
    assert [callback.class_path for callback in config.trainer.callbacks][:1] == ["compare.Curve"]


def built(config):
    """An object and what it is made of, from ``class_path`` and ``init_args``."""
    if not isinstance(config, dict) or "class_path" not in config:
        return config
    module, _, kind = config["class_path"].rpartition(".")
    arguments = {key: built(value) for key, value in (config.get("init_args") or {}).items()}
    return getattr(importlib.import_module(module), kind)(**arguments)


def alike(one, other):
    """Whether two objects have equal values at any depth."""
    if not hasattr(one, "__dict__"):
        return one == other
    return type(one) is type(other) and all(alike(value, vars(other)[key]) for key, value in vars(one).items())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_twin_of_a_paper_trains_on_its_rows_and_takes_todays_models(family, parse):
    (paper,) = (path for path in PAPERS if path.parent.name == family and path.stem in {f"{p}_grpo" for p in AUTHORS})
    twin = CONFIGS / family / "today_grpo.yaml"
    theirs, ours = parse(paper), parse(twin)
    assert ours.data == theirs.data
    assert (ours.trainer.max_steps, ours.trainer.max_epochs) == (theirs.trainer.max_steps, theirs.trainer.max_epochs)
    assert policy_of(ours).checkpoint == "Qwen/Qwen3-VL-2B-Instruct"
    for model in MODELS:
        layer = yaml.safe_load(model.read_text())["model"]["init_args"]["policy"]["init_args"]
        assert {key: policy_of(parse(twin, model))[key] for key in layer} == layer


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_the_twin_of_a_paper_trains_a_step_on_scenes_with_the_embedded_policy(family, tmp_path, no_argv):
    """Its rewards, loss, advantage, window and scheduler are what stands there; rows, policy and size are small."""
    twin, layer = CONFIGS / family / "today_grpo.yaml", tmp_path / "small.yaml"
    policy = {"checkpoint": "tiny", "max_pixels": None}
    module = {"policy": {"init_args": policy}, "group_size": 4, "params": {"max_tokens": 24}, "window": 2}
    trainer = {"accelerator": "cpu", "precision": "32-true", "max_steps": 2, "max_epochs": None}
    scenes = yaml.safe_load((CONFIGS / family / "grpo.yaml").read_text())["data"]
    scenes["init_args"] |= {"batch_size": 1, "num_workers": 0, "test": None}
    small = {"trainer": {**trainer, "accumulate_grad_batches": 1}, "model": {"init_args": module}, "data": scenes}
    layer.write_text(yaml.safe_dump(small))
    short = ["--config", str(layer), *SHORT, "--trainer.max_steps", "2", "--data.init_args.batch_size", "1"]
    main(["fit", "--config", str(twin), *short, "--run.folder", str(tmp_path / "run")])
    with (tmp_path / "run/metrics.csv").open() as file:
        logged = [(key, float(value)) for row in csv.DictReader(file) for key, value in row.items() if value]
    assert all(math.isfinite(value) for _, value in logged)
    assert sum(key == "train/loss" for key, _ in logged) == 2


@pytest.mark.parametrize("path", ALGORITHMS, ids=lambda p: p.stem)
def test_an_algorithm_replaces_what_a_family_had(path, parse):
    layer = yaml.safe_load(path.read_text())["model"]["init_args"]
    config = parse(CONFIGS / "counting/grpo.yaml", path).model.init_args
    for part in ("loss", "advantage"):
        assert alike(built(config[part].as_dict()), built(layer[part]))


def test_the_page_of_algorithms_names_every_preset_and_its_lines():
    page = (ROOT / "vrft_pl/algorithms/README.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| (`(?:loss|advantage): .*`) \|$", page, re.MULTILINE)
    assert sorted(preset for preset, _ in rows) == [path.stem for path in ALGORITHMS]
    defaults = {"loss": GRPOLoss(), "advantage": GroupAdvantage()}
    for preset, lines in rows:
        told = {k: built(v) for line in lines.split("<br>") for k, v in yaml.safe_load(line.strip("`")).items()}
        layer = yaml.safe_load((CONFIGS / f"algorithms/{preset}.yaml").read_text())["model"]["init_args"]
        for part, value in {**defaults, **told}.items():
            assert alike(value, built(layer[part])), preset


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_an_update_of_a_paper_has_sixteen_prompts(paper, parse):
    config = parse(paper)
    assert config.trainer.accumulate_grad_batches * config.data.init_args.batch_size == 16
    assert (config.trainer.devices, config.trainer.precision, policy_of(config).dtype) == (1, "bf16-mixed", "float32")


@pytest.mark.parametrize("paper", ["detection/visual_rft_grpo.yaml", "spatial/reason_rft_sft.yaml"])
def test_eight_gpus_keep_the_batch_and_the_pictures_of_a_paper(paper, parse):
    config = parse(CONFIGS / paper, CONFIGS / "hardware/deepspeed_zero2.yaml")
    assert config.trainer.devices * config.trainer.accumulate_grad_batches * config.data.init_args.batch_size == 16
    assert (config.trainer.precision, policy_of(config).dtype) == ("bf16-true", "bfloat16")
    assert policy_of(config).max_pixels == (480000 if "reason" in paper else 401408)


@pytest.fixture(scope="module")
def readable(tmp_path_factory):
    """Paths that are published, and those that the tools write from tiny copies of what is."""
    paths = set(PUBLISHED)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        patch.setattr(importlib.import_module("prepare_reason_rft"), "STAGE_1", 3)
        for data in ("fgvc_aircraft", "reason_rft"):
            folder, output = tmp_path_factory.mktemp(data), tmp_path_factory.mktemp("output")
            getattr(published, data)(folder)
            importlib.import_module(f"prepare_{data}").prepare(folder, output)
            paths |= {f"data/{data}/{path.name}" for path in output.iterdir()}
    return paths


@pytest.mark.parametrize("paper", PAPERS, ids=name)
def test_papers_read_what_is_published_or_the_tools_write(paper, readable):
    keys = ("path", "folder", "annotations", "image_root", "classes")
    config = yaml.safe_load(paper.read_text())["data"]["init_args"]
    paths = {value for key, value in walk(config) if key in keys and isinstance(value, str)}
    assert paths
    assert paths <= readable


def walk(value):
    """Keys and values at any depth."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, part
            yield from walk(part)


@pytest.mark.parametrize("path", RUN, ids=name)
def test_family_trains_a_step_and_is_judged_as_it_stands(path, tmp_path, capsys, no_argv):
    short = [*SHORT, "--model.init_args.params.max_tokens", "24"] if path.stem == "grpo" else SHORT
    if "BlindAccuracy" in path.read_text():  # judges many samples apart from the evaluation, however short that is
        short = [*short, "--data.init_args.eval_batch_size", "16"]
    main(["fit", "--config", str(path), *short, "--run.folder", str(tmp_path / "run")])
    config = yaml.safe_load(path.read_text())
    model, splits = config["model"]["init_args"], set(config["data"]["init_args"]["val"])
    after = json.loads((tmp_path / "run/summary.json").read_text())["after"]
    judges = {judge_name(judge) for judge in model.get("metrics", model.get("rewards"))}
    own = judges - {"Format"}
    for names in own, {f"parse_failures/{judge}" for judge in own}, judges & {"Format"}:
        assert {key.split("/")[1] for key in after if key.split("/", 2)[2] in names} == splits
    assert all(0 <= value <= 1 for value in after.values())
    with (tmp_path / "run/metrics.csv").open() as file:
        logged = {key: float(value) for row in csv.DictReader(file) for key, value in row.items() if value}
    assert math.isfinite(logged["train/loss"])
    rewards = {f"train/reward/{judge_name(reward)}" for reward in model.get("rewards", [])}
    assert len(rewards & logged.keys()) >= min(2, len(rewards))  # that of the answer and that of its form


def judge_name(config):
    return config.get("init_args", {}).get("name", config["class_path"].split(".")[-1])


def test_misspelt_key_in_a_config_is_refused(tmp_path, capsys, parse):
    bad = tmp_path / "bad.yaml"
    bad.write_text((CONFIGS / "quickstart.yaml").read_text().replace("group_size", "grup_size"))
    with pytest.raises(SystemExit) as stop:
        parse(bad)
    assert stop.value.code == 2
    assert "grup_size" in capsys.readouterr().err


@pytest.mark.parametrize("path", ABLATIONS, ids=name)
def test_an_ablation_and_the_config_of_each_of_its_stages_parse(path, tmp_path, monkeypatch, no_argv):
    monkeypatch.chdir(ROOT)
    ablation = parsed(["--config", str(path)])[0]
    runner = Runner(ablation, Store(tmp_path), InProcess())
    assert list(runner.check()) == []
    assert len(runner.cells) >= 3 * len(ablation.arms)
    assert ablation.contrasts
    assert all(contrast.metric.count("/") == 1 for contrast in ablation.contrasts)


def test_there_are_ablations():
    assert len(ABLATIONS) >= 4
