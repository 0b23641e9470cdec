"""Wrong inputs of every kind: a few in every test run, all of them at night."""

import pytest

FEW = (
    "command line/a misspelt key",
    "command line/a null character in a path",
    "option/seed_everything=-1",
    "option/trainer.accumulate_grad_batches=0",
    "option/trainer.devices=many",
    "config/an alias bomb",
    "config/a reference to itself",
    "config/3,000 levels of keys",
    "config/a key twice",
    "config/binary",
    "config/a section that is a list",
    "JSON/an endless device",
    "row/problem None",
    "picture/a pipe that nobody writes into",
    "picture/a PNG of 13,000 x 13,000",
    "picture/a path that leads out",
    "COCO singles/a wide field",
    "checkpoint/a picture",
    "run folder/below a device",
    "command line/report of an empty folder",
)


@pytest.fixture(scope="module")
def hostile(tool):
    module = tool("hostile")
    module.prepare()
    return module


def test_what_would_be_a_tag_is_shown_in_its_cell(hostile):
    cell = hostile.shown("expected `<image>`, but got <image> | 2")
    assert cell == r"expected `<image>`, but got &lt;image> \| 2"


@pytest.mark.parametrize("name", FEW)
def test_a_wrong_input_is_one_line_and_an_exit_code(name, hostile, tmp_path):
    case = hostile.all_cases()[name]
    outcome = hostile.run(case, tmp_path)
    assert outcome.faults(case) == [], outcome.said


@pytest.mark.nightly
def test_every_wrong_input_is_one_line_and_an_exit_code(hostile, capsys):
    with pytest.raises(SystemExit) as stop:
        hostile.main([])
    assert stop.value.code == 0, capsys.readouterr().out


def test_the_table_has_at_least_300_inputs(hostile):
    assert len(hostile.all_cases()) >= 300


@pytest.mark.parametrize(
    ("said", "code", "left", "fault"),
    [
        pytest.param("Traceback (most recent call last):\nvrft_pl: x", 2, (), "traceback", id="traceback"),
        pytest.param("vrft_pl: x", 0, (), "exit code 0 in place of 2", id="accepted"),
        pytest.param("KeyError", 2, (), "no line", id="no-line"),
        pytest.param("vrft_pl: x", 2, ("run",), "left run", id="half-written"),
    ],
)
def test_what_should_not_be_is_a_fault(said, code, left, fault, hostile, tool):
    outcome = tool("hostile_input.process").Outcome(code, 1.0, 100.0, said, left)
    assert outcome.faults(tool("hostile_input.case").Case(lambda _: [])) == [fault]


def test_what_takes_too_long_or_too_much_is_a_fault(hostile, tool):
    outcome = tool("hostile_input.process").Outcome(2, 26.0, 3000.0, "vrft_pl: x", ())
    assert outcome.faults(tool("hostile_input.case").Case(lambda _: [])) == ["26 seconds", "3000 MB"]
