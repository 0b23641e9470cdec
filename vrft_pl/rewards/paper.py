"""The rewards of the two papers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vrft_pl.rewards.answer import ChoiceMatch, LabelMatch, NumberMatch
from vrft_pl.rewards.base import Reward
from vrft_pl.rewards.boxes import BoxIoU
from vrft_pl.rewards.detection import DetectionConfidence, DetectionIoU
from vrft_pl.rewards.format import Format
from vrft_pl.rewards.mathematics import MathMatch
from vrft_pl.rewards.transformation import TransformationMatch

REWARDS: dict[str, Sequence[Callable[[], Reward]]] = {
    "visual_rft/detection": (DetectionIoU, DetectionConfidence, Format),
    "visual_rft/classification": (LabelMatch, Format),
    "visual_rft/grounding": (BoxIoU, Format),
    "reason_rft/counting": (NumberMatch, Format),
    "reason_rft/structure": (ChoiceMatch, MathMatch, Format),
    "reason_rft/spatial": (TransformationMatch, Format),
}


def paper_rewards(name: str) -> list[Reward]:
    """Make the rewards that a paper trains a task with, each of weight 1, without the faults of its published code.

    ========================= ============================= ===========================================================
    name                      paper                         what differs
    ========================= ============================= ===========================================================
    visual_rft/detection      arXiv 2503.01785, eq. 5-7     one-to-one matching by IoU; divided by the larger of
                                                            answered and true boxes (the paper: by answered ones);
                                                            confidence in [0, 1], missed boxes count; "No Objects" can
                                                            be right
    visual_rft/classification arXiv 2503.01785, sec. 3.2    equal names; no part of a name and no list of names
    visual_rft/grounding      arXiv 2503.01785, sec. 3.2    the plain IoU of one box, in the coordinates of the policy
    reason_rft/counting       arXiv 2503.20752, sec. 3.3    equal numbers, not equal strings: ``3.0`` is ``3``
    reason_rft/structure      arXiv 2503.20752, sec. 3.3    a letter, or equal mathematics: no credit for a number that
                                                            is close
    reason_rft/spatial        arXiv 2503.20752, sec. 3.3    optimal pairing, so no order matters; a repeat is one more
                                                            answered call
    ========================= ============================= ===========================================================

    In all of them the answer is the content of the only ``<answer>`` block, over several lines if need be, and `Format`
    asks for one block of each tag with content in each.

    Raises:
        ValueError: If there is no such name.

    Example:
        >>> [reward.name for reward in paper_rewards("visual_rft/detection")]
        ['DetectionIoU', 'DetectionConfidence', 'Format']
    """
    if name not in REWARDS:
        raise ValueError(
            f"Expected the name of a paper's rewards out of {', '.join(REWARDS)}, but got {name!r}. Classes stand in a "
            "list, such as [BoxIoU]."
        )
    return [reward() for reward in REWARDS[name]]
