"""``vrft_pl report``: a page of runs or of an ablation; tables and a figure for papers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from vrft_pl.commands.errors import OneLineParser, fail
from vrft_pl.report import Report, read_report
from vrft_pl.report.completions import MOST_RECORDS, read_columns
from vrft_pl.report.figure import draw
from vrft_pl.report.live import LivePage, serve
from vrft_pl.report.page import render
from vrft_pl.report.papers import comma_separated, markdown
from vrft_pl.report.report import changed_at
from vrft_pl.runs.files import whole_file
from vrft_pl.types import InputError

Format = Literal["html", "md", "png", "csv"]


@dataclass(frozen=True)
class ReportOptions:
    """What to make of the runs.

    Args:
        format: ``html`` is one page that needs nothing else; ``md`` and ``csv`` are tables, ``png`` is a figure.
        output: The file. Defaults to ``report.<format>`` in the folder, or here where there are several.
        completions: Completions of the page, at most; whole samples and groups of each split.
        live: Serve the page to this machine alone and keep it up to date while runs go on, until Ctrl+C.
        port: Where to serve it; 0 takes a free one.
    """

    format: Format = "html"
    output: str | None = None
    completions: int = MOST_RECORDS
    live: bool = False
    port: int = 0


def main(args: Sequence[str]) -> None:
    """Write a report and say where it is, or serve it."""
    paths, options = parse(args)
    if options.live:
        serve_page(paths, options)
        return
    target = Path(options.output) if options.output else default_output(paths, options.format)
    report = read_report(paths)
    for path in report.unread:
        print(f"vrft_pl: {path} can't be read: the report does without it.", file=sys.stderr)
    write(report, options, target)
    print(f"Report: {target}")


def parse(args: Sequence[str]) -> tuple[list[str], ReportOptions]:
    """Read the arguments."""
    parser = OneLineParser(prog="vrft_pl report", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "runs", nargs="+", help="Folders of runs, of one ablation, or that hold runs.", metavar="FOLDER"
    )
    parser.add_class_arguments(ReportOptions)
    given = parser.parse_args(list(args)).as_dict()
    paths = given.pop("runs")
    if given["completions"] < 0 or not 0 <= given["port"] < 65536:
        fail("Expected `completions` to be 0 or more and `port` in 0 to 65535.", 2)
    if given["live"] and given["format"] != "html":
        fail(f"Expected `format` to be html for `live`, but got {given['format']}.", 2)
    return paths, ReportOptions(**given)


def default_output(paths: Sequence[str], name: Format) -> Path:
    """A file in the folder that is told of, or in the current one."""
    return (Path(paths[0]) if len(paths) == 1 else Path()) / f"report.{name}"


def write(report: Report, options: ReportOptions, target: Path) -> None:
    """Make the file, whole or not at all.

    Raises:
        InputError: If it can't be written.
    """
    made = content(report, options)
    try:
        with whole_file(target) as file:
            file.write(made)
    except OSError as error:
        raise InputError(f"Expected to write {target}, but: {error}. Name another file with `--output`.") from error


def content(report: Report, options: ReportOptions) -> bytes:
    """What the file holds."""
    if options.format == "png":
        file = BytesIO()
        draw(report, file)
        return file.getvalue()
    with_pages = {"html": lambda: page(report, options), "md": lambda: markdown(report)}
    text = with_pages.get(options.format, lambda: comma_separated(report))()
    return text.encode(errors="backslashreplace")


def page(report: Report, options: ReportOptions, stamp: float = 0.0) -> str:
    """The page as it is now."""
    return render(report, read_columns(report.subject.entries, options.completions), stamp)


def serve_page(paths: Sequence[str], options: ReportOptions) -> None:
    """Serve until Ctrl+C."""
    read_report(paths)  # a wrong folder is said at once
    live = LivePage(lambda: changed_at(paths), lambda stamp: page(read_report(paths), options, stamp))
    try:
        server = serve(live, options.port)
    except OSError as error:
        raise InputError(f"Expected `port` {options.port} to be free, but it can't be used: {error}.") from error
    print(f"Report: http://127.0.0.1:{server.server_port}/ (Ctrl+C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    finally:
        server.server_close()
