import re
import zipfile

import pytest
import yaml

from vrft_pl.__main__ import OF_A_RUN, main
from vrft_pl.trainer.resuming import flat


def said(capsys, *args):
    main(["options", *args])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["rewards.BoxIoU", "vrft_pl.rewards.BoxIoU", "BoxIoU"])
def test_a_class_shows_its_options_with_type_default_and_what_they_do(name, capsys):
    shown = said(capsys, name)
    assert shown.startswith("vrft_pl.rewards.BoxIoU\n  IoU between the answered box and the ground truth")
    assert "  threshold: float = 0.0\n      IoU below which the score is 0.\n" in shown
    assert "  weight: float = 1.0\n" in shown


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("data.sources.COCODetection", "  annotations: str (required)\n", id="source"),
        pytest.param("metrics.Accuracy", "vrft_pl.metrics.Accuracy\n", id="metric"),
        pytest.param("trainer", "  trainer.num_sanity_val_steps: Optional[int] = 0\n", id="section-with-our-default"),
        pytest.param("check", "  check.prompts: int = 16\n", id="section-of-one-command"),
        pytest.param("callbacks", "  callbacks.Curriculum\n", id="package"),
        pytest.param("torch.optim.AdamW", "  weight_decay: float = 0.01\n", id="class-of-others"),
    ],
)
def test_sources_metrics_sections_and_packages_are_shown(name, line, capsys):
    assert line in said(capsys, name)


def test_all_classes_are_listed_without_a_name(capsys):
    shown = said(capsys)
    assert all(f"  {name}\n" in shown for name in ("data.Detection", "rewards.BoxIoU", "modules.GRPOModule"))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("data.Detectoin", "data.Detection"), ("BoxIuO", "rewards.BoxIoU"), ("trainr", "trainer"), ("xyzzy", None)],
)
def test_a_misspelt_name_gets_the_nearest(name, nearest, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["options", name])
    hint = f"The nearest is `{nearest}`." if nearest else "`vrft_pl options` lists those of vrft_pl."
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f"vrft_pl: Expected the name of a class, but there is none called {name!r}. {hint}\n"
    )


@pytest.mark.parametrize("command", OF_A_RUN)
def test_the_help_of_a_command_has_the_keys_and_defaults_of_its_parser(command, capsys, no_argv):
    """It is read from the source; the plain way builds the parser."""
    main([command, "--help"])
    text = capsys.readouterr().out
    shown = re.findall(r"^  --([\w.]+)", text, re.M)
    with pytest.raises(SystemExit):
        main([command, "--print_config"])
    parsed = flat(yaml.safe_load(capsys.readouterr().out))
    assert sorted(shown) == sorted({*parsed, "config", "print_config"} - {"model", "data"})
    entries = re.split(r"\n(?=  --|\S)", text)
    defaults = {re.split("[ :]", entry[4:])[0]: " ".join(entry.split()) + " " for entry in entries}
    plain = {key: value for key, value in parsed.items() if isinstance(value, bool | int | None) and key in shown}
    assert len(plain) > 50
    assert [key for key, value in plain.items() if f" = {value} " not in defaults[key]] == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "vrft_pl.data.", "a..b", "vrft_pl./x.y"])
def test_what_is_no_name_is_not_found(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["options", name])
    assert stop.value.code == 2
    line = f"vrft_pl: Expected the name of a class, but there is none called {name!r}. "
    assert capsys.readouterr().err.startswith(line)


def test_several_names_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["options", "data.Detection", "two\nlines"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "vrft_pl: Expected one name, but got 'data.Detection' 'two\\nlines'.\n"


def test_source_that_python_reads_is_read_and_what_it_does_not_is_named(tmp_path, monkeypatch, capsys):
    source = "class Mine:\n    def __init__(self, a='\xe9'): ...\n"
    (tmp_path / "marked_of_mine.py").write_text(source, encoding="utf-8-sig")
    (tmp_path / "latin_of_mine.py").write_text(f"# coding: latin-1\n{source}", encoding="latin-1")
    (tmp_path / "broken_of_mine.py").write_text("class Mine(\n")
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("packed_of_mine.py", source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "packed.zip"))
    for name in ("marked_of_mine", "latin_of_mine", "packed_of_mine"):
        assert "  a = '\xe9'\n" in said(capsys, f"{name}.Mine")
    with pytest.raises(SystemExit):
        said(capsys, "broken_of_mine.Mine")
    assert "(broken_of_mine.py, line 1)" in capsys.readouterr().err
