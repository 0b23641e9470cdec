import pytest
import yaml

from vrft_pl.__main__ import main
from vrft_pl.commands.reading import limits_of, load
from vrft_pl.runs.limits import MOST_LEVELS, USUAL, RefusedConfig, YAMLLimits, check


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: {b: 1, b: 2}", "every key once, but got `b` again in line 1. Keep one", id="key-twice"),
        pytest.param("a: {x: 1}\nb: 2\na: 3", "every key once, but got `a` again in line 3", id="section-twice"),
        pytest.param("a: &a [*a]", r"no section in itself, but got `\*a` in line 1", id="itself"),
        pytest.param("[" * (USUAL.levels + 1), f"at most {USUAL.levels} levels, but got more in line 1", id="deep"),
        pytest.param("a" * (USUAL.characters + 1), "at most 5,000,000 characters, but got 5,000,001", id="long"),
        pytest.param("a: 1:30", "but got 1:30 in line 1, which YAML reads in base 60. Put it in quotes", id="base-60"),
    ],
)
def test_yaml_that_says_two_things_or_too_much_is_refused(text, said):
    with pytest.raises(RefusedConfig, match=f"Expected .*{said}"):
        check(text)


def test_aliases_count_as_what_they_stand_for():
    """Five times ten values, ten times over: each level is ten lines of text less than what it is."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 6)]
    check("\n".join(lines[:4]))
    with pytest.raises(RefusedConfig, match="aliases that stand for at most 200,000 values"):
        check("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: {x: 1}\nb: {x: 1}", id="same-key-elsewhere"),
        pytest.param("a: [x, x]", id="same-value-twice"),
        pytest.param("a: {k: k}", id="key-as-value"),
        pytest.param("x: &x {k: 1}\ny: {<<: *x, k: 2}", id="merged"),
        pytest.param("a: &a [1]\nb: [*a, *a]", id="alias-twice"),
        pytest.param("a: '1:30'", id="quoted"),
        pytest.param("a: 00:01:00:00", id="duration"),
        pytest.param(f"a: {'[' * (USUAL.levels - 1)}{']' * (USUAL.levels - 1)}", id="as-deep-as-may-be"),
    ],
)
def test_yaml_that_is_right_is_read_as_before(text):
    assert load(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        pytest.param(YAMLLimits(characters=9), "a: [1, 2, 3]", id="characters"),
        pytest.param(YAMLLimits(levels=1), "a: [1]", id="levels"),
        pytest.param(YAMLLimits(values=3), "a: [1, 2, 3]", id="values"),
    ],
)
def test_limits_are_options(limits, text):
    with pytest.raises(RefusedConfig):
        check(text, limits)
    check(text, YAMLLimits())


def test_limits_hold_before_the_command_line_is_parsed():
    assert limits_of(["--yaml.levels=7", "--config", "a", "--yaml.values", "9"]) == YAMLLimits(levels=7, values=9)
    assert limits_of(["--yaml.levels", "--config"]) == YAMLLimits()
    with pytest.raises(ValueError, match="`levels` to be 1 to 200"):
        limits_of([f"--yaml.levels={MOST_LEVELS + 1}"])


@pytest.mark.parametrize(
    ("args", "text", "said"),
    [
        pytest.param(["--yaml.levels=2"], "a: {b: {c: 1}}", "Expected YAML of at most 2 levels", id="too-deep"),
        pytest.param([], "yaml: {levels: 150}", "Expected `yaml` to be set on the command line", id="in-a-config"),
    ],
)
def test_a_config_can_not_allow_itself_more(tmp_path, no_argv, capsys, args, text, said):
    (tmp_path / "more.yaml").write_text(text)
    quick = ["--config", "configs/quickstart.yaml", "--config", str(tmp_path / "more.yaml")]
    with pytest.raises(SystemExit) as stop:
        main(["fit", *args, *quick, "--print_config"] if args else ["fit", *quick])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
