import json
import re
from pathlib import Path

import pytest
import yaml

from vrft_pl.__main__ import main
from vrft_pl.commands.items import values_of, with_items
from vrft_pl.commands.misspelt import faults

QUICKSTART = str(Path(__file__).parents[2] / "configs/quickstart.yaml")
KEYS = ("trainer.max_steps", "run.folder", "model", "data", "resume", "checkpoint.every_n_train_steps")
LOGGER = "lightning.pytorch.loggers.CSVLogger"


def said(args):
    """The first fault of a command line."""
    return next(faults(values_of(with_items(["--config", QUICKSTART, *args])), KEYS, "vrft_pl.commands.fit"), None)


@pytest.mark.parametrize(
    ("args", "path", "nearest"),
    [
        pytest.param(["--trainer.max_step", "5"], "trainer.max_step", "max_steps", id="key-of-a-section"),
        pytest.param(["--run.foldr", "x"], "run.foldr", "folder", id="key-of-the-run"),
        pytest.param(["--trainr.max_steps", "5"], "trainr", "trainer", id="section"),
        pytest.param(["--model.group_sizze", "5"], "model.init_args.group_sizze", "group_size", id="key-of-the-model"),
        pytest.param(["--model.loss.clip_lo", "0"], "model.init_args.loss.clip_lo", "clip_low", id="default-class"),
        pytest.param(
            ["--model.params.max_token", "5"], "model.init_args.params.max_token", "max_tokens", id="dataclass"
        ),
        pytest.param(
            ["--model.optimizer.lrr", "1"], "model.init_args.optimizer.init_args.lrr", "lr", id="class-of-others"
        ),
        pytest.param(
            ["--model.rewards.Format.weightt", "1"],
            "model.init_args.rewards.1.init_args.weightt",
            "weight",
            id="item-of-a-list",
        ),
        pytest.param(
            ["--data.val.id.sizee", "1"], "data.init_args.val.id.init_args.sizee", "size", id="entry-of-a-section"
        ),
        pytest.param(
            ["--trainer.callbacks+=vrft_pl.callbacks.Curriculm"],
            "trainer.callbacks.0",
            "vrft_pl.callbacks.Curriculum",
            id="class-of-a-callback",
        ),
        pytest.param(
            ["--trainer.logger", json.dumps({"class_path": LOGGER[:-1], "init_args": {"save_dir": "x"}})],
            "trainer.logger.class_path",
            LOGGER,
            id="class-of-lightning",
        ),
        pytest.param(
            ["--model.loss", "CISPO"], "model.init_args.loss", "vrft_pl.algorithms.CISPOLoss", id="class-alone"
        ),
        pytest.param(["--model.rewards", "[BoxIuO]"], "model.init_args.rewards.0", "vrft_pl.rewards.BoxIoU", id="list"),
        pytest.param(["--data", "Countng"], "data", "vrft_pl.data.Counting", id="family"),
        pytest.param(
            ["--model.optimizer", "torch.optim.AdamWW"],
            "model.init_args.optimizer",
            "torch.optim.AdamW",
            id="class-of-torch",
        ),
    ],
)
def test_the_path_and_the_nearest_name_are_told(args, path, nearest):
    fault = said(args)
    assert fault.startswith(f"Expected `{path}` to ")
    assert fault.endswith(f" The nearest is `{nearest}`.")


def test_a_class_that_a_config_puts_behind_others_is_looked_at_too(tmp_path):
    (tmp_path / "over.yaml").write_text("model: {init_args: {rewards+: [{class_path: BoxIuO}]}}")
    fault = said(["--config", str(tmp_path / "over.yaml")])
    assert fault.startswith("Expected `model.init_args.rewards.2.class_path` to name a class, but there is none")
    assert fault.endswith("The nearest is `vrft_pl.rewards.BoxIoU`.")


def test_where_nothing_is_alike_the_command_that_lists_what_there_is_is_named():
    assert said(["--model.loss.xyzzy", "1"]) == (
        "Expected `model.init_args.loss.xyzzy` to be a key of GRPOLoss, but it has none of that name. `vrft_pl options "
        "GRPOLoss` shows them."
    )


def test_an_entry_that_there_is_not_is_told_with_those_that_there_are():
    assert said(["--data.val.ood_snw.path", "x.jsonl"]) == (
        "Expected `data.init_args.val.ood_snw` to be one that there is, or to have a `class_path`, but there are id, "
        "ood_night, ood_snow. The nearest is `ood_snow`."
    )


@pytest.mark.parametrize(
    "given", [{"rewards": {"Format": {"weight": 5}}}, {"init_args": {"rewards": {"Format": {"weight": 5}}}}]
)
def test_names_of_items_in_a_config_are_for_the_command_line(given, tmp_path):
    (tmp_path / "over.yaml").write_text(yaml.safe_dump({"model": given}))
    fault = said(["--config", str(tmp_path / "over.yaml")])
    assert fault.startswith("Expected `model.")
    assert fault.endswith(
        "rewards` to be a list, but got names (Format). A config gives a list whole; one item is changed by its name "
        "on the command line: `--model.rewards.Format.weight 5`."
    )


