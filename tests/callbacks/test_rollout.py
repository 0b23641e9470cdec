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

    trainer = fit(grpo(qwen3_vl), counting(size=4), callbacks=[Bar()], enable_progress_bar=True)
    assert {"loss", "reward", "rollout s", "reward s", "update s"} <= set(shown[-1])
    assert shown[-1]["reward"] == f"{float(trainer.callback_metrics['train/reward']):.3f}"
