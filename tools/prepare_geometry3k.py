"""Prepare Geometry3K for structure perception: train.jsonl, val.jsonl, test.jsonl.

python tools/prepare_geometry3k.py data/geometry3k

The folder holds the unpacked train/, val/ and test/ of https://github.com/lupantech/InterGPS, each with a folder a
question: data.json and img_diagram.png.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prepare.command import run
from prepare.files import first_of, read_json, relative, write_splits

from vrft_pl.types import InputError

SPLITS = ("train", "val", "test")
LETTERS = "ABCD"


def prepare(folder: Path, output: Path) -> dict[str, int]:
    """Write multiple-choice questions, the options in the question."""
    splits = {}
    for split in SPLITS:
        questions = sorted(first_of(folder, split).glob("*/"), key=lambda path: (len(path.name), path.name))
        splits[split] = [row(question, split, output) for question in questions]
    return write_splits(output, splits)


def row(question: Path, split: str, output: Path) -> dict[str, object]:
    """Read the folder of one question.

    Raises:
        InputError: If a file is missing, or it is no question with options and a letter.
    """
    path = first_of(question, "data.json")
    data = read_json(path)
    options = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(options, list) or len(options) != len(LETTERS) or not all(isinstance(o, str) for o in options):
        raise InputError(f"{path}: expected `choices` to be {len(LETTERS)} texts, but got {options!r}.")
    problem, answer = data.get("problem_text"), data.get("answer")
    if not isinstance(problem, str) or not problem.strip():
        raise InputError(f"{path}: expected `problem_text` to be a question, but got {problem!r}.")
    if not isinstance(answer, str) or len(answer) != 1 or answer not in LETTERS:
        raise InputError(f"{path}: expected `answer` to be one of {', '.join(LETTERS)}, but got {answer!r}.")
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True))
    return {
        "id": f"{split}-{question.name}",
        "image": relative(question / "img_diagram.png", output),
        "problem": f"{problem.strip()}\n{listed}",
        "answer": answer,
        "options": options,
    }


def main(args: Sequence[str] | None = None) -> None:
    """Run the command."""
    run(prepare, __doc__, args)


if __name__ == "__main__":
    main()
