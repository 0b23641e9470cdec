from types import SimpleNamespace

from vrft_pl.callbacks import HFExport
from vrft_pl.runs import RunFolder
from vrft_pl.trainer.run import Summary, TrainingRun


def test_the_best_policy_is_pushed_behind_the_last(tmp_path, monkeypatch):
    pushed, export = [], HFExport(push_to_hub="me/counts", private=False)
    trainer = SimpleNamespace(run_folder=RunFolder(tmp_path), is_global_zero=True, callback=lambda kind: export)
    monkeypatch.setattr("vrft_pl.trainer.run.hub.push", lambda folder, *args: pushed.append(args))
    for best in (None, ("val/id/BoxIoU", 0.5)):
        monkeypatch.setattr(export, "best", lambda trainer, best=best: best)
        TrainingRun(trainer, None, None).push()
    last = ("me/counts", False, None)
    assert pushed == [last, last, ("me/counts", False, ("val/id/BoxIoU", 0.5))]


def test_a_summary_is_read_as_it_was_written(tmp_path):
    folder = RunFolder(tmp_path)
    summary = Summary({"val/id/A": 0.5}, {"val/id/A": None}, {}, 1.5, {"samples": 3}, {"skipped_steps": 2})
    folder.write(folder.SUMMARY, summary.as_dict() | {"of a later version": 1})
    assert Summary.of(folder) == summary
    assert "faults" not in Summary({}, {}, {}, 1.0, {}).as_dict()
