"""Conversations in JSON: LLaMA-Factory's ShareGPT format."""

from __future__ import annotations

import re
import reprlib
from pathlib import Path
from typing import Any

from vrft_pl.data.images import FileImage
from vrft_pl.data.sources.base import Record, Source
from vrft_pl.data.sources.rows import MARKER, check_text, checked_record, image_paths, read_rows, row_name
from vrft_pl.types import InputError

ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""What a turn is, by the names that its role goes by."""
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_THOUGHT_END = re.compile(r".*</(?:summary|caption|think)>", re.DOTALL)
_THOUGHTS = ("<summary>", "<caption>", "<think>")


class ShareGPT(Source):
    """Rows of LLaMA-Factory: ``messages`` (``role``, ``content``) or ``conversations`` (``from``, ``value``).

    A row holds one question and one answer, after a system prompt if it has one (a turn, or the key ``system``), and
    its pictures in ``images`` or ``image``, each with a marker ``<image>`` in the question. Where the answer has tags,
    what is inside ``<answer>`` is the answer, and a turn that holds ``<think>``, ``<summary>`` or ``<caption>`` is the
    chain of thought as it stands; supervised training writes its answer anew, in the coordinates of the policy.

    Args:
        path: A ``.json`` file that holds a list of objects, or a ``.jsonl`` file with one object a line.
        image_root: Folder that image paths are relative to. Defaults to the folder of ``path``.

    Raises:
        InputError: If the file is missing, empty, not JSON, or not a list of objects.
    """

    def __init__(self, path: str, image_root: str | None = None) -> None:
        self.path = Path(path)
        self.image_root = Path(image_root) if image_root is not None else self.path.parent
        self.rows = read_rows(self.path)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        """Read row ``index``; what is wrong with it raises `InputError` with file and row."""
        row = self.rows[index]
        owner = row_name(f"{self.path}, row {index}", row)
        if present := [key for key in ("videos", "audios") if row.get(key)]:
            raise InputError(f"{owner}: expected pictures alone, but it has `{present[0]}`.")
        spoken = turns(row, owner)
        paths = image_paths(row, owner)
        if (marks := spoken["user"].count(MARKER)) != len(paths):
            raise InputError(
                f"{owner}: expected as many `{MARKER}` in the question as pictures, but got {marks} and {len(paths)}."
            )
        if elsewhere := [role for role, text in spoken.items() if role != "user" and MARKER in text]:
            raise InputError(
                f"{owner}: expected `{MARKER}` in the question alone, but it is in the turn of {elsewhere[0]}."
            )
        answer, cot = split_answer(spoken["assistant"], owner)
        content = {"problem": spoken["user"], "answer": answer, "cot": cot, "tags": row.get("tags")}
        content["system"] = spoken.get("system", row.get("system"))
        return checked_record(content, owner, tuple(FileImage(self.image_root / path, owner) for path in paths))


def turns(row: dict[str, Any], owner: str) -> dict[str, str]:
    """Read the turns of a row by their role.

    Raises:
        InputError: If they are not one question and one answer, after at most one system prompt.
    """
    key, role_key, text_key = (
        ("messages", "role", "content") if "messages" in row else ("conversations", "from", "value")
    )
    said = row.get(key)
    if not isinstance(said, list) or not all(isinstance(turn, dict) for turn in said):
        raise InputError(
            f"{owner}: expected a list of turns in `messages` or `conversations`, but got {reprlib.repr(said)}."
        )
    names = [turn.get(role_key) for turn in said]
    roles = [ROLES.get(name) if isinstance(name, str) else None for name in names]
    if roles[-2:] != ["user", "assistant"] or roles[:-2] not in ([], ["system"]):
        raise InputError(f"{owner}: expected one question and one answer, but got turns of {reprlib.repr(names)}.")
    for turn in said:
        check_text(turn.get(text_key), text_key, owner)
    return {str(role): turn[text_key] for role, turn in zip(roles, said, strict=True)}


def split_answer(turn: str, owner: str) -> tuple[str, str | None]:
    """Split what the assistant said into answer and chain of thought.

    Raises:
        InputError: If its tags don't hold one answer.
    """
    thinks = any(tag in turn for tag in _THOUGHTS)
    if "<answer>" in turn or "</answer>" in turn:
        found = _ANSWER.search(turn)
        if found is None or turn.count("<answer>") != 1 or turn.count("</answer>") != 1:
            raise InputError(f"{owner}: expected one <answer> block, but got {reprlib.repr(turn)}.")
        answer, cot = found[1], turn if thinks else turn[: found.start()] + turn[found.end() :]
    elif thinks:
        end = _THOUGHT_END.match(turn)
        answer, cot = ("", turn) if end is None else (turn[end.end() :], end[0])
    else:
        answer, cot = turn, ""
    if not answer.strip():
        raise InputError(f"{owner}: expected an answer, but got {reprlib.repr(turn)}.")
    return answer.strip(), cot.strip() or None
