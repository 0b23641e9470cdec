"""What a training run does, by command or in Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vrft_pl.callbacks import CostMeter, HFExport, NonFiniteGuard, SpikeFlag, StepCheckpoint, StopOnSignal
from vrft_pl.callbacks.checkpoint import OF_VALIDATION
from vrft_pl.data import SampleData
from vrft_pl.metrics import Constants
from vrft_pl.modules import PolicyModule
from vrft_pl.runs import RunFolder, hub
from vrft_pl.trainer.base import RunTrainer
from vrft_pl.trainer.constants import constants_of, warnings_of
from vrft_pl.trainer.ended import why_ended
from vrft_pl.trainer.scores import Scores, finite
from vrft_pl.trainer.tables import fault_lines, print_summary
from vrft_pl.trainer.unjudged import refuse_unjudged


@dataclass(frozen=True)
class Summary:
    """What came of a run, as ``summary.json`` holds it."""

    before: dict[str, float | None]
    """Every metric before training, by its logged name."""
    after: dict[str, float | None]
    """And after it."""
    constant: dict[str, float | None]
    """What the best constant answers of the training rows get; the first process alone knows."""
    seconds: float
    """Of all."""
    cost: dict[str, Any]
    """What it took; see `vrft_pl.callbacks.CostMeter`."""
    faults: dict[str, int] = field(default_factory=dict)
    """How often something failed that did not end the run, by name."""

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        """That of a finished run."""
        found = folder.summary()
        return cls(**{each.name: found[each.name] for each in fields(cls) if each.name in found})

    def as_dict(self) -> dict[str, Any]:
        """What is written."""
        return {name: value for name, value in asdict(self).items() if value or name != "faults"}


class TrainingRun:
    """Evaluates a policy, trains it, evaluates it again, says what came of it, and pushes it where that is asked for.

    Args:
        trainer: Has the folder of the run and the callbacks of every run.
        module: Holds the policy.
        data: The samples.
        evaluate_before: Evaluate the policy before training.
        evaluate_after: Evaluate the policy after training.
        constants: Judge the best constant answer of the training rows beside the policy.
        **options: Those of Lightning's ``Trainer.fit``, such as the checkpoint to go on from.
    """

    def __init__(
        self,
        trainer: RunTrainer,
        module: LightningModule,
        data: LightningDataModule,
        evaluate_before: bool = True,
        evaluate_after: bool = True,
        constants: bool = True,
        **options: Any,
    ) -> None:
        assert trainer.run_folder is not None
        self.trainer, self.module, self.data, self.folder = trainer, module, data, trainer.run_folder
        self.evaluate_before, self.evaluate_after, self.constants = evaluate_before, evaluate_after, constants
        self.options = options
        self.stop = trainer.callback(StopOnSignal)

    def carry_out(self, start: Callable[[], None]) -> Summary:
        """Check the data, evaluate the policy as it is, train it, evaluate it again and say what came of it.

        Args:
            start: Writes down what is run. The data are set up by then, and nothing is known that bars the run.

        Raises:
            InputError: If an input is wrong.
            SIGTERMException: If the process was told to end.
        """
        begin = time.perf_counter()
        self.data.setup("fit")
        refuse_unjudged(self.module, self.data)
        start()
        self._describe_data()
        with self.stop.listening(self.trainer):
            try:
                before, after = self._train()
            except SIGTERMException:
                self.stop.requeue(self.trainer)
                raise
            return self._summarize(before, after, time.perf_counter() - begin)

    def push(self) -> None:
        """Push the export to the hub, and that of the best checkpoint; a failure ends no run any more.

        Raises:
            InputError: If it can't be pushed.
        """
        export = self.trainer.callback(HFExport)
        if export.push_to_hub is None or not self.trainer.is_global_zero:
            return
        best = export.best(self.trainer)
        for what in (None, best) if best is not None else (None,):
            print(f"Pushed: {hub.push(self.folder, export.push_to_hub, export.private, what)}")

    def _train(self) -> tuple[Scores, Scores]:
        """Scores before and after training."""
        before = self._evaluate() if self.evaluate_before else {}
        self._end_if_told()
        for saver in self.trainer.checkpoint_callbacks if before else ():
            if isinstance(saver, StepCheckpoint) and (saver.monitor or "").startswith(OF_VALIDATION):
                saver.refuse_unknown(before)
        self.trainer.fit(self.module, datamodule=self.data, **self.options)
        self._end_if_told()
        rank_zero_info(f"Training ended after step {self.trainer.global_step}: {why_ended(self.trainer)}.")
        self._describe_data()  # rows of a stream are left out while they are read
        after = self._evaluate() if self.evaluate_after else {}
        self._end_if_told()
        return before, after

    def _end_if_told(self) -> None:
        """End where no loop of Lightning runs that would."""
        if self.stop.told():
            raise SIGTERMException

    def _evaluate(self) -> Scores:
        """Scores on the validation splits."""
        return self.trainer.evaluate(self.module, self.data) if self.data.val_dataloader() else {}

    def _summarize(self, before: Scores, after: Scores, seconds: float) -> Summary:
        """Write and print the scores, with those of constant answers beside them, and what failed on the way."""
        cost, faults = self.trainer.callback(CostMeter).summary(self.trainer), self._faults()
        if isinstance(self.module, PolicyModule) and (spent := self.module.spent()):
            cost |= {"rewards": spent}
        scores, constants = after or before, Constants()
        if scores and self.constants and self.trainer.is_global_zero:
            constants = constants_of(self.trainer, self.module, self.data, "val", self.folder)
        constant = constants.flat("val")
        summary = Summary(finite(before), finite(after), finite(constant), round(seconds, 1), cost, faults)
        if self.trainer.is_global_zero:
            self.folder.write(RunFolder.SUMMARY, summary.as_dict())
            told = [*fault_lines(faults), *warnings_of(constants, "val", scores)]
            print_summary(self.folder, before, after, seconds, constant, told)
        return summary

    def _faults(self) -> dict[str, int]:
        """How often something failed that did not end the run, by name, on all ranks."""
        of_module = self.module.faults() if isinstance(self.module, PolicyModule) else {}
        return of_module | self.trainer.callback(NonFiniteGuard).faults() | self.trainer.callback(SpikeFlag).faults()

    def _describe_data(self) -> None:
        """Write the ids of rows that were drawn from larger sources, and the rows that were left out."""
        if not isinstance(self.data, SampleData) or not self.trainer.is_global_zero:
            return
        for name, rows in ((RunFolder.CHOSEN, self.data.chosen()), (RunFolder.SKIPPED, self.data.skipped)):
            if rows:
                self.folder.write(name, rows)
