import hashlib

from vrft_pl.source import PACKAGE, SOURCE, digest


def test_the_code_of_the_package_has_a_number():
    """As of the start of the process: a test that edits the package meanwhile would see another one."""
    assert len(SOURCE) == len(hashlib.sha256().hexdigest())
    assert (PACKAGE / "source.py").is_file()


def test_every_file_of_code_counts_with_its_name(tmp_path):
    (tmp_path / "a").mkdir()
    found = [digest(tmp_path)]
    for name, text in [("a/b.py", "x = 1"), ("a/b.py", "x = 2"), ("c.py", "x = 2"), ("c.py", "")]:
        (tmp_path / name).write_text(text)
        found.append(digest(tmp_path))
    (tmp_path / "c.py").rename(tmp_path / "d.py")
    assert len({*found, digest(tmp_path)}) == 6
    (tmp_path / "notes.txt").write_text("no code")
    (tmp_path / "d.py").rename(tmp_path / "c.py")
    assert digest(tmp_path) == found[-1]
