"""What the numbers of a comparison allow to be said, in sentences that say no more."""

from __future__ import annotations

from collections.abc import Sequence

from vrft_pl.runs.ablation import Contrast, in_rows

MIN_SEEDS = 3
"""Seeds below which nothing is concluded."""
FEW_SEEDS = 5
"""Seeds below which a conclusion is said to be weak."""
LEVEL = 0.05
"""Greatest p-value that counts as a difference."""
MARGIN = 0.03
"""A difference that is of no interest: an interval within it on both sides is said to be one."""


def sentence(contrast: Contrast, margin: float = MARGIN) -> str:
    """Say what a contrast shows.

    A difference is claimed where the p-value, corrected for a primary contrast, is at most `LEVEL`. That there is none
    is never claimed from a wide interval; that it is small is, where the interval lies within the margin. What was not
    named beforehand is called exploratory. Where all seeds differ by the same there is no spread to judge by, and
    nothing is claimed.

    Args:
        contrast: One arm against another on one metric.
        margin: A difference that is of no interest.

    Example:
        >>> found = Contrast("", "rft", "sft", "id/BoxIoU", 64, True, 0.17, 0.05, 0.29, 0.01, 0.02, pairs=(0.17,) * 5)
        >>> print(sentence(found))
        rft scores higher than sft on id/BoxIoU with 64 rows: +0.170 (95 % interval +0.050 to +0.290 over 5 seeds, p = \
0.020 after Holm's correction).
    """
    seeds = len([pair for pair in contrast.pairs if pair is not None])
    if seeds < MIN_SEEDS:
        return f"{_asked(contrast)}: no verdict from {seeds} of at least {MIN_SEEDS} seeds."
    if contrast.difference is None or contrast.low is None or contrast.high is None or contrast.p is None:
        return f"{_asked(contrast)}: no verdict, for the difference could not be computed."
    mean, low, high, p = contrast.difference, contrast.low, contrast.high, _p_value(contrast)
    if low == high:
        # the t test divides by the spread: its p-value of 0 or 1 would be a claim from nothing
        return (
            f"{_asked(contrast)}: no verdict, for all {seeds} seeds differ by the same {mean:+.3f}, and how far "
            "another may lie can't be told."
        )
    interval = f"{mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f} over {seeds} seeds, {_shown_p(contrast)})."
    mark = "" if contrast.primary else "Exploratory: "
    if p <= LEVEL and mean:
        more = "higher" if mean > 0 else "lower"
        claim = f"{mark}{contrast.arm} scores {more} than {contrast.against}{_where(contrast)}: {interval}"
        return " ".join([claim, *_doubts(contrast)])
    said = [f"{mark}No difference between {contrast.arm} and {contrast.against} is shown{_where(contrast)}: {interval}"]
    if -margin < low and high < margin:
        said.append(f"If there is one, it is likely below {margin:g}.")
    else:
        said.append(f"That does not make them equal: anything from {low:+.3f} to {high:+.3f} fits.")
        if contrast.seeds_needed is not None and contrast.seeds_needed > seeds:
            said.append(f"To find {margin:g} takes about {contrast.seeds_needed} seeds.")
    return " ".join(said)


def verdict(contrasts: Sequence[Contrast], num_seeds: int) -> list[str]:
    """Say what the primary contrasts show, and how many others there are.

    Args:
        contrasts: All of them.
        num_seeds: Seeds of training that were asked for.

    Returns:
        Sentences; one that refuses where there are fewer than `MIN_SEEDS` seeds.
    """
    if num_seeds < MIN_SEEDS:
        return [
            f"No verdict: there {'is' if num_seeds == 1 else 'are'} {num_seeds} of at least {MIN_SEEDS} seeds, and one "
            "run more may turn the order round."
        ]
    primary = [contrast for contrast in contrasts if contrast.primary]
    said = [contrast.sentence or sentence(contrast) for contrast in primary]
    if not primary:
        said.append("No primary contrast was named before the results were there, so nothing is concluded.")
    elif num_seeds < FEW_SEEDS:
        said.append(f"{num_seeds} seeds are few: a difference may shrink or vanish with {FEW_SEEDS}.")
    if others := len(contrasts) - len(primary):
        said.append(
            f"{others} further {'contrast is' if others == 1 else 'contrasts are'} exploratory: not corrected for how "
            "many there are, to be confirmed by a run of its own."
        )
    return said


def _p_value(contrast: Contrast) -> float:
    """Corrected where it should be; an exploratory one is as it is."""
    assert contrast.p is not None
    return contrast.p_adjusted if contrast.primary and contrast.p_adjusted is not None else contrast.p


def _shown_p(contrast: Contrast) -> str:
    corrected, p = contrast.primary and contrast.p_adjusted is not None, _p_value(contrast)
    value = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"{value} after Holm's correction" if corrected else f"{value} uncorrected"


def _doubts(contrast: Contrast) -> list[str]:
    """What speaks against a difference that is claimed."""
    doubts = []
    ends = contrast.bootstrap or (None, None)
    if ends[0] is not None and ends[1] is not None and ends[0] <= 0 <= ends[1]:
        doubts.append(
            f"With other held-out samples it may not hold: drawn over seeds and samples, {ends[0]:+.3f} to "
            f"{ends[1]:+.3f} fits."
        )
    return doubts


def _asked(contrast: Contrast) -> str:
    return f"{contrast.arm} against {contrast.against}{_where(contrast)}"


def _where(contrast: Contrast) -> str:
    match contrast.rows:
        case None:
            rows = ""
        case float() as share if 0 < share < 1:
            rows = f" with {share:.3g} of the rows"
        case int() | float() as number:
            rows = f" with {in_rows(f'{number:g}')}"
        case name:
            rows = f" with {name}"
    return f" on {contrast.metric}{rows}"
