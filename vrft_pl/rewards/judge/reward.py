"""A reward that a language model gives."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from vrft_pl.prompts import answer_text
from vrft_pl.rewards.base import Grades, Reward
from vrft_pl.rewards.judge.endpoint import Ask, Endpoint, NoReply, Spent
from vrft_pl.rewards.judge.pictures import data_url
from vrft_pl.rewards.judge.question import TEMPLATE, VERDICT, JudgePrompt, Marks
from vrft_pl.rewards.parsing import Unread, read_answer
from vrft_pl.types import Completions, Sample

_KEY = Marks("mark", "code")
"""Stands for the marks of a question where it is told from others."""
_MOST_KNOWN = 1 << 20
"""Verdicts that a process remembers, the newest."""


class JudgeReward(Reward):
    """What a language model says of an answer, asked behind any endpoint of OpenAI's chat completions.

    While training, the completions of a window are sent at once, before the other rewards grade and beside the passes
    of the policy; equal ones once, and none whose verdict is known. A verdict that does not come, is late or is
    anything but the declared form scores 0 for the reason `Unread.ERROR` and is counted; the first is told in full. A
    judge that fails never ends a run.

    A completion can't close the block it stands in, speak as another turn or write a verdict: see `JudgePrompt`. It can
    still persuade. Train on it beside a reward that is verified, and look at what it pays for.

    Args:
        model: Name of the model, as the endpoint knows it.
        base_url: Where ``/chat/completions`` is.
        template: What the judge is shown: ``{answer}``, and if you want ``{question}`` and ``{truth}``.
        verdict: What it is to reply: ``{code}`` and ``{score}`` once each.
        low: Number for a wrong answer, which scores 0.
        high: Number for a right answer, which scores 1.
        reads: The ``answer`` of the completion, or the whole ``completion``.
        picture: Whether the pictures are sent too, as JPEG of at most a million pixels.
        most_characters: Of what is judged; a longer one scores 0 and is not sent.
        key_variable: Name of the environment variable with the key; ``None`` for no key.
        connections: Most requests at once, of this process.
        time_limit: Seconds for a verdict, all tries together.
        retries: Tries after the first one, where the server has a fault, is busy or does not answer.
        backoff: Seconds before the second try; twice as many before each further one.
        folder: Where verdicts are kept for other runs, a file each; ``None`` remembers those of this process only.
        request: Further fields of the request, such as ``{"max_tokens": 16}``.
        **kwargs: Those of `Reward`.

    Raises:
        ValueError: If a template can't be filled in, or a number is out of its range.
        InputError: If there is no key where one is asked for.

    Example:
        >>> JudgeReward("judge", template="Is this polite? {answer}", high=10).prompt.score("Verdict 42: 5", "42")
        0.5
    """

    bounds = (0.0, 1.0)
    costs = True

    def __init__(
        self,
        model: str,
        base_url: str = "http://127.0.0.1:8000/v1",
        template: str = TEMPLATE,
        verdict: str = VERDICT,
        low: float = 0.0,
        high: float = 1.0,
        reads: Literal["answer", "completion"] = "answer",
        picture: bool = False,
        most_characters: int = 8192,
        key_variable: str | None = None,
        connections: int = 32,
        time_limit: float = 60.0,
        retries: int = 3,
        backoff: float = 0.5,
        folder: str | None = None,
        request: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if reads not in ("answer", "completion") or most_characters < 1:
            raise ValueError(
                "Expected `reads` to be `answer` or `completion` and `most_characters` at least 1, "
                f"but got {reads!r} and {most_characters}."
            )
        check_request(request or {})
        if folder is not None and "\0" in folder:
            raise ValueError(f"Expected `folder` to be the name of a folder, but got {folder!r}.")
        self.prompt = JudgePrompt(template, verdict, low, high)
        self.reads, self.picture, self.most_characters = reads, picture, most_characters
        body = {"model": model, "temperature": 0.0, "max_tokens": 64, **(request or {})}
        endpoint = Endpoint(base_url, key_variable, connections, time_limit, retries, backoff)
        self.verdicts = Verdicts(self.prompt, endpoint, body, None if folder is None else Path(folder))

    @property
    def spent(self) -> Mapping[str, float]:  # type: ignore[override]  # what is read only there may change here
        """What asking took."""
        return self.verdicts.spent.as_dict()

    def go_on_counting(self, spent: Mapping[str, float]) -> None:
        """Count on from what a run had spent before it stopped."""
        self.verdicts.spent = Spent(**spent)  # type: ignore[arg-type]  # as it was written

    def begin(self, completions: Completions, samples: Sequence[Sample]) -> None:
        """Ask for every completion."""
        self._ask(completions, samples)

    def grade(self, completions: Completions, samples: Sequence[Sample]) -> Grades:
        """Wait for the verdicts."""
        asked = self._ask(completions, samples)
        verdicts = [one if isinstance(one, Unread) else one.result() for one in asked]
        self.verdicts.forget_asked()
        return self.verdict(verdicts, completions, samples)

    def _ask(self, completions: Completions, samples: Sequence[Sample]) -> list[Future[float | Unread] | Unread]:
        pictures: dict[int, list[str]] = {}
        asked: list[Future[float | Unread] | Unread] = []
        for text, sample, frame in zip(completions.texts, samples, completions.frames, strict=True):
            read = self.read(text, sample)
            if isinstance(read, Unread):
                asked.append(read)
                continue
            if self.picture and id(sample) not in pictures:
                pictures[id(sample)] = [data_url(image.open()) for image in sample.images]
            values = {"question": sample.problem, "answer": read}
            if self.prompt.shows_truth:
                values["truth"] = answer_text(sample, frame)
            asked.append(self.verdicts.ask(values, pictures.get(id(sample), [])))
        return asked

    def read(self, text: str, sample: Sample) -> str | Unread:
        """What of a completion is judged."""
        read = read_answer(text, sample.style) if self.reads == "answer" else text.strip() or Unread.EMPTY
        return Unread.TOO_LONG if isinstance(read, str) and len(read) > self.most_characters else read


def check_request(request: Mapping[str, Any]) -> None:
    """Raise `ValueError` for fields of a request that are the reward's own, or that JSON has no words for."""
    if taken := {"messages", "stream", "n"} & set(request):
        raise ValueError(
            f"Expected `request` without {sorted(taken)}, which the reward writes itself, but got {request}."
        )
    try:
        json.dumps(request, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected `request` to be JSON, but {request} is not: {error}.") from error


class Verdicts:
    """Verdicts by what was asked; a copy of it is itself, so that all copies of a reward remember and count together.

    Args:
        prompt: Writes the question and reads the verdict.
        endpoint: Who is asked.
        body: Further fields of a request.
        folder: Where verdicts are kept; ``None`` for nowhere.
    """

    def __init__(self, prompt: JudgePrompt, endpoint: Endpoint, body: dict[str, Any], folder: Path | None) -> None:
        self.prompt, self.endpoint, self.body, self.folder = prompt, endpoint, body, folder
        self.spent = Spent()
        self._known: dict[str, float] = {}
        self._asked: dict[str, Future[float | Unread]] = {}
        self._told = False

    def __deepcopy__(self, memo: Any) -> Verdicts:
        """Itself."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without what is asked for in this process."""
        return self.__dict__ | {"_asked": {}}

    def ask(self, values: dict[str, str], pictures: list[str]) -> Future[float | Unread]:
        """Ask for a verdict, unless it is known or asked for already."""
        key = self._key(values, pictures)
        if key in self._asked:
            return self._asked[key]
        known = self._remembered(key)
        if known is None:
            self._asked[key] = self.endpoint.submit(lambda ask: self._verdict(ask, key, values, pictures))
        else:
            self.spent.remembered += 1
            self._asked[key] = Future()
            self._asked[key].set_result(known)
        return self._asked[key]

    def forget_asked(self) -> None:
        """Let go of what came, so that what failed is asked for again; verdicts are remembered."""
        self._asked = {key: one for key, one in self._asked.items() if not one.done()}

    async def _verdict(self, ask: Ask, key: str, values: dict[str, str], pictures: list[str]) -> float | Unread:
        marks = Marks.drawn()
        try:
            reply = await ask({**self.body, "messages": self.prompt.messages(values, marks, pictures)}, self.spent)
        except NoReply as error:
            return self._failed(str(error))
        score = self.prompt.score(reply.text, marks.code)
        if score is None:
            form = self.prompt.verdict.format(code=marks.code, score="SCORE")
            return self._failed(f"it was to reply `{form}`, and replied {reply.text[:80]!r}")
        self._remember(key, score)
        return score

    def _failed(self, why: str) -> Unread:
        self.spent.failures += 1
        if not self._told:
            self._told = True
            warnings.warn(
                f"Expected a verdict of judge `{self.body['model']}`, but there is none: {why}. It counts 0, as all "
                "that follow, which are counted only.",
                stacklevel=2,
            )
        return Unread.ERROR

    def _key(self, values: dict[str, str], pictures: list[str]) -> str:
        """A name of what is asked, whatever its marks."""
        asked = [self.body, self.prompt.messages(values, _KEY, pictures), self.prompt.low, self.prompt.high]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def _remembered(self, key: str) -> float | None:
        if key not in self._known and self.folder is not None:
            try:
                score = json.loads(self._file(key).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return None
            if isinstance(score, float) and 0 <= score <= 1:
                self._known[key] = score
        return self._known.get(key)

    def _remember(self, key: str, score: float) -> None:
        self._known[key] = score
        if len(self._known) > _MOST_KNOWN:
            self._known.pop(next(iter(self._known)))
        if self.folder is None:
            return
        file = self._file(key)
        whole = file.with_suffix(f".{os.getpid()}")  # another process may write the same one
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(json.dumps(score), encoding="utf-8")
            whole.replace(file)
        except OSError as error:
            warnings.warn(f"Expected to keep verdicts in {self.folder}, but can't: {error}.", stacklevel=2)
            self.folder = None

    def _file(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / f"{key}.json"
