"""Conversations in JSON: LLaMA-Factory's ShareGPT format."""

from __future__ import annotations

import re
import reprlib
from typing import Any

from vrft_pl.data.sources.base import Record
from vrft_pl.data.sources.rows import JSONRows, check_text, checked_record
from vrft_pl.prompts import MARKER
from vrft_pl.types import InputError

ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""What a turn is, by the names that its role goes by."""
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_THOUGHT_END = re.compile(r".*</(?:summary|caption|think)>", re.DOTALL)
_THOUGHTS = ("<summary>", "<caption>", "<think>")


class ShareGPT(JSONRows):
    """Rows of LLaMA-Factory: ``messages`` (``role``, ``content``) or ``conversations`` (``from``, ``value``).

    A row holds one question and one answer, after a system prompt if it has one (a turn, or the key ``system``), and
    its pictures in ``images`` or ``image``, each with a marker ``<image>`` in the question. Where the answer has tags,
    what is inside ``<answer>`` is the answer, and a turn that holds ``<think>``, ``<summary>`` or ``<caption>`` is the
    chain of thought as it stands; supervised training writes its answer anew, in the coordinates of the policy.

    Arguments and errors are those of `JSONRows`.
    """

    @property
    def used(self) -> frozenset[str]:
        """Keys that are read, and so are no columns of their own."""
        return frozenset(("messages", "conversations", "images", "image", "system", "tags"))

    def record(self, row: dict[str, Any], owner: str) -> Record:
        """Check a row."""
        if present := [key for key in ("videos", "audios") if row.get(key)]:
            raise InputError(f"{owner}: expected pictures alone, but it has `{present[0]}`.")
        spoken = turns(row, owner)
        images = self.pictures(row, owner)
        if (marks := spoken["user"].count(MARKER)) != len(images):
            raise InputError(
                f"{owner}: expected as many `{MARKER}` in the question as pictures, but got {marks} and {len(images)}."
            )
        if elsewhere := [role for role, text in spoken.items() if role != "user" and MARKER in text]:
            raise InputError(
                f"{owner}: expected `{MARKER}` in the question alone, but it is in the turn of {elsewhere[0]}."
            )
        answer, cot = split_answer(spoken["assistant"], owner)
        content = {"problem": spoken["user"], "answer": answer, "cot": cot, "tags": row.get("tags")}
        content["system"] = spoken.get("system", row.get("system"))
        return checked_record(content, owner, images)


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
