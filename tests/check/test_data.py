from types import SimpleNamespace

from vrft_pl.check.data import leaks
from vrft_pl.check.rows import Row
from vrft_pl.data.images import FileImage
from vrft_pl.data.sources import Record


def test_links_in_a_loop_are_no_leak(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    parts = [SimpleNamespace(split="train"), SimpleNamespace(split="val")]
    names = zip(parts, "ab", strict=True)
    assert (
        leaks([Row(part, 0, Record(name, (FileImage(tmp_path / name, name),), "?", 1)) for part, name in names]) == []
    )
