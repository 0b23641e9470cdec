"""The section ``run`` of a config."""

from __future__ import annotations

from dataclasses import dataclass, field

from vrft_pl.runs import WandbMode


@dataclass(frozen=True)
class RunOptions:
    """Where a run keeps its files and what it measures.

    Args:
        folder: Folder of the run. Defaults to that of the run whose checkpoint training goes on from, and else to a new
            one below ``runs``, named after the config and the time.
        wandb: ``auto`` and ``online`` log online, or offline where there is no API key or no answer, which ``online``
            says; ``off`` leaves W&B out.
        project: W&B project.
        group: W&B group, such as the ablation that the run is a cell of.
        job_type: W&B job type, such as the arm of the ablation.
        tags: W&B tags, of 1 to 64 characters each.
        evaluate_before: Evaluate the policy before training.
        evaluate_after: Evaluate the policy after training.
        constants: Judge the best constant answer of the training rows beside the policy.
    """

    folder: str | None = None
    wandb: WandbMode = "auto"
    project: str = "vrft_pl"
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    evaluate_before: bool = True
    evaluate_after: bool = True
    constants: bool = True
