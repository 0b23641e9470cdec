import subprocess
import sys
from importlib.util import find_spec

import pytest
from docs.commands import commands, fault, options, refused
from docs.pages import PAGES, ROOT

OLD = {"HOSTILE.md"}
"""Transcripts, whose commands are wrong on purpose."""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in OLD], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_every_command_on_a_page_is_taken_by_its_parser(page, no_argv, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    wrong = [f"{' '.join(words)}: {found}" for words in commands(page) if (found := fault(words))]
    assert wrong == [], capsys.readouterr().err


def test_a_wrong_command_is_noticed(no_argv, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    quickstart = ["vrft_pl", "fit", "--config", "configs/quickstart.yaml"]
    assert fault([*quickstart, "--trainer.max_steps", "5"]) is None
    assert fault([*quickstart, "--trainer.max_stops", "5"]) == "its arguments are refused"
    assert fault(["vrft_pl", "fitt"]) == "no such command"
    assert fault(["python", "tools/nothing.py"]) == "there is no tools/nothing.py"
    assert fault(["pip", "install", "vrft_pl[nothing]"]) == "there is no nothing"
    assert fault(["brew", "install"]) == "an unknown program"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_every_option_that_a_page_advises_is_one(page, no_argv, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert refused(list(options(page))) == [], capsys.readouterr().err


@pytest.mark.nightly  # `.ci/run` builds the site by itself
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_the_site_builds_without_a_warning_and_without_a_network(tmp_path):
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ended = subprocess.run(
        build, cwd=ROOT, capture_output=True, text=True, env={"PATH": "", "NO_MKDOCS_2_WARNING": "1"}
    )
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "index.html").read_text()
    loaded = [part.split('"')[0] for part in page.split('src="')[1:]]
    assert loaded
    assert [address for address in loaded if "//" in address] == []
