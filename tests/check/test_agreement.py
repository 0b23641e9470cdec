"""What ends `fit` before it begins is an error of `check`, in the same words."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkpoints import loaded
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy
from training import counting

from vrft_pl.__main__ import main
from vrft_pl.callbacks import HFExport, StepCheckpoint
from vrft_pl.callbacks.preflight import refusals
from vrft_pl.check import CheckOptions, TrainerSection, check_run
from vrft_pl.modules import SFTModule
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

ROOT = Path(__file__).parents[2]
RUN = ["--config", str(ROOT / "configs/quickstart.yaml"), "--run.wandb", "off", "--trainer.max_steps", "1"]
SKIP = ["--check.skip", "[tokens, gold, signal, pictures, memory, speed]"]
LIGHTNINGS = json.dumps({"class_path": "lightning.pytorch.callbacks.ModelCheckpoint"})
CALLBACKS = {
    name: json.dumps({"class_path": f"vrft_pl.callbacks.{name}"})
    for name in ("Curriculum", "DynamicSampling", "ReferenceUpdate", "Replay")
}
CASES = {
    "groups dropped before they are measured": [
        f"--trainer.callbacks=[{CALLBACKS['DynamicSampling']}, {CALLBACKS['Curriculum']}]"
    ],
    "groups that come again and are not weighed": ["--trainer.callbacks", CALLBACKS["Replay"]],
    "a reference that there is not": ["--trainer.callbacks", CALLBACKS["ReferenceUpdate"]],
    "an adapter that there is not": ["--export.what", "adapter"],
    "a saver that loses gradients": ["--trainer.callbacks", LIGHTNINGS, "--trainer.accumulate_grad_batches", "2"],
    "DeepSpeed on a CPU": ["--trainer.accelerator", "cpu", "--trainer.strategy", "deepspeed_stage_2"],
    "DeepSpeed on two CPUs, with arguments": [
        *("--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy"),
        json.dumps({"class_path": "lightning.pytorch.strategies.DeepSpeedStrategy", "init_args": {"stage": 1}}),
    ],
}


class OnCPU(DeepSpeedStrategy):
    """Runs where Lightning's does not."""

    def setup_environment(self):
        pass


def ended(args, capsys):
    """Exit code of a command, and its line."""
    with pytest.raises(SystemExit) as stop:
        main(args)
    return stop.value.code, capsys.readouterr().err.strip().splitlines()[-1].removeprefix("vrft_pl: ")


@pytest.mark.parametrize("case", CASES)
def test_check_says_what_fit_says_of_the_trainer(case, tmp_path, capsys, no_argv):
    fit, said = ended(["fit", *RUN, *CASES[case], "--run.folder", str(tmp_path / "fit")], capsys)
    check, _ = ended(["check", *RUN, *SKIP, *CASES[case], "--run.folder", str(tmp_path / "check")], capsys)
    assert (fit, check) == (2, 1)
    found = json.loads((tmp_path / "check/check.json").read_text())["steps"]["trainer"]
    assert [finding["what"] for finding in found if finding["level"] == "error"] == [said]
    assert not (tmp_path / "fit").exists()


@pytest.mark.parametrize("strategy", ["fsdp", FSDPStrategy(), "ddp"])
@pytest.mark.parametrize("enabled", [True, False])
def test_check_says_what_the_export_says_of_a_strategy(strategy, enabled, tmp_path):
    export = HFExport(enabled)
    config = {"accelerator": "gpu", "devices": 8, "strategy": strategy, "callbacks": [export]}
    skip = CheckOptions(skip=("tokens", "gold", "signal", "pictures", "parameters", "memory", "speed"))
    report = check_run(SFTModule(loaded("tiny")), counting(2), TrainerSection.of(config), skip, RunFolder(tmp_path))
    found = [finding.what for finding in report.steps["trainer"] if finding.level == "error"]
    said = []
    try:
        export.setup(SimpleNamespace(strategy=strategy), None, "fit")
    except InputError as error:
        said = [str(error)]
    assert found == said
    assert len(said) == (enabled and strategy != "ddp")


@pytest.mark.parametrize("strategy", ["ddp", "auto", "single_device", OnCPU()])
def test_what_runs_on_a_cpu_is_not_refused_there(strategy):
    assert refusals(strategy, on_gpu=False, callbacks=[HFExport()], accumulate=1) == []


def test_only_savers_that_may_save_between_micro_batches_are_refused():
    savers = [StepCheckpoint(), ModelCheckpoint()]
    assert refusals("ddp", on_gpu=False, callbacks=savers, accumulate=1) == []
    (said,) = refusals("ddp", on_gpu=False, callbacks=savers, accumulate=2)
    assert "Expected `ModelCheckpoint` among `trainer.callbacks`" in said
    assert refusals("ddp", on_gpu=False, callbacks=savers[:1], accumulate=2) == []
