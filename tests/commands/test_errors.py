import errno
import inspect
import os

import pytest
import torch

from vrft_pl.__main__ import main, program
from vrft_pl.callbacks import StepCheckpoint
from vrft_pl.commands.errors import bugs_in_one_line, of_surroundings, out_of_memory


def test_what_nothing_foresaw_is_one_line_and_its_traceback_is_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as stop, bugs_in_one_line():
        raise KeyError("bbox")
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert said.startswith("vrft_pl: KeyError in test_errors.py, line ")
    (kept,) = tmp_path.iterdir()
    assert f"The traceback is in {kept}; `--debug` shows it." in said
    assert "Traceback (most recent call last)" in kept.read_text()


def test_debug_shows_the_traceback_behind_a_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", "missing", "--debug"])
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert said.startswith("vrft_pl: Expected the folder of a run")
    assert "vrft_pl.types.InputError: Expected the folder of a run" in said


def test_debug_raises_what_nothing_foresaw(monkeypatch):
    monkeypatch.setattr("vrft_pl.__main__.available", lambda: {"fit": ("no.such:main", "")})
    monkeypatch.setattr("sys.argv", ["vrft_pl", "fit", "--debug"])
    with pytest.raises(ModuleNotFoundError):
        program()


def test_memory_that_does_not_hold_a_micro_batch_is_one_line_that_says_why_it_was_not_split():
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB in total.")
    alone, together = (out_of_memory(full, True, strategy) for strategy in (None, "FSDP2"))
    assert alone.startswith("Expected memory to hold a micro-batch, but CUDA out of memory. Lower `data.init_args")
    assert "Under FSDP2 ranks pass through the model together, and none can split its part alone. Lower" in together


@pytest.mark.parametrize(
    ("number", "said"),
    [
        pytest.param(errno.ENOSPC, "Expected room on the disk of runs/a, but there is none left", id="disk"),
        pytest.param(errno.EMFILE, "Expected to open one more file, but got: Too many open files", id="handles"),
    ],
)
def test_a_run_that_has_no_room_says_how_to_go_on(number, said):
    line = of_surroundings(OSError(number, os.strerror(number)), "runs/a")
    assert line.startswith(said)
    assert line.endswith("and go on with the same command and `--run.folder runs/a --resume`.")


def test_another_error_of_the_system_stays_what_it_is():
    assert of_surroundings(PermissionError(errno.EACCES, "no"), "runs/a") is None


def test_source_that_is_edited_after_it_was_imported_is_told(monkeypatch, capsys, no_argv):
    """As by a checkout during an ablation: lines are those of another function, and `**kwargs` go nowhere."""
    source, other = inspect.getsource, {StepCheckpoint.__init__: StepCheckpoint.save_now}
    monkeypatch.setattr("inspect.getsource", lambda of: source(other.get(of, of)))
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--print_config"])
    assert stop.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("vrft_pl: Expected the source of every class as it was imported, but a file was edited, ")
