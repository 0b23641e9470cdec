"""What a report says, whatever it is written as."""

import csv
import io
import json
import math
import re
from dataclasses import asdict, replace
from http.client import HTTPConnection
from importlib.util import find_spec
from threading import Thread
from urllib.request import urlopen

import pytest
from PIL import Image
from reports import NESTED, TARGET, held_out, trained, write_ablation, write_run

from vrft_pl.__main__ import main
from vrft_pl.report import read_report
from vrft_pl.report.comparison import Estimate, compare_cells, over_seeds
from vrft_pl.report.completions import read_columns, sources_of
from vrft_pl.report.curves import MOST_PANELS, family_of
from vrft_pl.report.data import as_json
from vrft_pl.report.live import LivePage, serve
from vrft_pl.report.marks import marks_of
from vrft_pl.report.page import render
from vrft_pl.report.papers import markdown
from vrft_pl.report.pictures import Album
from vrft_pl.report.tables import search_note
from vrft_pl.runs import MetricsLogger, RunFolder
from vrft_pl.runs.ablation import Trial
from vrft_pl.types import InputError


@pytest.fixture(scope="module")
def ablation(tmp_path_factory):
    return write_ablation(tmp_path_factory.mktemp("ablation"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three seeds of one config, and a run of another."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        write_run(folder / f"quick/20260101-12000{seed}-seed{seed}", seed, rows=4)
    write_run(folder / "other", 0, 0.3, rows=4)
    return folder


def columns(paths, **bounds):
    return read_columns(read_report(paths).subject.entries, **bounds)


def test_runs_that_differ_in_their_seed_alone_are_seeds_of_one_arm(runs):
    report = read_report([runs])
    assert report.order == ("other", "quick")
    other, quick = report.comparison.lines
    assert (other.seeds, quick.seeds) == (1, 3)
    assert quick.after[0].over == "seeds"
    assert other.after[0].over == "samples"
    assert report.comparison.columns[0].constant == 0.31
    assert [one.key for one in report.differences] == ["model.gain"]
    assert [(one.arm, one.cost["samples"]) for one in report.costs] == [("other", 640), *[("quick", 640)] * 3]


def test_scores_of_several_seeds_have_the_interval_of_students_t(ablation):
    (rft,) = [e for e in read_report([ablation.path]).comparison.lines if e.arm == "rft" and e.rows == 64]
    assert rft.after[0].mean == pytest.approx(0.81)
    assert rft.after[0].high - rft.after[0].mean == pytest.approx(4.3027 * 0.01 / 3**0.5, abs=1e-4)


def test_what_no_seed_changes_has_no_interval():
    assert over_seeds([0.5, 0.5, 0.5]) == Estimate(0.5, None, None, 3)


def test_constants_that_depend_on_the_rows_are_averaged(ablation):
    results = ablation.results()
    cells = tuple(replace(cell, constants={TARGET: 0.1 * (i % 2)}) for i, cell in enumerate(results.cells[:2]))
    metrics = (replace(results.metrics[0], constant=None),)
    assert compare_cells(replace(results, cells=cells, metrics=metrics)).columns[0].constant == pytest.approx(0.05)


def test_a_run_that_two_arms_share_is_shown_once_and_is_of_both(ablation):
    entries = read_report([ablation.path]).subject.entries
    shared = [replace(entries[3], arm=arm) for arm in ("sft", "sft then rft")]
    read = read_columns(shared)
    assert {tuple(owner["arm"] for owner in source["owners"]) for source in read.sources} == {("sft", "sft then rft")}
    assert len(read) == len(read_columns(shared[:1]))


def test_a_run_that_is_named_twice_counts_once(runs):
    other = runs / "other"
    report = read_report([other, str(other / ".." / "other"), runs])
    assert [(line.arm, line.seeds) for line in report.comparison.lines] == [("other", 1), ("quick", 3)]
    assert report.subject.title == f"other, {runs.name}"


def test_two_runs_of_one_seed_are_no_two_seeds(tmp_path):
    for name in ("one", "two"):
        write_run(tmp_path / name, 0, rows=2)
    lines = read_report([tmp_path]).comparison.lines
    assert [(line.arm, line.seeds) for line in lines] == [("one", 1), ("two", 1)]


def test_arms_never_share_a_name(tmp_path):
    for i, name in enumerate(("w/a", "x/a", "y/a (2)", "z/a (2)")):
        write_run(tmp_path / name, 0, 0.1 * i, rows=1)
    assert read_report([tmp_path]).order == ("a", "a (2)", "a (2) (2)", "a (2) (3)")


def test_what_no_run_of_an_arm_failed_by_counts_as_nothing(tmp_path):
    reason = "train/parse_failures/BoxIoU/no_box"
    for seed in range(2):
        write_run(tmp_path / str(seed), seed, rows=1, steps=4)
        logger = MetricsLogger(tmp_path / str(seed))
        for step in range(4):
            failed = 0.5 * (seed == 1 and step >= 2)
            logged = {reason: failed} if failed else {}
            logger.log_metrics({"train/parse_failures/BoxIoU": failed} | logged, step)
        logger.save()
    panels = {panel.name: panel for panel in read_report([tmp_path]).panels}
    assert panels[reason].series[0].mean == (0, 0, 0.25, 0.25)
    assert panels[reason].series[0].mean == panels["train/parse_failures/BoxIoU"].series[0].mean


def test_every_arm_has_a_score_in_front(tmp_path):
    names = ("Accuracy", "AP", "BoxIoU")
    for i, name in enumerate(names):
        details = [f"{name}/low", f"{name}/class/cat", f"parse_failures/{name}", "Format", f"tag/a/{name}"]
        parts = [f"val/part{part}/{key}" for part in range(4) for key in (name, *details)]
        blind = [f"val/blind/part0/{kind}/{name}" for kind in ("seen", "grey", "other")]
        folder = write_run(tmp_path / name, 0, 0.1 * i, rows=1)
        folder.write(folder.SUMMARY, {"after": dict.fromkeys([*blind, *parts], 0.5)})
    comparison = read_report([tmp_path]).comparison
    shown = [comparison.columns[i].key for i in comparison.in_front]
    assert shown == [
        *(f"val/part{part}/AP" for part in range(3)),
        *(f"val/part{part}/Accuracy" for part in range(3)),
        *(f"val/part{part}/BoxIoU" for part in range(2)),
    ]


def test_a_page_says_how_many_quantities_it_does_not_show(tmp_path):
    logger = MetricsLogger(tmp_path)
    for step in range(2):
        held_out = {f"val/{i}": float(step * (i > 0)) for i in range(MOST_PANELS)}
        logger.log_metrics(held_out | {"train/loss": float(step), "train/kl": float(step)}, step)
    logger.save()
    report = read_report([tmp_path])
    names = [panel.name for panel in report.panels]
    assert len(names) == MOST_PANELS
    assert names[-2:] == ["train/kl", "train/loss"]
    assert "val/0" not in names
    assert "2 more quantities were logged" in render(report, columns([tmp_path]))


def test_questions_with_another_truth_are_others(tmp_path):
    for name, answer in (("a", "3"), ("b", "4")):
        record = replace(held_out(0, 0, 0.5, 0), answer=answer)
        RunFolder(tmp_path / name).append(RunFolder.PREDICTIONS, [record])
    read = columns([tmp_path])
    assert [read.strings[read.samples["answer"][i]] for i in read.sample] == ["3", "4"]


def test_a_band_reaches_from_the_lowest_to_the_highest_seed(tmp_path):
    for seed, values in enumerate(([1.0, 2.0], [3.0, 6.0])):
        logger = MetricsLogger(tmp_path / f"seed{seed}")
        for step, value in enumerate(values):
            logger.log_metrics({"train/reward": value}, step)
        logger.save()
        RunFolder(tmp_path / f"seed{seed}").write_text("config.yaml", f"seed_everything: {seed}\n")
    (panel,) = read_report([tmp_path]).panels
    (series,) = panel.series
    assert (panel.steps, series.mean, series.low, series.high) == ((0, 1), (2, 4), (1, 2), (3, 6))


def test_the_stages_of_a_cell_follow_one_another(ablation):
    cell = ablation.results().cells[4]
    twice = replace(ablation.results(), cells=(replace(cell, stages=cell.stages * 2),))
    folder = type(ablation)(ablation.path / "twice")
    folder.write(twice)
    (ablation.path / "twice/cells").symlink_to(ablation.path / "cells")
    reward = next(panel for panel in read_report([folder.path]).panels if panel.name == "train/reward")
    assert reward.steps == tuple(range(79))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("train/reward/BoxIoU", "Reward"),
        ("val_subset/id/BoxIoU", "Held out"),
        ("val_subset/id/truncated", "Cut off"),
        ("val_subset/id/completion_tokens", "Length"),
        ("val/id/parse_failures/BoxIoU", "Answers that can't be read"),
        ("time/rollout", "Seconds by phase"),
        ("train/sampler_gap", "Loss and the rest"),
    ],
)
def test_every_quantity_stands_below_its_heading(name, family):
    assert family_of(name) == family


