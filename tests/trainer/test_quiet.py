import pytest

from vrft_pl.trainer import quiet


@pytest.mark.parametrize(
    ("category", "file", "said"),
    [
        (UserWarning, quiet.PACKAGE / "data/base.py", "Warning: Skipped 1 of 2 rows.\n"),
        (DeprecationWarning, quiet.PACKAGE / "data/base.py", "DeprecationWarning"),
        (UserWarning, "torch/nn.py", "torch/nn.py:7: UserWarning: Skipped 1 of 2 rows."),
    ],
    ids=["ours", "for-programmers", "of-others"],
)
def test_a_warning_of_ours_is_a_line_without_its_source(category, file, said):
    assert said in quiet.in_a_line("Skipped 1 of 2 rows.", category, str(file), 7)
