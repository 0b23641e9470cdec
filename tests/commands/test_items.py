import json
import os
from pathlib import Path

import pytest
import yaml

from vrft_pl.__main__ import main
from vrft_pl.commands.items import with_items

QUICKSTART = str(Path(__file__).parents[2] / "configs/quickstart.yaml")
FIT = ["fit", "--config", QUICKSTART]
NAMED = {"class_path": "vrft_pl.rewards.Format", "init_args": {"name": "form"}}


def rewards(capsys, *args):
    """Class and weight of the rewards that a command line gives."""
    with pytest.raises(SystemExit):
        main([*FIT, *args, "--print_config"])
    items = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["rewards"]
    return [(item["class_path"].rpartition(".")[2], item["init_args"]["weight"]) for item in items]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["--model.rewards.Format.weight", "2"], [1, 2], id="short"),
        pytest.param(["--model.init_args.rewards.Format.init_args.weight=2"], [1, 2], id="in-full"),
        pytest.param(["--model.rewards.0.weight", "2"], [2, 0.5], id="by-number"),
        pytest.param(["--model.rewards.weight", "2"], [1, 2], id="the-last-one-as-the-parser-does"),
        pytest.param(["--model.rewards.NumberMatch.weight=2", "--model.rewards.Format.weight=3"], [2, 3], id="several"),
        pytest.param(["--model.rewards+=BoxIoU", "--model.rewards.Format.weight=3"], [1, 3, 1], id="beside-a-new-one"),
        pytest.param(["--model.rewards", json.dumps([NAMED]), "--model.rewards.form.weight", "3"], [3], id="own-name"),
    ],
)
def test_one_item_of_a_list_is_changed_and_the_others_stay(args, said, capsys, no_argv):
    assert [weight for _, weight in rewards(capsys, *args)] == said


def test_an_item_may_be_another_class(capsys, no_argv):
    assert rewards(capsys, "--model.rewards.Format", "GradedNumber") == [("NumberMatch", 1.0), ("GradedNumber", 1.0)]


def test_a_later_list_inherits_nothing_of_the_items_that_stood_in_its_places(tmp_path, capsys, no_argv):
    """The parser would give the weight of the old Format, 0.5, to whatever is second now."""
    items = [{"class_path": "vrft_pl.rewards.BoxIoU"}, {"class_path": "vrft_pl.rewards.GradedNumber"}]
    (tmp_path / "over.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"rewards": items}}}))
    assert rewards(capsys, "--config", str(tmp_path / "over.yaml")) == [("BoxIoU", 1.0), ("GradedNumber", 1.0)]
    assert rewards(capsys, "--model.rewards", json.dumps(items)) == [("BoxIoU", 1.0), ("GradedNumber", 1.0)]


def test_a_config_puts_items_behind_those_of_the_one_before(tmp_path, capsys, no_argv):
    (tmp_path / "over.yaml").write_text("model: {init_args: {rewards+: GradedNumber}}")
    args = ["--config", str(tmp_path / "over.yaml"), "--model.rewards.GradedNumber.weight", "3"]
    assert rewards(capsys, *args) == [("NumberMatch", 1.0), ("Format", 0.5), ("GradedNumber", 3.0)]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(
            ["--model.rewards+=BoxIuO"],
            "Expected `model.init_args.rewards.2` to name a class, but there is none called 'BoxIuO'. The nearest is "
            "`vrft_pl.rewards.BoxIoU`.",
            id="misspelt",
        ),
        pytest.param(
            ["--model.rewards+", "visual_rft/grounding"],
            "Expected `model.init_args.rewards.2` to name a class, but there is none called 'visual_rft/grounding'. "
            "`vrft_pl options` lists those of vrft_pl.",
            id="a-whole-list-as-an-item",
        ),
        pytest.param(
            ["--model.rewards.Formatz.weight", "2"],
            "Expected `model.rewards.Formatz` to name an item of the list, but it has NumberMatch, Format. The nearest "
            "is `Format`.",
            id="missing",
        ),
        pytest.param(
            ["--model.rewards+=Format", "--model.rewards.Format.weight", "2"],
            "Expected `model.rewards.Format` to name one item of the list, but 2 are called so. Name it by its number "
            "from 0, such as `model.rewards.2`.",
            id="several",
        ),
        pytest.param(
            ["--model.rewards.2.weight", "2"],
            "Expected `model.rewards.2` to name an item of the list, but it has NumberMatch, Format.",
            id="number-beyond-the-end",
        ),
    ],
)
def test_items_that_there_are_not_or_several_of_are_refused(args, said, capsys, no_argv):
    with pytest.raises(SystemExit) as stop:
        main([*FIT, *args])
    assert (stop.value.code, capsys.readouterr().err) == (2, f"vrft_pl: {said}\n")


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(["--model.policy.freeze", "[vision]", "--model.optimizer.betas", "[0.8, 0.9]"], id="plain-lists"),
        pytest.param(["--data.val.id.size", "8", "--resume", "--trainer.devices", "-1"], id="sections-and-flags"),
        pytest.param(["--run.tags+=[a, b]", "--data.x+", "{a: 1}", "--y+=2", "--z+=more.yaml"], id="no-name-to-append"),
        pytest.param(["--config", "no_such.yaml", "--model.rewards.Format.weight", "2"], id="no-such-file"),
    ],
)
def test_what_is_no_item_is_left_to_the_parser(args):
    assert with_items(args) == args
    if args[0] != "--config":
        assert with_items(["--config", QUICKSTART, *args]) == ["--config", QUICKSTART, *args]


def test_arguments_of_a_loss_without_a_class_are_those_of_the_default(capsys, no_argv):
    with pytest.raises(SystemExit):
        main(
            [
                *FIT,
                "--model.loss.clip_low",
                "0.1",
                "--model.init_args.sampler.init_args.max_rows",
                "8",
                "--print_config",
            ]
        )
    given = yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]
    assert given["loss"]["class_path"] == "vrft_pl.algorithms.GRPOLoss"
    assert (given["loss"]["init_args"]["clip_low"], given["sampler"]["init_args"]["max_rows"]) == (0.1, 8)
    assert given["advantage"] is None


def test_a_config_that_is_a_pipe_is_refused_before_it_is_read(tmp_path, capsys, no_argv):
    """Of a shell's `<(...)`: the parser, which reads after us, would find nothing, or wait for ever."""
    os.mkfifo(pipe := tmp_path / "config.yaml")
    with pytest.raises(SystemExit) as stop:
        main([*FIT, "--config", str(pipe)])
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"vrft_pl: Expected a config to be a file, but {pipe} is a pipe. Write it into a file first."
    )
