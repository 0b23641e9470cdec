import io
import re

from rich import reconfigure
from rich.text import Text
from training import counting, fit, grpo

from vrft_pl.callbacks import RewardProgressBar, RolloutCallback


class Diary(RolloutCallback):
    def __init__(self):
        self.events = []

    def on_rollout_start(self, trainer, module):
        self.events.append(("start", trainer.global_step))

    def on_rollout_end(self, trainer, module, experience):
        assert experience.advantages.shape == (len(experience) * module.group_size,)
        self.events.append(("end", trainer.global_step, len(experience)))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.events.append(("train", trainer.global_step, len(batch)))


def test_rollouts_are_told_before_their_window_is_trained_on(qwen3_vl):
    diary = Diary()
    fit(grpo(qwen3_vl, num_iterations=2, seed=1), counting(size=8), accumulate_grad_batches=2, callbacks=[diary])
    window = lambda step: [  # noqa: E731
        *[("start", step), ("end", step, 4), ("train", step, 2), ("train", step, 2)],
        *[("train", step + 1, 2), ("train", step + 1, 2)],
    ]
    assert diary.events == [*window(0), *window(2)]


def test_every_rollout_callback_is_told(qwen3_vl):
    diaries = [Diary(), Diary()]
    fit(grpo(qwen3_vl), counting(size=2), callbacks=diaries)
    assert diaries[0].events == diaries[1].events != []


def test_the_progress_bar_shows_reward_and_seconds_by_phase(qwen3_vl):
    shown = []

    class Bar(RewardProgressBar):
        def get_metrics(self, trainer, module):
            shown.append(super().get_metrics(trainer, module))
            return shown[-1]

    wide = Bar(console_kwargs={"width": 160})
    trainer = fit(grpo(qwen3_vl), counting(size=4), callbacks=[wide], enable_progress_bar=True)
    assert {"loss", "reward", "rollout s", "reward s", "update s"} <= set(shown[-1])
    assert shown[-1]["reward"] == f"{float(trainer.callback_metrics['train/reward']):.3f}"


def test_80_columns_hold_the_step_out_of_all_steps_and_the_reward_on_one_line(qwen3_vl):
    """The reward first. Two micro-batches a step, two epochs of a step each."""
    screen = io.StringIO()
    bar = RewardProgressBar(console_kwargs={"file": screen, "force_terminal": True, "width": 80})
    settings = {"accumulate_grad_batches": 2, "max_epochs": 2, "enable_progress_bar": True}
    try:
        fit(grpo(qwen3_vl), counting(size=4), callbacks=[bar], **settings)
    finally:
        reconfigure()
    lines = [Text.from_ansi(line).plain.rstrip() for line in re.split(r"[\r\n]", screen.getvalue())]
    counted = [
        found[0]
        for line in lines
        if (found := re.match(r"step .* \d/\d .* reward: \d\.\d{3} loss: -?\d\.\d{3}$", line))
    ]
    assert all(len(line) <= 80 for line in lines)
    assert "2/2" in counted[-1]
    assert not [line for line in lines if "Epoch" in line]
    assert not [line for line in lines if line.startswith(" ") and "reward" in line]
