"""The picture of a page for a README."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from reports import write_ablation

from vrft_pl.__main__ import main

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="Debian's chromium is not installed")


TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def tool():
    """The module, which is of no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module("picture_page")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = write_ablation(tmp_path_factory.mktemp("ablation"), rows=2)
    main(["report", str(folder.path)])
    return folder.path / "report.html"


@pytest.fixture
def photograph(tool, report, monkeypatch):
    def make(*args):
        monkeypatch.setattr(sys, "argv", ["picture_page.py", str(report), *map(str, args)])
        tool.main()

    return make


def test_scores_curves_and_completions_are_below_one_another(tool, photograph, tmp_path):
    target = tmp_path / "pictures" / "page.png"
    photograph("--output", target)
    assert target.stat().st_size < tool.MOST_BYTES
    with Image.open(target) as picture:
        assert picture.width == tool.WIDTH
        assert picture.height > 1200
        light = picture.convert("L").getpixel((2, 2))
    photograph("--theme", "dark", "--output", target)
    with Image.open(target) as picture:
        assert picture.convert("L").getpixel((2, 2)) < 60 < light


def test_completions_of_rows_with_a_picture_are_shown_unless_all_are_asked_for(tool, photograph, tmp_path, monkeypatch):
    chosen = []

    def photographs(page):
        chosen.append(page.input_value("#by-picture"))
        return [Image.new("RGB", (10, 10))]

    monkeypatch.setattr(tool, "photographs", photographs)
    photograph("--output", tmp_path / "page.png")
    photograph("--all", "--output", tmp_path / "page.png")
    assert chosen == ["with a picture", ""]


def test_nothing_of_what_is_looked_at_is_cut_off(tool, photograph, tmp_path, monkeypatch):
    left, whole = [], tool.photographs

    def photographs(page):
        cut = "detail => detail.scrollHeight - detail.clientHeight"
        before = page.locator("#detail").evaluate(cut)
        found = whole(page)
        left.extend((before, page.locator("#detail").evaluate(cut)))
        return found

    monkeypatch.setattr(tool, "photographs", photographs)
    photograph("--output", tmp_path / "page.png")
    before, after = left
    assert before > 0
    assert after == 0


def test_a_picture_that_is_too_large_is_said(tool, photograph, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "MOST_BYTES", 1000)
    with pytest.raises(SystemExit) as end:
        photograph("--output", tmp_path / "page.png")
    assert end.value.code == 2
    assert "Expected at most 1,000 bytes" in capsys.readouterr().err
