"""Questions that were not asked, and why."""

from __future__ import annotations

from lightning.pytorch import LightningDataModule

from vrft_pl.data import SampleData, VisionTask
from vrft_pl.data.boxes import image_size
from vrft_pl.data.samples import Samples
from vrft_pl.policy.codec import Codec
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

NOT_ASKED = "Not asked: the run ended before its turn, by `trainer.limit_predict_batches`."


def unasked_lines(folder: RunFolder, task: LightningDataModule, count: int) -> list[str]:
    """A line where samples of a config were not asked, and one where rows were left out, whose reasons it writes.

    Args:
        folder: Of the run, which holds the predictions.
        task: Which asked.
        count: How many samples there are.
    """
    lines, asked = [], sum(1 for _ in folder.predictions())
    if asked < count:
        lines.append(f"{asked} of {count} samples asked, the others not (`trainer.limit_predict_batches`).")
    if skipped := task.skipped if isinstance(task, SampleData) else {}:
        folder.write(RunFolder.SKIPPED, skipped)
        bad = sum(map(len, skipped.values()))
        lines.append(f"Rows left out: {bad}. Why: {folder.path / RunFolder.SKIPPED}")
    return lines


def left_out(task: VisionTask) -> dict[int, str]:
    """Why questions were left out for their pictures, by their place among all."""
    found: dict[int, str] = {}
    for samples in task.datasets("test").values():
        if isinstance(samples, Samples) and samples.rows is not None:
            bad = sorted(set(range(len(samples.source))).difference(samples.rows))
            found |= zip(bad, task.skipped.get(samples.part.key, ()), strict=True)
    return found


def leave_out_refused(task: VisionTask, codec: Codec) -> None:
    """Leave out questions about pictures that the policy's processor refuses, such as one of 3000 x 2 pixels.

    One picture of each size is processed; those of a size that was refused are all.

    Args:
        task: Whose test split is asked.
        codec: Of the policy.
    """
    accepted = set[tuple[int, int]]()
    for samples in task.datasets("test").values():
        assert isinstance(samples, Samples)
        assert samples.rows is not None
        reasons = left_out(task)
        for i, row in enumerate(samples.rows):
            sample = samples.read(i)
            size = image_size(sample.images[0])
            if size in accepted:
                continue
            try:
                codec.encode([sample])
                accepted.add(size)
            except InputError as error:
                reasons[row] = str(error)
        samples.rows = [row for row in samples.rows if row not in reasons]
        if reasons:
            task.skipped[samples.part.key] = [reasons[row] for row in sorted(reasons)]
