import json
from pathlib import Path

import numpy as np
import pytest
from forking import forked
from scipy import stats

TOOLS = Path(__file__).parents[2] / "tools"


def run(reward, seconds, before, after):
    return {"rewards": [reward, reward], "seconds": [seconds, 2 * seconds], "accuracy": {"0": before, "2": after}}


RUNS = {
    "ours": [run(1.0, 1, 0.4, 0.8), run(1.2, 1, 0.4, 0.7), run(1.1, 2, 0.4, 0.6)],
    "trl": [run(0.9, 4, 0.4, 0.9), run(1.3, 4, 0.4, 0.5), run(1.1, 4, 0.4, 0.7)],
}


def test_the_difference_has_welchs_interval(tool):
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    rows = {row["quantity"]: row for row in tool("learning_curve").compare(RUNS)}
    reward = rows["mean reward of all completions"]
    expected = stats.ttest_ind([1.0, 1.2, 1.1], [0.9, 1.3, 1.1], equal_var=False).confidence_interval()
    assert (reward["low"], reward["high"]) == pytest.approx((expected.low, expected.high))
    assert rows["held-out accuracy after 2 steps"]["ours"] == pytest.approx(0.7)
    assert rows["mean held-out accuracy along the way"]["ours"] == pytest.approx(0.55)
    assert rows["seconds of training"]["difference"] == pytest.approx(np.mean([2, 2, 4]) - 8)


def test_one_seed_has_no_interval(tool):
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    rows = tool("learning_curve").compare({side: runs[:1] for side, runs in RUNS.items()})
    assert "low" not in rows[0]
    assert tool("learning_curve").markdown(rows).splitlines()[-1] == "| seconds of training | 2.0 | 8.0 |  |"


def test_our_side_is_the_quickstart(tool):
    import yaml

    curve = tool("bench.curve")
    config = yaml.safe_load(Path("configs/quickstart.yaml").read_text())
    arguments, data = config["model"]["init_args"], config["data"]["init_args"]
    assert (data["batch_size"], arguments["group_size"]) == (curve.PROMPTS, curve.GROUP)
    assert arguments["params"]["max_tokens"] == curve.MAX_TOKENS
    assert config["trainer"]["gradient_clip_val"] == curve.CLIP_NORM
    assert [reward.get("init_args", {}).get("weight", 1.0) for reward in arguments["rewards"]] == [
        1.0,
        curve.FORMAT_WEIGHT,
    ]
    assert {**curve.ADAMW, "betas": [*curve.ADAMW["betas"]]} == arguments["optimizer"]["init_args"]
    assert arguments["scheduler"]["init_args"] == curve.SCHEDULE
    assert data["train"]["init_args"] == {"domain": "snow", "size": len(curve.build_task(0).train_source)}


@pytest.mark.slow
@pytest.mark.parametrize("side", ["ours", "trl"])
def test_a_side_writes_its_curve(tmp_path, side):
    if side == "trl":
        pytest.importorskip("trl", reason="the extra `bench` is not installed")
    output = tmp_path / "curve.json"
    done = forked(TOOLS / "bench" / f"curve_{side}.py", "0", "2", output)
    assert done.returncode == 0, done.stderr[-2000:]
    curve = json.loads(output.read_text())
    assert [len(curve[name]) for name in ("rewards", "seconds")] == [2, 2]
    assert list(curve["accuracy"]) == ["0", "2"]
    assert 0.25 < curve["accuracy"]["0"] < 0.6
    assert 0 < curve["seconds"][0] < curve["seconds"][1]
