"""The page says of each form of answer what the rewards make of it."""

from __future__ import annotations

from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(autouse=True)
def _tools_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


def test_the_tables_of_forms_are_what_the_rewards_do_now():
    from answer_forms import README, written

    page = README.read_text(encoding="utf-8")
    assert written(page) == page, "run `python tools/answer_forms.py`"


def test_a_box_is_never_read_in_another_order_of_edges_than_is_declared():
    from graders.forms import FAMILIES, read_places

    gemini = next(written for written in FAMILIES if "box_2d" in written.text)
    assert read_places(gemini)[:3] == ("yes",) * 3
    assert read_places(gemini._replace(space="permille"))[:3] == ("no",) * 3
