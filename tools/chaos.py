"""Kills runs at random moments, lets them go on, and compares what they leave with runs that nobody killed.

    python tools/chaos.py --kills 200 --seed 0 --output vrft_pl/runs/CHAOS.md

Each case of the matrix runs once undisturbed, and then until it is finished however often it is killed (SIGKILL to all
of its processes): in a phase drawn at random, at a call of it drawn at random, after a share of its usual time drawn
at random. It goes on by ``--resume`` alone. Exported weights have to be the same bit by bit, each record has to be
there once and be the same, and so have the scores. Exit code 1 when anything differs.

The table is written anew after each case.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos_runs.case import Case, matrix
from chaos_runs.left import difference, left_behind
from chaos_runs.life import live, tail
from chaos_runs.moments import Timing, counted, drawn

MOST_LIVES = 6
"""Kills of one run, after which it is left alone."""


@dataclass
class Outcome:
    """What became of a case."""

    kills: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


def attack(case: Case, kills: int, rng: random.Random, place: Path) -> Outcome:
    """Kill a case that many times, over as many runs as it takes; the first difference ends it."""
    outcome, note, start = Outcome(), place / "note", time.monotonic()
    if (code := live(case, place / "whole", None, note)) != 0:
        outcome.differences.append(f"the undisturbed run ended with {code}: {tail(note)}")
        return outcome
    timings, expected = counted(note), left_behind(place / "whole")
    while outcome.kills.total() < kills and not outcome.differences:
        folder = place / "killed"
        told = killed_and_resumed(case, folder, timings, kills, rng, outcome)
        if not outcome.differences:
            got = left_behind(folder)
            found = {what: difference(got[what], expected[what]) for what in got}
            outcome.differences += [f"{what}: {how} (after {told})" for what, how in found.items() if how]
        shutil.rmtree(folder)
    outcome.seconds = time.monotonic() - start
    return outcome


def killed_and_resumed(
    case: Case, folder: Path, timings: Mapping[str, Timing], kills: int, rng: random.Random, outcome: Outcome
) -> str:
    """Let one run live until it is finished, and count its kills. Returns when it was killed."""
    moments, note = list[str](), folder.with_name("note")
    for life in range(MOST_LIVES + 1):
        last = life == MOST_LIVES or outcome.kills.total() >= kills
        kill = None if last else drawn(timings, rng, rng.choice(list(timings)))
        code = live(case, folder, kill, note)
        if code == -signal.SIGKILL and note.exists():
            outcome.kills[note.read_text(encoding="utf-8")] += 1
            moments.append(str(kill))
        else:
            if code != 0:
                outcome.differences.append(f"ended with {code} after {', '.join(moments)}: {tail(note)}")
            break
    return ", ".join(moments)


def table(outcomes: Mapping[Case, Outcome], args: argparse.Namespace) -> str:
    """The results as markdown."""
    total = sum((outcome.kills for outcome in outcomes.values()), Counter[str]())
    bad = sum(bool(outcome.differences) for outcome in outcomes.values())
    chosen = f" --cases '{args.cases}'" if args.cases else ""
    lines = [
        "# Runs that were killed, and what they left",
        "",
        f"`python tools/chaos.py --kills {args.kills} --seed {args.seed}{chosen}`, on a CPU:",
        f"{total.total()} kills in {len(outcomes)} kinds of runs,",
        f"{bad or 'none'} of which ended in another way than undisturbed.",
        "",
        f"Kills by phase: {', '.join(f'{phase} {count}' for phase, count in total.most_common())}.",
        "",
        "| run | kills | differences |",
        "|---|---|---|",
        *(
            f"| {case.name} | {outcome.kills.total()} | {'; '.join(outcome.differences) or 'none'} |"
            for case, outcome in sorted(outcomes.items(), key=lambda item: item[0].name)
        ),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack all cases, print the table, and say whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", default="", help="Only those whose name holds this.")
    parser.add_argument("--elsewhere", type=Path, default=Path("/dev/shm"), help="A folder on another file system.")
    parser.add_argument("--output", type=Path, help="File for the table.")
    args = parser.parse_args(arguments)
    import vrft_pl.commands.fit  # noqa: F401  # once, for all lives

    cases = [case for case in matrix() if args.cases in case.name]
    random.Random(args.seed).shuffle(cases)  # a table that is cut short is of all kinds
    share, more = divmod(args.kills, len(cases))
    outcomes: dict[Case, Outcome] = {}
    for i, case in enumerate(cases[: args.kills]):
        own = share + (i < more)
        with tempfile.TemporaryDirectory(dir=args.elsewhere if case.elsewhere else None) as place:
            outcomes[case] = attack(case, own, random.Random(f"{args.seed}/{case.name}"), Path(place))
        said = "; ".join(outcomes[case].differences) or "no difference"
        print(f"{case.name}: {outcomes[case].kills.total()} kills, {said}, {outcomes[case].seconds:.0f} s", flush=True)
        if args.output:
            args.output.write_text(table(outcomes, args), encoding="utf-8")
    print(table(outcomes, args))
    return int(any(outcome.differences for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
