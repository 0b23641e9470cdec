import json
import time
from pathlib import Path

import pytest
from training import Share, counting, fit, grpo

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import StepProfile


class Slow(Share):
    def grade_one(self, text, sample, frame):
        time.sleep(0.05)
        return super().grade_one(text, sample, frame)


@pytest.mark.slow
def test_one_step_is_profiled_into_a_table_and_a_trace(qwen3_vl, tmp_path):
    profile = StepProfile(step=1)
    module = grpo(qwen3_vl, rewards=[Slow()], loss=GRPOLoss(kl_coefficient=0.1))
    options = {"accumulate_grad_batches": 2, "callbacks": [profile], "default_root_dir": tmp_path}
    fit(module, counting(size=12), **options)
    phases = {"rollout", "reward", "reference", "loading", "forward", "backward", "optimizer"}
    assert set(profile.seconds) == phases
    assert all(seconds > 0 for seconds in profile.seconds.values())
    table = (tmp_path / "profile.md").read_text()
    assert all(f"| {phase} |" in table for phase in phases)
    rows = [[cell.strip(" %") for cell in line.split("|")] for line in table.splitlines()]
    shares = {row[1]: int(row[3]) for row in rows if len(row) > 3 and row[1] in phases}
    # rewards are graded beside the reference
    assert sum(share for phase, share in shares.items() if phase != "reward") == pytest.approx(100, abs=3)
    assert "aten::" in table
    names = {event["name"] for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]}
    assert "aten::linear" in names
    assert module.trainer.global_step == 3


def test_a_trace_that_can_not_be_written_leaves_none_that_is_torn(qwen3_vl, tmp_path, monkeypatch):
    def torn(self, path):
        Path(path).write_text('{"traceEvents": [')
        raise OSError("No space left on device")

    monkeypatch.setattr("torch.profiler.profile.export_chrome_trace", torn)
    with pytest.raises(OSError, match="No space left"):
        fit(grpo(qwen3_vl), counting(size=8), callbacks=[StepProfile(step=1)], default_root_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["profile.md"]


def test_a_run_that_ends_before_the_step_writes_nothing(qwen3_vl, tmp_path):
    fit(grpo(qwen3_vl), counting(size=4), callbacks=[StepProfile(step=9)], default_root_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("step", "num_operators"), [(-1, 5), (0, 0)])
def test_arguments_out_of_their_range_are_refused(step, num_operators):
    with pytest.raises(ValueError, match=f"but got {step} and {num_operators}"):
        StepProfile(step, num_operators)
