import json

import pytest

from vrft_pl.data import CountingScenes, DifficultyBand, fingerprint
from vrft_pl.types import InputError

FIELDS = ("id", "hash", "rate", "completions")
RATES = (0.0, 0.2, 0.5, 0.9, 1.0)


def scenes(**kwargs):
    return CountingScenes(size=5, image_size=32, **kwargs)


@pytest.fixture
def written(tmp_path):
    """A file of the rates of scenes of a seed."""

    def write(source, **changes):
        path = tmp_path / "rates.jsonl"
        rows = [
            dict(zip(FIELDS, (source[i].id, fingerprint(source, [i]), rate, 8), strict=True))
            for i, rate in enumerate(RATES)
        ]
        path.write_text("".join(json.dumps({**row, **changes}) + "\n" for row in rows))
        return str(path)

    return write


def test_rows_in_the_band_are_kept_in_their_order(written):
    band = DifficultyBand(scenes(), written(scenes()), 0.2, 0.9)
    assert [record.id for record in band] == [scenes()[i].id for i in (1, 2, 3)]
    assert band.chosen() == [scenes()[i].id for i in (1, 2, 3)]


def test_scenes_of_the_runs_seed_are_looked_up_when_the_seed_is_known(written):
    band = DifficultyBand(scenes(), written(scenes(seed=7)), 0.5, 0.5)
    assert [record.id for record in band.with_seed(7)] == [scenes(seed=7)[2].id]
    with pytest.raises(InputError, match="Expected a rate of every row in .*rates.jsonl, but .*row 0.* has none"):
        len(band)


def test_a_row_that_has_changed_is_named(written):
    path = written(scenes(), hash="0" * 64)
    with pytest.raises(InputError, match="the rows that .* was written for, but .*row 0.* has changed. Write it anew"):
        len(DifficultyBand(scenes(), path))


def test_an_empty_band_is_named(written):
    with pytest.raises(InputError, match="rows with a rate from 0.3 to 0.4, but .* has none of 5. Widen the band."):
        len(DifficultyBand(scenes(), written(scenes()), 0.3, 0.4))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "the rate of another row in line 1 of .*, but got another form"),
        ('{"id": "a", "hash": "b", "rate": 2, "completions": 8}', "line 1 of .*, but got another form"),
        ("no JSON", "line 1 of .*, but got another form"),
        ('{"id": "a", "hash": "b", "rate": 1, "completions": 8}\n' * 2, "line 2 of .*, but got a second rate of a"),
    ],
)
def test_a_file_of_another_form_is_one_line(tmp_path, text, message):
    (tmp_path / "rates.jsonl").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        DifficultyBand(scenes(), str(tmp_path / "rates.jsonl"))
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_and_a_band_that_is_none_are_refused(tmp_path, written):
    with pytest.raises(InputError, match="Expected a file of success rates, but .*gone.jsonl can't be read"):
        DifficultyBand(scenes(), str(tmp_path / "gone.jsonl"))
    with pytest.raises(ValueError, match="Expected 0 <= `low` <= `high` <= 1, but got 0.9 and 0.1."):
        DifficultyBand(scenes(), written(scenes()), 0.9, 0.1)