def test_long_curves_are_averaged(tmp_path):
    logger = MetricsLogger(tmp_path)
    for step in range(1000):
        logger.log_metrics({"train/reward": float(step)}, step)
    logger.save()
    (panel,) = read_report([tmp_path]).panels
    assert len(panel.steps) == 240
    assert panel.series[0].mean[0] == 2.0


def test_a_run_that_goes_on_is_judged_by_what_it_logged_last(tmp_path):
    logger = MetricsLogger(tmp_path)
    for step in (0, 5):
        logger.log_metrics({"val/id/BoxIoU": step / 10}, step)
    logger.save()
    (line,) = read_report([tmp_path]).comparison.lines
    assert line.after[0].mean == 0.5


def test_an_arm_that_scores_as_much_with_grey_pictures_is_named(tmp_path):
    for name, seen in (("blind", 0.3), ("looks", 0.8)):
        after = {"val/id/A": seen, "val/blind/id/seen/A": seen, "val/blind/id/grey/A": 0.3}
        RunFolder(tmp_path / name).write(RunFolder.SUMMARY, {"before": {}, "after": after})
    main(["report", str(tmp_path)])
    main(["report", str(tmp_path), "--format", "md"])
    for text in ((tmp_path / "report.html").read_text(), (tmp_path / "report.md").read_text()):
        (line,) = (line for line in text.splitlines() if "do not matter to it" in line)
        assert "blind, val/blind/id: A is 0.300 with the picture and 0.300 with a grey one" in line
        assert "looks, " not in line


