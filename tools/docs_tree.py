"""Pages for mkdocs: one tree laid out as the repository, so that a link leads to the same place in both.

Every page in Markdown is one. Whatever a page links to comes along: a picture as it is, a folder as a list of its
files, any other text as a page of its own. The reference of each package is made from its docstrings, which are read
and never run.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from vrft_pl.commands.definitions import at, find

ROOT = Path(__file__).parents[1]
PARTS = ("docs", "configs", "experiments", "tests", "tools", "vrft_pl")
"""Folders whose pages belong to the site, beside those of the root."""
STYLE = "docs/site.css"
PICTURES = (".png", ".svg", ".jpg", ".webp")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".sh": "bash", ".json": "json", ".toml": "toml"}
REFERENCE = {
    "types": "Values that travel",
    "answers": "Kinds of ground truth",
    "data": "Families and sources",
    "policy": "Policies",
    "rollout": "Sampling",
    "rewards": "Rewards",
    "metrics": "Metrics",
    "algorithms": "Advantages and losses",
    "modules": "Modules",
    "callbacks": "Callbacks",
    "ablation": "Ablations",
    "runs": "What a run leaves",
    "trainer": "Runs in Python",
}
"""Title of the reference of each package."""
_FENCE = re.compile(r"^(`{3,}).*?^\1`*$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)")
_CELL = re.compile(r"<td>.*?</td>", re.DOTALL)
_FOUND_LAST = "---\nsearch:\n  boost: 0.3\n---\n\n"
_UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"


def on_files(files: Files, config: Any) -> Files:
    """Lay the pages out as in the repository, with whatever they link to; themes keep their own files."""
    kept = [file for file in files if file.src_dir != config.docs_dir]
    pages = list(written_pages())
    made = dict(reference_pages())
    linked: dict[str, str | None] = {}
    for place in pages:
        for target in targets((ROOT / place).read_text(encoding="utf-8"), place):
            linked |= companion(target)
    made |= {place: text for place, text in linked.items() if text is not None}
    pictures = (place for place, text in linked.items() if text is None)
    plain = [place for place in (*pages, *pictures, STYLE) if place not in made]
    copied = [File.generated(config, place, abs_src_path=str(ROOT / place)) for place in dict.fromkeys(plain)]
    return Files([*kept, *copied, *(File.generated(config, place, content=text) for place, text in made.items())])


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Lead links to folders and texts to the pages that they have become."""
    place = page.file.src_uri

    def lead(match: re.Match[str]) -> str:
        return match[0] + page_suffix(resolved(match[0], place)) if is_inside(match[0]) else match[0]

    pieces, start = [], 0
    for fence in _FENCE.finditer(markdown):
        pieces += [_LINK.sub(lead, markdown[start : fence.start()]), fence[0]]
        start = fence.end()
    return "".join([*pieces, _LINK.sub(lead, markdown[start:])])


def on_page_content(html: str, **kwargs: Any) -> str:
    """Show bars in the code of tables as they are meant: Python-Markdown keeps the backslash before them."""
    return _CELL.sub(lambda cell: cell[0].replace("\\|", "|"), html)


def written_pages() -> Iterator[str]:
    """Pages in Markdown, by their place in the repository."""
    yield from sorted(path.name for path in ROOT.glob("*.md"))
    for part in PARTS:
        yield from (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / part).rglob("*.md")))


def targets(markdown: str, place: str) -> Iterator[str]:
    """Places in the repository that a page links to, outside of its code."""
    for link in _LINK.findall(_FENCE.sub("", markdown)):
        if is_inside(link):
            yield resolved(link, place)


def is_inside(link: str) -> bool:
    """Whether a link leads to another file of the repository."""
    return "://" not in link and not link.startswith(("mailto:", "/"))


def resolved(link: str, place: str) -> str:
    """The place that a link of a page at ``place`` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), link))


def page_suffix(target: str) -> str:
    """What a link to a file or folder gets behind it to lead to its page."""
    path = ROOT / target
    if path.is_dir():
        return "/README.md" if (path / "README.md").exists() else "/index.md"
    return ".md" if path.is_file() and path.suffix not in (".md", *PICTURES) else ""


def companion(target: str) -> dict[str, str | None]:
    """The page or picture that comes along for a link, by its place; the content of one that is made."""
    path = ROOT / target
    if path.is_dir() and not (path / "README.md").exists():
        names = (f"{target}/{file.name}" for file in texts_in(path))
        return {f"{target}/index.md": listing(target), **{f"{name}.md": source(name) for name in names}}
    if path.is_file() and path.suffix != ".md":
        return {target: None} if path.suffix in PICTURES else {f"{target}.md": source(target)}
    return {}


def texts_in(folder: Path) -> list[Path]:
    """Files of a folder that a page is made of."""
    return [path for path in sorted(folder.iterdir()) if path.suffix in LANGUAGES]


def listing(folder: str) -> str:
    """A page of the files in a folder."""
    names = "\n".join(f"- [`{file.name}`]({file.name})" for file in texts_in(ROOT / folder))
    return f"{_UNSEARCHED}# `{folder}`\n\n{names}\n"


def source(place: str) -> str:
    """A page of a text, or of a notebook with what its cells put out."""
    text = (ROOT / place).read_text(encoding="utf-8")
    if place.endswith(".ipynb"):
        return "\n\n".join(part for cell in json.loads(text)["cells"] for part in cell_parts(cell)) + "\n"
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`{3,}", text)), default=0))
    return f"{_UNSEARCHED}# `{place}`\n\n{fence}{LANGUAGES.get(Path(place).suffix, 'text')}\n{text}\n{fence}\n"


def cell_parts(cell: dict[str, Any]) -> Iterator[str]:
    """A cell of a notebook in Markdown, then each of its outputs: a picture, or the text that it put out."""
    text = "".join(cell["source"])
    yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
    for output in cell.get("outputs", ()):
        held = output.get("data", {})
        if "image/png" in held:
            yield f'<img alt="output" src="data:image/png;base64,{"".join(held["image/png"]).strip()}">'
        elif said := "".join(held.get("text/plain", output.get("text", ()))):
            yield f"```text\n{said.rstrip()}\n```"


def reference_pages() -> Iterator[tuple[str, str]]:
    """Pages of what each package makes public, in the order of the alphabet."""
    for name, title in REFERENCE.items():
        entries = "\n".join(f"::: {where}.{public}\n" for public, where in sorted(public_names(name).items()))
        yield f"docs/reference/{name}.md", f"{_FOUND_LAST}# {title}\n\nFrom `vrft_pl.{name}`.\n\n{entries}"


def public_names(package: str) -> dict[str, str]:
    """The module that defines each public class and function of a package."""
    found = at(f"vrft_pl.{package}")
    own = [name for name, member in found.members.items() if not member.is_alias and not name.startswith("_")]
    places = {name: find(f"{found.path}.{name}") for name in (own if found.exports is None else found.exports)}
    return {name: place.module.path for name, place in places.items() if place and place.path.startswith(found.path)}
