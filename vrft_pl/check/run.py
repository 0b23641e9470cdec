"""All steps of a check, one after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from vrft_pl.callbacks.preflight import refusals, refusals_of_callbacks
from vrft_pl.check.boxes import check_boxes
from vrft_pl.check.constant import check_constant
from vrft_pl.check.data import check_data
from vrft_pl.check.difficulty import write_difficulty
from vrft_pl.check.findings import Finding, Report
from vrft_pl.check.gold import check_gold
from vrft_pl.check.labels import check_labels
from vrft_pl.check.memory import check_memory
from vrft_pl.check.meter import PromptMeter
from vrft_pl.check.options import CheckOptions, Step
from vrft_pl.check.parameters import check_parameters
from vrft_pl.check.pictures import check_pictures
from vrft_pl.check.section import TrainerSection
from vrft_pl.check.signal import check_signal
from vrft_pl.check.speed import check_speed
from vrft_pl.check.subject import Subject, preserved
from vrft_pl.check.tokens import check_tokens
from vrft_pl.data import SampleData
from vrft_pl.modules.base import PolicyModule
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

STEPS: dict[Step, Callable[[Subject], list[Finding]]] = {
    "data": check_data,
    "boxes": check_boxes,
    "labels": check_labels,
    "tokens": check_tokens,
    "signal": check_signal,
    "gold": check_gold,
    "constant": check_constant,
    "pictures": check_pictures,
    "parameters": check_parameters,
    "memory": check_memory,
    "speed": check_speed,
}
"""``data`` reads the rows that every other step uses, and so is never left out."""


def check_run(
    module: LightningModule,
    task: LightningDataModule | None,
    section: TrainerSection,
    options: CheckOptions,
    folder: RunFolder,
) -> Report:
    """Check a run. The module is bit for bit what it was when this returns.

    Args:
        module: The run's module.
        task: The run's data, not set up.
        section: What is asked of the run's trainer.
        options: What to look at.
        folder: Folder of the run; pictures are written there.

    Raises:
        InputError: If module or data are not those of this package.
    """
    if not isinstance(module, PolicyModule) or not isinstance(task, SampleData):
        raise InputError("`vrft_pl check` needs a module that is a PolicyModule and data that are a SampleData.")
    start = time.perf_counter()
    findings: dict[str, list[Finding]] = {"trainer": trainer_findings(section, module)}
    module.configure_model()
    with preserved(module), quiet():
        trainer = make_trainer(section, findings["trainer"])
        module.to(trainer.strategy.root_device)
        trainer.precision_plugin.convert_module(module)
        subject = Subject(module, task, trainer, section, options, folder, PromptMeter(module.policy))
        if refusal := subject.refusal(section.strategy):
            findings["trainer"].append(Finding("error", refusal))
        for name, step in STEPS.items():
            if name not in options.skip or name == "data":
                findings[name] = step(subject)
        if options.write_difficulty is not None:
            findings["difficulty"] = write_difficulty(subject, Path(options.write_difficulty))
    return Report({name: found for name, found in findings.items() if found}, time.perf_counter() - start)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep off the screen what trainers say of themselves, and what tokenisers say of rows that are reported here."""
    loggers = {logging.getLogger("lightning.pytorch"): logging.WARNING}
    loggers[logging.getLogger("transformers.tokenization_utils_base")] = logging.ERROR
    levels = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def trainer_findings(section: TrainerSection, module: PolicyModule) -> list[Finding]:
    """What `fit` would refuse, and what this machine lacks."""
    accumulate = section.options.get("accumulate_grad_batches", 1)
    refused = refusals(section.strategy, section.gpu, section.callbacks, accumulate, module.policy.has_adapter)
    findings = [Finding("error", refusal) for refusal in (*refused, *refusals_of_callbacks(section, module))]
    if not section.available:
        lacking = f"The run is for {section.devices} GPUs that this machine lacks: measured without them."
        findings.append(Finding("warning", lacking))
    return findings


def make_trainer(section: TrainerSection, findings: list[Finding]) -> Trainer:
    """A trainer on one device; in float32 where the run's precision needs a device that is missing."""
    try:
        return section.stand_in()
    except (ValueError, RuntimeError) as error:
        if section.available:
            raise
        findings.append(Finding("note", f"Measured in float32: {error}"))
        return section.stand_in(precision="32-true")