def test_a_folder_without_runs_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path)])
    assert stop.value.code == 1
    assert f"Expected the folder of a run or of an ablation, but {tmp_path} holds neither." in capsys.readouterr().err


def test_links_in_a_loop_are_no_run(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match=r"Expected the folder of a run or of an ablation, but .*a holds neither"):
        read_report([tmp_path / "a"])


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        pytest.param(["--format", "pdf"], "format", id="format"),
        pytest.param(["--colour", "md"], "colour", id="misspelt"),
        pytest.param(["--live", "true", "--format", "md"], "Expected `format` to be html for `live`", id="live"),
        pytest.param(["--port", "70000"], "`port` in 0 to 65535", id="port"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, capsys, args, reason):
    with pytest.raises(SystemExit) as stop:
        main(["report", str(tmp_path), *args])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_more_completions_than_a_page_holds_are_left_out_as_wholes_and_counted(runs):
    everything = columns([runs])
    some = columns([runs], most_records=60)
    assert 0 < len(some) <= 60
    assert len(some) + some.left_out == len(everything)
    assert {len(list_) for list_ in (some.source, some.step, some.text, *some.scores.values())} == {len(some)}
    of_sample = [some.sample.count(sample) for sample in set(some.sample) if some.group[some.sample.index(sample)] < 0]
    assert set(of_sample) == {4 * 3}  # four runs, three evaluations
    groups = [some.group.count(group) for group in set(some.group) if group >= 0]
    assert set(groups) == {4}
    page = render(read_report([runs]), some)
    assert f"{some.left_out:,} more completions lie in the folders" in page


def test_a_page_is_bounded_in_bytes_too(runs):
    assert 0 < len(columns([runs], most_bytes=20_000)) < len(columns([runs]))
    assert len(columns([runs], most_bytes=0)) == 0


@pytest.mark.parametrize("field", ["completion", "problem", "answer", "marks"])
def test_long_questions_and_many_marks_count_too(tmp_path, field):
    long = [{"shape": [1.5, 2.5, 30.5, 40.5], "label": "<", "faint": False}] * 40 if field == "marks" else "<" * 400
    folder = RunFolder(tmp_path)
    folder.append(folder.PREDICTIONS, [replace(held_out(0, row, 0.5, 0), **{field: long}) for row in range(20)])
    read = columns([tmp_path], most_bytes=20_000)
    assert 0 < len(read) < 20
    assert len(as_json(asdict(read) | {"pictures": {}})) < 22_000


