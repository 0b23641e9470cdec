"""A process that compares mathematics with math-verify, one JSON line in, one out. It imports nothing of this package.

python math_worker.py SECONDS

The limit is CPU time of this process, so that it means the same on a busy machine, and works whichever thread asks.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
from types import FrameType
from typing import Any

WARM_UP = r"""
\frac{1}{2} \dfrac{-3}{4} 0.5 6\sqrt{3} \sqrt[3]{8} x^2+2x+1 (x+1)^{2} \pi 2\pi/3 \frac{\pi}{3} 50^\circ 50^{\circ} -7
\sin{30} \cos(x) \tan^{2}x 3\times4 3\cdot4 6\div2 x=5 x>3 x\leq7 (1,2) [0,1) \{1,2\} 1,2 a:b 3:4 50\% \pm3 \infty
\left(\frac{3}{2},-1\right) 2^{-3} 10^5 \log_{2}8 \ln{x} e^{x} |x-1| \frac{3\sqrt{2}}{2} \frac{\sqrt{3}+1}{\sqrt{2}} 5!
\frac{x+1}{x-1} \angle{A} \triangle{ABC} x\in(0,1) 3x+2y=6 1.5\times10^{3} 4\frac{1}{2} \sqrt{x^2+y^2} 5\text{cm}
x^2+2x x(x+2) (x+1)(x-1) x^2-1 \frac{18}{\sqrt{3}} 2\cdot3\sqrt{3} 1.5\sqrt{2} \frac{2\pi}{6} 1+\frac{2}{x-1}
4ab a\cdot b x>3 3<x
"""
"""What the parser should have seen before the clock runs: it is ten to a hundred times slower the first time."""


class TimeUp(BaseException):
    """The limit is over. No `Exception`, so that nothing on the way catches it."""


def _stop(signum: int, frame: FrameType | None) -> None:
    raise TimeUp


def main(seconds: float) -> None:
    """Answer requests until the input ends."""
    logging.disable(logging.CRITICAL)  # math-verify warns at each call that nobody limits it
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    extraction = [LatexExtractionConfig(), ExprExtractionConfig()]

    def read(text: str) -> Any:
        return parse(f"${text}$", extraction_config=extraction, parsing_timeout=None)

    def judge(truth: str, answer: str) -> str:
        parsed = read(answer)
        if not parsed:
            return "malformed"
        return "right" if verify(read(truth), parsed, timeout_seconds=None) else "wrong"

    texts = WARM_UP.split()
    for i, text in enumerate(texts):
        judge(texts[i - 1], text)
        judge(text, f"{text}+0")
    signal.signal(signal.SIGPROF, _stop)
    print("ready", flush=True)
    for line in sys.stdin:
        truth, answer = json.loads(line)
        try:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            verdict = judge(truth, answer)
            signal.setitimer(signal.ITIMER_PROF, 0)
        except TimeUp:
            verdict = "timeout"
        except Exception:  # whatever a parser of others says of a text is no answer
            verdict = "malformed"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(verdict, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
