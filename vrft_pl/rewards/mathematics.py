"""Whether mathematics is right."""

from __future__ import annotations

import atexit
import json
import math
import os
import queue
import re
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from vrft_pl.answers import AnswerFrame, Expression, Number
from vrft_pl.rewards.answer import ShortAnswer
from vrft_pl.rewards.parsing import Quantity, Unread, parse_expression, parse_number
from vrft_pl.rewards.parsing.mathematics import Parts, split_parts, split_unit, translate, unsafe, without_brackets
from vrft_pl.types import Sample

_START_SECONDS = 300.0
_MAX_PARTS = 8
"""Parts of a point or set that are compared one by one."""
_LISTLESS = re.compile(r"[<>]|\\(?:leq?|geq?|in|pm|mp)(?![a-z])")
"""What may equal a list without being one: an inequality is an interval, plus or minus is two values."""


class MathMatch(ShortAnswer):
    r"""1 when the answer is mathematically equal to the ground truth by math-verify, else 0 (Reason-RFT, sec. 3.3).

    Only the content of the answer is compared, as a whole: one expression and nothing around it (math-verify itself
    takes the last expression of any text). Units may be left out; two different ones are never equal. Comparison runs
    in a process of its own under a limit of CPU time, which works on any thread; what exceeds it scores 0 and counts as
    ``timeout``. The parser is many times slower on forms that it has not seen, so that a right answer in a rare form
    may be lost once. An answer that is right in numbers gets ten times the limit for its proof.

    Args:
        time_limit: Seconds of CPU for one comparison.
        **kwargs: Those of `ShortAnswer`.

    Raises:
        ValueError: If ``time_limit`` is not positive.

    Example:
        >>> from vrft_pl.types import Sample
        >>> sample = Sample("1", (), "What is the area?", Expression(r"6\sqrt{3}"), style="answer")
        >>> reward = MathMatch()
        >>> answers = (r"$\sqrt{108}$ ", r"6\sqrt{3} \text{ cm}^2", "10", "not 3")
        >>> [reward.grade_one(answer, sample, None) for answer in answers]
        [1.0, 1.0, 0.0, <Unread.MALFORMED: 'malformed'>]
    """

    solution_type = (Expression, Number)

    def __init__(self, time_limit: float = 0.025, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 < time_limit < float("inf"):
            raise ValueError(f"Expected `time_limit` to be a positive number of seconds, but got {time_limit}.")
        self.time_limit = time_limit

    def grade_one(self, text: str, sample: Sample, frame: AnswerFrame | None) -> float | Unread:
        """Judge one answer."""
        assert isinstance(sample.solution, Expression | Number)
        answer = self.read(text, sample)
        if isinstance(answer, Unread):
            return answer
        answer = parse_expression(answer)
        if isinstance(answer, Unread):
            return answer
        match sample.solution:
            case Number(value, unit):
                truth = repr(value) if unit is None else f"{value!r} {unit}"
            case Expression(truth):
                pass
        return compare(truth, answer, self.time_limit)


def compare(truth: str, answer: str, time_limit: float) -> float | Unread:
    """Compare two expressions. What took too long is asked again the next time: the parser is faster then.

    Args:
        truth: Ground truth.
        answer: What the policy wrote, without what stands around it.
        time_limit: Seconds of CPU.

    Returns:
        1 if they are equal, 0 if not, or why the answer is no expression.
    """
    try:
        return _compare(truth, answer, time_limit)
    except TimeoutError:
        return Unread.TIMEOUT


def forget() -> None:
    """Forget the comparisons of this process."""
    _compare.cache_clear()


@lru_cache(maxsize=65_536)
def _compare(truth: str, answer: str, time_limit: float) -> float | Unread:
    """`compare`; raises `TimeoutError`, which is not remembered."""
    if "".join(truth.split()) == "".join(answer.split()):
        return 1.0
    left, right = parse_number(truth), parse_number(answer)
    if isinstance(left, Quantity) and isinstance(right, Quantity):
        # a percentage of its own is a hundredth; where one is asked for, its sign is a unit that may be left out
        value = right.value / 100 if right.unit == "%" != left.unit else right.value
        same_unit = left.unit is None or right.unit in (None, left.unit)
        return float(same_unit and math.isclose(left.value, value, rel_tol=1e-9, abs_tol=1e-9))
    if right is Unread.NOT_FINITE:
        return right
    (truth, truth_unit), (answer, answer_unit) = (split_unit(translate(text)) for text in (truth, answer))
    truth, answer = without_brackets(truth), without_brackets(answer)
    if "".join(truth.split()) != "".join(answer.split()) and (problem := unsafe(answer)):
        return problem
    if truth_unit is not None and answer_unit is not None and truth_unit != answer_unit:
        return 0.0
    if "".join(truth.split()) == "".join(answer.split()):
        return 1.0
    if not _LISTLESS.search(truth + answer):
        if ("," in truth) != ("," in answer):
            return 0.0
        several = split_parts(truth), split_parts(answer)
        if any(several) and (same := same_parts(*several, time_limit)) is not None:
            return float(same)
    verdict = WORKER.ask(truth, answer, time_limit)
    if verdict is Unread.TIMEOUT:
        raise TimeoutError
    return verdict if isinstance(verdict, Unread) else float(verdict)


def same_parts(truth: Parts | None, answer: Parts | None, time_limit: float) -> bool | None:
    """Compare points and sets part by part, which takes a millisecond each where math-verify takes eighty for both.

    Returns:
        Whether they are equal; ``None`` where they have as many parts, and too many to compare one by one.
    """
    if truth is None or answer is None or len(truth.items) != len(answer.items):
        return False
    if len(truth.items) > _MAX_PARTS:
        return None
    kinds = {truth.kind, answer.kind} - {""}
    if len(kinds) == 2:
        return False
    rest = list(answer.items)
    for part in truth.items:
        candidates = rest[:1] if kinds & {"(", "["} else rest
        same = next((item for item in candidates if _compare(part, item, time_limit) == 1.0), None)
        if same is None:
            return False
        rest.remove(same)
    return True


class MathWorker:
    """Owns the process that compares; starts it when it is first needed and again after it died.

    One question at a time, from any thread. A process that was forked starts a worker of its own.
    """

    def __init__(self) -> None:
        self._forget()
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Own nothing: another process may hold the lock, and owns the worker."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def ask(self, truth: str, answer: str, time_limit: float) -> bool | Unread:
        """Compare two expressions under a limit of CPU seconds."""
        question = json.dumps([truth, answer, time_limit]) + "\n"
        with self._lock:
            verdict = self._reply(question, time_limit)
            if verdict is None:  # it was killed, which says nothing of the question
                verdict = self._reply(question, time_limit)
        if verdict in (None, "timeout"):
            return Unread.TIMEOUT
        return Unread.MALFORMED if verdict == "malformed" else verdict == "right"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _reply(self, question: str, time_limit: float) -> str | None:
        """What the process says; ``timeout`` if it hangs, nothing if it died."""
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(question)
            process.stdin.flush()
            # far more than the limit, for work that no signal interrupts and for machines that are busy
            verdict = self._lines.get(timeout=5 + 50 * time_limit)
        except queue.Empty:
            self.stop()
            return "timeout"
        except OSError:
            verdict = ""
        if not verdict:
            self.stop()
        return verdict or None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None:
            return self._process
        command = [sys.executable, "-P", str(Path(__file__).with_name("math_worker.py"))]
        self._lines = queue.Queue()
        # in a session of its own, so that an interrupt from the keyboard ends the run and not the comparison
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        threading.Thread(target=_drain, args=(self._process, self._lines), daemon=True).start()
        try:
            ready = self._lines.get(timeout=_START_SECONDS)
        except queue.Empty:
            ready = ""
        if ready != "ready":
            self.stop()
            raise RuntimeError(f"MathMatch could not start math-verify. Try `{' '.join(command)}` by hand.")
        return self._process


def _drain(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line.strip())
    lines.put("")  # it ended


WORKER = MathWorker()