def test_samples_with_pictures_come_first(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append(folder.PREDICTIONS, [held_out(0, row, 0.5, 0, picture=row == 7) for row in range(10)])
    kept = columns([tmp_path], most_records=1)
    assert kept.strings[kept.samples["id"][0]] == "scenes row 7"


def test_records_that_are_none_end_nothing(tmp_path):
    good = held_out(0, 0, 0.9, 0).row_of_json()
    bad = [
        {"step": 0},
        good | {"completion": None},
        good | {"tags": 7},
        good
        | {"scores": {"BoxIoU": "high", "Format": float("nan")}, "marks": [{"shape": [1, "x"]}, 3], "truth": [None]},
        good | {"pictures": ["../secret.webp", 7], "size": [0, "wide"]},
        good | {"parse_failures": []},
        good | {"split": 1.5},
        good | {"scores": {"BoxIoU": 10**400, "Format": 1.0}, "pictures": None, "advantage": "high"},
        good | {"advantage": float("nan")},
    ]
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*bad, good]))
    read = columns([tmp_path])
    assert len(read) == 6
    iou = good["scores"]["BoxIoU"]
    assert read.scores["BoxIoU"] == [None, iou, iou, None, iou, iou]
    assert read.advantage == [None] * 6
    assert read.pictures == {}
    render(read_report([tmp_path]), read)


def test_other_files_of_a_run_that_are_broken_end_nothing(tmp_path):
    write_run(tmp_path, rows=1)
    (tmp_path / "config.yaml").write_bytes(b"a: [\xff")
    (tmp_path / "metrics.csv").write_bytes(b"step,train/reward\n0,high\n1,0.5\nx,2\n2,inf\n3,0.7\n")
    report = read_report([tmp_path])
    assert report.panels[0].series[0].mean == (0.5, 0.7)
    render(report, columns([tmp_path]))


@pytest.mark.parametrize("name", ["summary.json", "scores.json", "constants.json", "manifest.json"])
@pytest.mark.parametrize(
    "content", [b"", b'{"cut', b"null", b"[1, 2]", b'"text"', b'{"starts": 3, "scores": 4}', NESTED]
)
def test_files_of_another_program_end_nothing_and_are_named(tmp_path, name, content):
    write_run(tmp_path, rows=1)
    (tmp_path / name).write_bytes(content)
    report = read_report([tmp_path])
    page, table = render(report, columns([tmp_path])), markdown(report)
    if content.startswith(b'{"starts') and name in ("summary.json", "scores.json"):
        return  # any names may be those of scores
    assert f"{tmp_path / name} can't be read: the report does without it." in page
    assert f"{name} can't be read" in table


def test_brackets_within_brackets_end_nothing(tmp_path):
    write_run(tmp_path, rows=1)
    for name in ("predictions.jsonl", "completions.jsonl"):
        (tmp_path / name).write_bytes(NESTED + b"\n")
    render(read_report([tmp_path]), columns([tmp_path]))


def test_a_config_that_holds_itself_is_none(tmp_path):
    write_run(tmp_path, rows=1)
    (tmp_path / "config.yaml").write_text("model: &model {again: *model}\n")
    assert read_report([tmp_path]).differences == ()


def test_results_of_another_program_are_drawn_as_far_as_they_are_numbers(tmp_path):
    folder = write_ablation(tmp_path, seeds=1, rows=1)
    found = json.loads((tmp_path / "results.json").read_text())
    found["curves"][0] |= {"arm": "foreign", "mean": [math.nan, 0.5]}
    found["cells"][0]["rows"] = math.nan
    (tmp_path / "results.json").write_text(json.dumps(found))
    report = read_report([tmp_path])
    assert report.order == ("base", "sft", "rft", "foreign")
    render(report, columns([tmp_path]))
    if find_spec("matplotlib"):
        main(["report", str(folder.path), "--format", "png"])


def test_a_seed_that_is_no_number_is_none(tmp_path):
    write_run(tmp_path, rows=1)
    (tmp_path / "config.yaml").write_text("seed_everything: .nan\n")
    assert [entry.seed for entry in read_report([tmp_path]).subject.entries] == [None]


