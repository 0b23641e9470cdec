"""What steps of a check work on."""

from training import counting

from vrft_pl.check import CheckOptions, TrainerSection
from vrft_pl.check.data import check_data
from vrft_pl.check.meter import PromptMeter
from vrft_pl.check.run import make_trainer
from vrft_pl.check.subject import Subject
from vrft_pl.runs import RunFolder


def subject(module, tmp_path, task=None, **config):
    section = TrainerSection.of({"accelerator": "cpu", **config})
    options = CheckOptions(prompts=2)
    trainer = make_trainer(section, [])
    made = Subject(
        module, task or counting(4), trainer, section, options, RunFolder(tmp_path), PromptMeter(module.policy)
    )
    check_data(made)
    return made