def test_a_class_whose_module_can_not_be_imported_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_by_us.py").write_text("import nothing_there\nclass Mine: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    fault = said(["--model.rewards", '[{"class_path": "broken_by_us.Mine"}]'])
    assert fault == (
        "Expected `model.init_args.rewards.0.class_path` to be imported, but broken_by_us.Mine raises "
        "ModuleNotFoundError: No module named 'nothing_there'"
    )


CONFIGS = sorted(Path(QUICKSTART).parent.glob("*/*.yaml"))


def test_nothing_is_misspelt_in_the_configs_of_the_package():
    runs = [path for path in CONFIGS if "model" in yaml.safe_load(path.read_text()) and path.parent.name != "model"]
    assert len(runs) > 20
    for path in runs:
        values = {key: value for key, value in values_of(["--config", str(path)]).items() if key in ("model", "data")}
        assert list(faults(values, KEYS, "vrft_pl.commands.fit")) == [], path


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(
            ["--model.init_args.policy.init_args.checkpoimt", "x"],
            "Expected `model.init_args.policy.init_args.checkpoimt` to be a key of VLM, but it has none of that name. "
            "The nearest is `checkpoint`.",
            id="misspelt",
        ),
        pytest.param(
            ["--model.params.max_toke", "5"],
            "Expected `model.init_args.params.max_toke` to be a key of SamplingParams, but it has none of that name. "
            "The nearest is `max_tokens`.",
            id="no-abbreviation-within-a-class",
        ),
        pytest.param(
            ["--model.loss.clip_low", "abc"],
            "Parser key \"model.loss.clip_low\": Expected a <class 'float'>. Got value: abc",
            id="wrong-type",
        ),
        pytest.param(
            ["--model.sampler", "vrft_pl.rollout.Writer"],
            'Parser key "model.sampler": Import path does not correspond to a subclass of Sampler',
            id="class-of-another-kind",
        ),
    ],
)
def test_a_run_is_refused_with_the_whole_path(args, said, capsys, no_argv):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", QUICKSTART, *args])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"vrft_pl: {said}"


@pytest.mark.parametrize(("values", "key"), [({7: 1}, "7"), ({"trainer": {7: 1}}, "trainer.7")], ids=["top", "section"])
def test_a_key_that_is_a_number_is_no_key(values, key):
    (told,) = faults(values, KEYS, "vrft_pl.commands.fit")
    assert told.startswith(f"Expected `{key}` to be a key of ")


@pytest.mark.parametrize(("arguments", "shown"), [(None, "null"), (3, "3"), ([], "[]")], ids=["null", "number", "list"])
@pytest.mark.parametrize("path", [{}, {"class_path": "vrft_pl.modules.SFTModule"}], ids=["alone", "of-a-class"])
def test_arguments_that_are_no_section_are_told(arguments, shown, path):
    told = list(faults({"model": {**path, "init_args": arguments}}, ["model"], "vrft_pl.commands.fit"))
    assert told == [f"Expected `model.init_args` to be a section of keys and values, but got {shown}."]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        pytest.param(
            ["--model.group_size"], "model.init_args.group_size` to be int, but got null.* default, 8", id="model"
        ),
        pytest.param(["--model.loss.clip_high"], "model.init_args.loss.clip_high` to be float", id="class"),
        pytest.param(["--model.params.max_tokens"], "model.init_args.params.max_tokens` to be int", id="section-of-it"),
        pytest.param(["--model.params"], "model.init_args.params` to be SamplingParams", id="whole-section-of-it"),
        pytest.param(["--model.rewards.Format.weight"], "rewards.1.init_args.weight` to be float", id="item"),
        pytest.param(["--model.optimizer.lr"], "model.init_args.optimizer.init_args.lr` to be float", id="of-others"),
        pytest.param(["--data.batch_size"], "data.init_args.batch_size` to be int", id="data"),
        pytest.param(["--trainer.max_steps"], "trainer.max_steps` to be int", id="trainer"),
        pytest.param(["--checkpoint"], "checkpoint` to be a section of keys and values", id="section"),
    ],
)
def test_null_is_told_where_a_value_has_to_be(args, told):
    assert re.search(f"^Expected `.*{told}", said([*args, "null"]))


@pytest.mark.parametrize("key", ["group_size", "params"])
def test_null_is_refused_before_a_class_compares_it_with_a_number(key, capsys, no_argv):
    """The parser alone takes it for what is not given."""
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", QUICKSTART, f"--model.{key}", "null"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"vrft_pl: Expected `model.init_args.{key}` to be ")


def test_null_in_a_list_of_classes_is_told():
    assert said(["--model.rewards", "[null]"]) == (
        "Expected `model.init_args.rewards.0` to name a class, but got null. Leave it out."
    )