def test_scores_that_no_axis_holds_are_said_in_one_line(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    write_run(tmp_path, rows=1)
    RunFolder(tmp_path).write("summary.json", {"after": {"val/a": 1e308}, "before": {"val/a": -1e308}})
    RunFolder(tmp_path).write("constants.json", {"scores": {"val/a": -1e308}})
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path), "--format", "png"])
    assert "vrft_pl: Expected numbers that have a place on an axis" in capsys.readouterr().err


def test_the_page_says_where_an_arm_had_fewer_trials_for_each_of_its_values(ablation):
    report = read_report([ablation.path])
    results = report.subject.ablation
    one = [Trial("rft", i, {"lr": 0.1 * i}, mean=0.5) for i in range(4)]
    two = [Trial("sft, rft", i, {"0.lr": 0.1, "1.lr": 0.1 * i}, mean=0.5) for i in range(4)]
    refused = Trial("sft, rft", 4, {"0.lr": 0.1, "1.lr": 2.0})
    told = "Trials for each value that was searched, which are not as many for all arms: 4 of rft, 2 of sft, rft."
    unequal = replace(results, search=(*one, *two, refused))
    assert search_note(unequal) == told
    assert told in render(replace(report, subject=replace(report.subject, ablation=unequal)), columns([ablation.path]))
    assert search_note(replace(results, search=(*one[:2], *two))) == ""
    assert search_note(replace(results, search=())) == ""


def test_one_row_is_no_rows(tmp_path):
    write_ablation(tmp_path, seeds=1, sizes=(1, 64), rows=1)
    labels = {entry.label for entry in read_report([tmp_path]).subject.entries}
    assert {"rft, 1 row, seed 0", "rft, 64 rows, seed 0"} <= labels


def test_a_manifest_of_another_form_ends_nothing(tmp_path):
    write_run(tmp_path, rows=1)
    start = {"git": 3, "device": [], "versions": "x", "command": 5}
    (tmp_path / "manifest.json").write_text(json.dumps({"starts": [start]}))
    render(read_report([tmp_path]), columns([tmp_path]))


@pytest.mark.parametrize("name", ["html", "png", "csv"])
def test_an_output_that_can_not_be_written_is_said_in_one_line(runs, tmp_path, capsys, name):
    if name == "png":
        pytest.importorskip("matplotlib", reason="the extra `report` is not installed")
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as end:
        main(["report", str(runs), "--format", name, "--output", str(tmp_path / "file" / "page")])
    assert end.value.code == 1
    assert f"Expected to write {tmp_path / 'file' / 'page'}, but" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("box", "points", "label"),
    [
        pytest.param([1, 2, 3, 4], [1, 2, 3, 4], "", id="box"),
        pytest.param(
            {"box": [1, 2, 3, 4], "confidence": 0.5, "category": "cat"}, [1, 2, 3, 4], "cat 0.50", id="object"
        ),
        pytest.param({"shape": [1, 2, 3, 4, 5, 6], "label": "a", "faint": True}, [1, 2, 3, 4, 5, 6], "a", id="outline"),
        pytest.param({"shape": [[1, 2], [3, 4], [5, 6]], "label": ""}, [1, 2, 3, 4, 5, 6], "", id="corners"),
    ],
)
def test_marks_of_every_form_are_drawn(box, points, label):
    (mark,) = marks_of([box])
    assert (mark["points"], mark["label"]) == (points, label)


@pytest.mark.parametrize(
    "box", [None, 3, [1, 2, 3], {"shape": "box"}, [1, 2, 3, math.nan], {}, [0, 0, 1e308, 1], [0, 0, 10**400, 1]]
)
def test_what_is_no_mark_is_left_out(box):
    assert marks_of([box]) == []


