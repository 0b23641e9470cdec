import pytest
import yaml

from vrft_pl.commands.reading import load
from vrft_pl.runs.limits import MOST_CHARACTERS, MOST_LEVELS, RefusedConfig, check


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a: {b: 1, b: 2}", "every key once, but got `b` again in line 1. Keep one", id="key-twice"),
        pytest.param("a: {x: 1}\nb: 2\na: 3", "every key once, but got `a` again in line 3", id="section-twice"),
        pytest.param("a: &a [*a]", r"no section in itself, but got `\*a` in line 1", id="itself"),
        pytest.param("[" * (MOST_LEVELS + 1), f"at most {MOST_LEVELS} levels, but got more in line 1", id="deep"),
        pytest.param("a" * (MOST_CHARACTERS + 1), "at most 5,000,000 characters, but got 5,000,001", id="long"),
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
        pytest.param(f"a: {'[' * (MOST_LEVELS - 1)}{']' * (MOST_LEVELS - 1)}", id="as-deep-as-may-be"),
    ],
)
def test_yaml_that_is_right_is_read_as_before(text):
    assert load(text) == yaml.safe_load(text)
