import pytest

from vrft_pl.commands.nearest import nearest

ARGS = ["--config", "config.json"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param("unrecognized arguments: --trainer.max_step 1", "--trainer.max_steps", id="option"),
        pytest.param("Group 'trainer' does not accept option 'max_step'", "max_steps", id="key"),
        pytest.param("Option 'clip_lo' is not accepted", "clip_low", id="key-of-a-class"),
        pytest.param("Option 'seedd' is not accepted", "seed", id="key-of-a-parent"),
        pytest.param("module 'vrft_pl.data' has no attribute 'Countin'", "vrft_pl.data.Counting", id="class"),
        pytest.param(
            "Expected a dot import path string: BoxIou", "vrft_pl.rewards.BoxIoU", id="class-without-a-module"
        ),
    ],
)
def test_the_nearest_name_is_told(message, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text('{"a": "vrft_pl.data.Counting", "b": "vrft_pl.algorithms.GRPOLoss"}')
    assert nearest(message, ["--trainer.max_steps", "--trainer.devices"], ARGS) == f" The nearest is `{said}`."


@pytest.mark.parametrize("message", ["Option 'xyzzy' is not accepted", "Expected a number.", f"Option '{'a' * 999}'"])
def test_nothing_is_told_where_nothing_is_alike(message):
    assert nearest(message, ["--trainer.max_steps"], []) == ""
