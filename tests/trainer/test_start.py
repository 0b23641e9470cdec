import threading

import pytest

from vrft_pl.runs import Claim, RunFolder
from vrft_pl.runs.checksums import seal
from vrft_pl.trainer.start import claimed
from vrft_pl.types import InputError


def save(folder):
    folder.checkpoints.mkdir(exist_ok=True)
    (path := folder.checkpoints / "step=2.ckpt").write_bytes(b"weights")
    seal(path)


@pytest.mark.parametrize(
    "leaves", [save, lambda folder: folder.write(folder.SUMMARY, {})], ids=["a-checkpoint", "its-end"]
)
def test_what_another_process_has_left_since_the_checkpoint_was_chosen_is_not_written_over(tmp_path, leaves):
    folder = RunFolder(tmp_path)
    other, seen = Claim(tmp_path), folder.progress()

    def end():
        leaves(folder)
        other.release()

    timer = threading.Timer(0.1, end)
    timer.start()
    with pytest.raises(InputError, match="Expected .* to stay as it was .* has gone on with the run since. Start the"):
        claimed(folder, seen)
    timer.join()
    claimed(folder, folder.progress()).release()


def test_a_folder_that_is_new_is_claimed(tmp_path):
    folder = RunFolder(tmp_path / "run")
    claim = claimed(folder, folder.progress())
    claim.release()
    assert claim.created
