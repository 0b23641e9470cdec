"""How sure a share is."""

from __future__ import annotations

import math


def wilson_interval(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953).

    Unlike the normal interval it stays in [0, 1], and has a width where all or none of the trials succeed.

    Args:
        successes: Trials that succeeded.
        count: All trials; taken to be independent.
        z: Standard deviations of a normal distribution; 1.96 gives 95 %.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: If ``count`` is below 1, or ``successes`` is not in 0 to ``count``.

    Example:
        >>> [round(end, 4) for end in wilson_interval(8, 10)]
        [0.4902, 0.9433]
    """
    if count < 1:
        raise ValueError(f"Expected `count` to be at least 1, but got {count}.")
    if not 0 <= successes <= count:
        raise ValueError(f"Expected `successes` to be in 0 to {count}, but got {successes}.")
    share, weight = successes / count, z * z / count
    centre = share + weight / 2
    spread = z * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    return max((centre - spread) / (1 + weight), 0.0), min((centre + spread) / (1 + weight), 1.0)
