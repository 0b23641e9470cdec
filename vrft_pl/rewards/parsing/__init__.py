"""Reading what a policy wrote: a value, or the reason why there is none. Linear in the text; never raises."""

from vrft_pl.rewards.parsing.blocks import read_answer, read_blocks, unwrap
from vrft_pl.rewards.parsing.boxes import Detection, Detections, parse_box, parse_detections
from vrft_pl.rewards.parsing.calls import normalize_argument, parse_calls
from vrft_pl.rewards.parsing.notation import read_values
from vrft_pl.rewards.parsing.number import Quantity, parse_number
from vrft_pl.rewards.parsing.text import parse_choice, parse_expression, parse_label
from vrft_pl.rewards.parsing.unread import Unread

__all__ = [
    "Detection",
    "Detections",
    "Quantity",
    "Unread",
    "normalize_argument",
    "parse_box",
    "parse_calls",
    "parse_choice",
    "parse_detections",
    "parse_expression",
    "parse_label",
    "parse_number",
    "read_answer",
    "read_blocks",
    "read_values",
    "unwrap",
]