def test_pictures_are_kept_once_and_made_small(tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name, size in (("a.webp", 2000), ("b.webp", 2000), ("c.webp", 50)):
        Image.new("RGB", (size, size // 2), (200, 30, 30)).save(tmp_path / "pictures" / name)
    (tmp_path / "pictures/d.webp").write_text("<svg onload='alert(1)'/>")
    album = Album()
    names = [album.add(folder, name) for name in ("a.webp", "b.webp", "c.webp", "d.webp", "e.webp", "../a.webp")]
    assert names[0] == names[1] != names[2]
    assert names[3:] == [None] * 3
    assert (album.pictures[names[0]].width, album.pictures[names[0]].height) == (2000, 1000)
    assert len(album.pictures[names[0]].data) < 5000
    assert Album(most_bytes=10).add(folder, "a.webp") is None


def test_a_test_of_an_ablation_is_of_its_suite(ablation):
    sources = sources_of(read_report([ablation.path]).subject.entries)
    assert {source.stage for source in sources if source.test} == {"target", "unseen"}
    read = columns([ablation.path])
    assert {read.strings[i] for i in read.samples["split"]} == {"target/val", "unseen/night", "val", "train"}


def test_a_table_for_papers_has_the_scores_the_contrasts_and_the_verdict(ablation):
    main(["report", str(ablation.path), "--format", "md"])
    text = (ablation.path / "report.md").read_text()
    assert text.startswith("# few-shot grounding\n\nOn target, rft is 15.0 points above sft")
    assert "| best constant answer |  |  | 0.310 | 0.280 |" in text
    assert "| rft | 64 | 3 | 0.810 (0.785 to 0.835) | 0.660 (0.635 to 0.685) |" in text
    assert "| rft − sft (does RFT win?) | val BoxIoU | 64 | +0.150 | +0.100 to +0.200 | 0.008 | primary |" in text
    widths = {block.count("\n") and {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}.__len__()
              for block in text.split("\n\n") if block.startswith("|")}  # fmt: skip
    assert widths == {1}


def test_a_file_of_commas_has_a_row_for_each_score_and_contrast(ablation, tmp_path):
    main(["report", str(ablation.path), "--format", "csv", "--output", str(tmp_path / "out/scores.csv")])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out/scores.csv").read_text())))
    assert [
        (r["value"], r["constant"]) for r in rows if (r["arm"], r["rows"], r["metric"]) == ("rft", "64", TARGET)
    ] == [("0.81", "0.31")]
    assert [r["p"] for r in rows if r["table"] == "contrasts"] == ["", "0.008"]


def test_a_figure_is_drawn(ablation, runs, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    main(["report", str(ablation.path), "--format", "png"])
    main(["report", str(runs), "--format", "png", "--output", str(tmp_path / "runs.png")])
    for path in (ablation.path / "report.png", tmp_path / "runs.png"):
        with Image.open(path) as image:
            assert image.convert("L").getextrema() == (0, 255)


def test_the_page_of_several_folders_lies_here(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["report", str(runs / "other"), str(runs / "quick")])
    assert "Report: report.html" in capsys.readouterr().out
    text = (tmp_path / "report.html").read_text()
    assert "<title>other, quick</title>" in text
    assert "http-equiv" in text


def test_a_group_is_known_by_its_place_also_where_it_has_the_same_prompt(tmp_path):
    folder = RunFolder(tmp_path)
    for step in (0, 10):
        folder.append(folder.COMPLETIONS, trained(step, 0, 4, 0.5, 0))
    assert sorted(columns([tmp_path]).group) == [0] * 4 + [1] * 4


def test_a_live_page_is_made_again_only_when_there_is_news():
    made = []
    live = LivePage(lambda: len(made) // 2, lambda stamp: made.append(stamp) or "page")
    assert live.page() == live.page() == b"page"
    assert len(made) == 1
    made.append(0)
    live.page()
    assert len(made) == 3


def test_a_live_page_is_served_to_this_machine_alone():
    server = serve(LivePage(lambda: 1.0, lambda stamp: "page"))
    try:
        assert server.server_address[0] == "127.0.0.1"
    finally:
        server.server_close()
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{server.server_port}/")


def test_a_live_page_whose_runs_are_gone_says_so():
    def gone():
        raise InputError("Expected the folder of a run.")

    server = serve(LivePage(gone, lambda stamp: ""))
    Thread(target=server.handle_request, daemon=True).start()
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request("GET", "/stamp")
    answer = connection.getresponse()
    assert answer.status == 503
    assert b"Expected the folder of a run." in answer.read()
    server.server_close()


def test_a_port_that_is_taken_is_said(runs, capsys):
    server = serve(LivePage(lambda: 1.0, lambda stamp: "page"))
    try:
        with pytest.raises(SystemExit):
            main(["report", str(runs), "--live", "true", "--port", str(server.server_port)])
    finally:
        server.server_close()
    assert "Expected `port` " in capsys.readouterr().err
