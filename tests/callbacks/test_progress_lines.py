import io
import re

import pytest
from lightning.pytorch.callbacks import EarlyStopping, Timer
from training import counting, fit, grpo

from vrft_pl.callbacks import ProgressLines
from vrft_pl.trainer.ended import why_ended


def told(capsys, qwen3_vl, seconds=0.0, **settings):
    """What is said of a run, and its trainer."""
    settings = {"accumulate_grad_batches": 2, "enable_progress_bar": True, "max_epochs": 2, **settings}
    lines = ProgressLines(seconds)
    trainer = fit(grpo(qwen3_vl), counting(size=8), callbacks=[lines, *settings.pop("more", [])], **settings)
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")], trainer


def test_each_line_has_the_step_the_reward_the_loss_and_the_time_left(qwen3_vl, capsys):
    """Two micro-batches a step, two epochs of two steps each."""
    lines, trainer = told(capsys, qwen3_vl)
    shape = r"step {}/4  reward \d\.\d{{3}}  loss -?\d\.\d{{3}}  \d:\d\d:\d\d left"
    assert len(lines) == trainer.global_step == 4
    assert all(re.fullmatch(shape.format(step), line) for step, line in enumerate(lines, 1))
    assert lines[-1].endswith("0:00:00 left")
    assert max(map(len, lines)) < 80
    assert why_ended(trainer) == "`trainer.max_epochs` is 2"


def test_between_the_first_and_the_last_step_a_line_waits_for_its_time(qwen3_vl, capsys):
    lines, trainer = told(capsys, qwen3_vl, seconds=3600.0, max_steps=3)
    assert [line.split()[1] for line in lines] == ["1/3", "3/3"]
    assert why_ended(trainer) == "`trainer.max_steps` is 3"


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        pytest.param(Timer(duration={"seconds": 0}, verbose=False), "`trainer.max_time` is over", id="time"),
        pytest.param(
            EarlyStopping("train/reward", stopping_threshold=-1.0, mode="max", check_on_train_epoch_end=True),
            "Stopping threshold reached: train/reward = ",
            id="early-stopping",
        ),
    ],
)
def test_why_training_ended_is_told(ends, why, qwen3_vl, capsys):
    _, trainer = told(capsys, qwen3_vl, more=[ends])
    assert why_ended(trainer).startswith(why)


def test_ranks_beside_the_first_say_nothing(qwen3_vl, capsys):
    lines = ProgressLines(0.0)
    lines.disable()
    fit(grpo(qwen3_vl), counting(size=2), callbacks=[lines], enable_progress_bar=True)
    assert "step" not in capsys.readouterr().out


class Gone(io.StringIO):
    """A pipe whose other end is closed."""

    def write(self, text):
        raise BrokenPipeError


def test_a_run_goes_on_when_nobody_reads_its_lines(qwen3_vl, monkeypatch):
    lines = ProgressLines(0.0)
    monkeypatch.setattr("sys.stdout", Gone())
    trainer = fit(grpo(qwen3_vl), counting(size=4), callbacks=[lines], enable_progress_bar=True)
    monkeypatch.undo()
    assert trainer.global_step == 2
    assert not lines.enabled


def test_a_time_below_zero_is_refused():
    with pytest.raises(ValueError, match="Expected `seconds` to be at least 0, but got -1"):
        ProgressLines(-1)
