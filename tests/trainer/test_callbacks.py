import pytest
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

from vrft_pl.callbacks import CompletionRecorder, Curriculum, NonFiniteGuard, StepCheckpoint
from vrft_pl.trainer.base import RunTrainer


@pytest.mark.parametrize(
    ("callbacks", "said"),
    [
        pytest.param([Curriculum(), Curriculum(low=0.1)], "one Curriculum, .* Leave one out.$", id="ours"),
        pytest.param(
            [CompletionRecorder(), NonFiniteGuard(), CompletionRecorder(1)],
            "Leave one out: every run has one, with the options of `completions`.$",
            id="of-every-run",
        ),
        pytest.param(
            [StepCheckpoint("a", save_top_k=1), StepCheckpoint("b", save_top_k=-1)],
            "one StepCheckpoint of the same triggers and monitor, .* with the options of `checkpoint`.$",
            id="checkpoints",
        ),
        pytest.param([EarlyStopping("a"), EarlyStopping("a")], "one EarlyStopping", id="lightnings"),
    ],
)
def test_callbacks_whose_states_have_one_name_are_refused(callbacks, said):
    with pytest.raises(ValueError, match=said):
        RunTrainer(accelerator="cpu", callbacks=callbacks)


def test_callbacks_of_one_class_that_differ_or_keep_nothing_are_taken():
    different = [ModelCheckpoint(monitor="a"), ModelCheckpoint(), EarlyStopping("a"), EarlyStopping("b")]
    silent = [LearningRateMonitor(), LearningRateMonitor()]
    assert set(RunTrainer(accelerator="cpu", callbacks=[*different, *silent]).callbacks) >= {*different, *silent}
