"""A process that compares mathematics with math-verify, one JSON line in, one out. It imports nothing of this package.

python math_worker.py

A request is a truth, an answer, a limit in seconds of CPU time of this process, which means the same on a busy machine,
and works whichever thread asks, and by how much two numbers may differ; ``null`` where they are to be equal.
"""

from __future__ import annotations

import cmath
import json
import logging
import signal
import sys
from contextlib import suppress
from functools import lru_cache
from types import FrameType
from typing import Any

WARM_UP = r"""
\frac{1}{2} \dfrac{-3}{4} 0.5 6\sqrt{3} \sqrt[3]{8} x^2+2x+1 (x+1)^{2} \pi 2\pi/3 \frac{\pi}{3} 50^\circ 50^{\circ} -7
\sin{30} \cos(x) \tan^{2}x 3\times4 3\cdot4 6\div2 x=5 x>3 x\leq7 (1,2) [0,1) \{1,2\} 1,2 a:b 3:4 50\% \pm3 \infty
\left(\frac{3}{2},-1\right) 2^{-3} 10^5 \log_{2}8 \ln{x} e^{x} |x-1| \frac{3\sqrt{2}}{2} \frac{\sqrt{3}+1}{\sqrt{2}} 5!
\frac{x+1}{x-1} \angle{A} \triangle{ABC} x\in(0,1) 3x+2y=6 1.5\times10^{3} 4\frac{1}{2} \sqrt{x^2+y^2} 5\text{cm}
x^2+2x x(x+2) (x+1)(x-1) x^2-1 \frac{18}{\sqrt{3}} 2\cdot3\sqrt{3} 1.5\sqrt{2} \frac{2\pi}{6} 1+\frac{2}{x-1}
x\cdot x+2\cdot x+1 2x^{2}-3\cdot x \frac{a}{b}+c a^2+b^2 \sqrt{a^{2}+b^{2}} \frac{-b+\sqrt{5}}{2a} \pi r^2 4\pi
\pi\left(\frac{5}{2}\right)^2 16-4\pi 4(4-\pi) 60\cdot\frac{5}{6} \frac{25\pi}{4} (6+2)(3-1) 2(x+1)-3 \frac{1}{2}(3+4)
\sqrt{2}+\sqrt{3} 2+\sqrt{3} \frac{2+\sqrt{3}}{4} \frac{1}{\sqrt{2}} 3^{2}+4^{2} \sqrt{9}\cdot2 \pi\cdot3^2
\frac{4}{3}\pi 10\sqrt{3}-5
x>3 (3,\infty) x\leq2 (-\infty,2] 1<x<4 (1,4)
4ab a\cdot b x>3 3<x 5 x=5 5 x=\frac{1}{2} 0.5 y=2x+1 x=-3 -3 3:4 \frac{3}{4} \sin(30) \sin{30} 1500 1.5\times10^{3}
"""
"""What the parser should have seen before the clock runs: it is ten to a hundred times slower the first time."""

PATIENCE = 10
"""Times the limit that is granted to prove equal what is equal in numbers, lest right answers be lost."""


class TimeUp(BaseException):
    """The limit is over. No `Exception`, so that hardly anything on the way catches it."""


class Limit:
    """A limit of CPU time that remembers whether it was over, for code that swallows what is raised."""

    def __init__(self) -> None:
        self.seconds, self.over = 1.0, False
        signal.signal(signal.SIGPROF, self._stop)

    def __enter__(self) -> None:
        self.over = False
        signal.setitimer(signal.ITIMER_PROF, self.seconds, self.seconds)

    def extend(self, factor: float) -> None:
        """Start again with a longer limit."""
        signal.setitimer(signal.ITIMER_PROF, factor * self.seconds, self.seconds)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.over = True
        raise TimeUp


def agree(truth: Any, answer: Any, tolerance: float | None = None) -> bool | None:
    """Whether two parsed values are close as numbers, each symbol being given a value; ``None`` for other kinds.

    Close is what differs by a thousandth, or by the tolerance if there is one.

    It takes a millisecond where proving that two formulas differ takes fifty.
    """
    from sympy import Expr, Rational

    if not (isinstance(truth, Expr) and isinstance(answer, Expr)):
        return None
    symbols = sorted(truth.free_symbols | answer.free_symbols, key=str)
    values = {symbol: Rational(7919 + 104 * i, 5003) for i, symbol in enumerate(symbols)}
    a, b = (complex(value.subs(values).evalf(15)) for value in (truth, answer))
    if not (cmath.isfinite(a) and cmath.isfinite(b)):
        return None
    return abs(a - b) <= (1e-3 * max(1.0, abs(a), abs(b)) if tolerance is None else tolerance)


def main() -> None:
    """Answer requests until the input ends."""
    logging.disable(logging.CRITICAL)  # math-verify warns at each call that nobody limits it
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse, verify

    # no search for a number in what the grammar fails on, nor for units, which would be factors that are dropped
    normalization = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True)
    extraction = [LatexExtractionConfig(normalization_config=normalization)]

    @lru_cache(maxsize=4096)
    def read(text: str) -> Any:
        return parse(f"${text}$", extraction_config=extraction, parsing_timeout=None)

    def judge(truth: str, answer: str, limit: Limit | None = None, tolerance: float | None = None) -> str:
        right, given = read(truth), read(answer)
        if tolerance is not None:
            return "right" if right and given and agree(right[0], given[0], tolerance) else "wrong"
        if not given:
            return "malformed"
        if len(right) == len(given) == 2 and "%" not in truth + answer:
            with suppress(TypeError, ValueError, AttributeError):  # no numbers: left to math-verify
                close = agree(right[0], given[0])
                if close is False:
                    return "wrong"
                if close and limit is not None:
                    limit.extend(PATIENCE)
        return "right" if verify(right, given, allow_set_relation_comp=True, timeout_seconds=None) else "wrong"

    texts = WARM_UP.split()
    for i, text in enumerate(texts):
        judge(texts[i - 1], text)
        judge(text, f"{text}+0")
    limit = Limit()
    print("ready", flush=True)
    for line in sys.stdin:
        truth, answer, limit.seconds, tolerance = json.loads(line)
        try:
            with limit:
                verdict = judge(truth, answer, limit, tolerance)
        except TimeUp:
            verdict = "timeout"
        except Exception:  # whatever a parser of others says of a text is no answer
            verdict = "malformed"
        print("timeout" if limit.over else verdict, flush=True)


if __name__ == "__main__":
    main()
