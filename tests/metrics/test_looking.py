import math

import pytest

from vrft_pl.metrics.looking import unlooking


def blind(part="id", **scores):
    return {f"val/blind/{part}/{sight}/{name}": v for name, own in scores.items() for sight, v in own.items()}


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        (blind(IoU={"seen": 0.3, "grey": 0.3}), 1),
        (blind(IoU={"seen": 0.3, "grey": 0.35}), 1),
        (blind(IoU={"seen": 0.32, "grey": 0.3001}), 1),
        (blind(IoU={"seen": 0.33, "grey": 0.3}), 0),
        (blind(IoU={"seen": 0.3, "grey": 0.3}, Accuracy={"seen": 0.5, "grey": 0.2}), 0),
        (blind(IoU={"seen": 0.3, "grey": 0.3}, **{"parse_failures/IoU": {"seen": 0.5, "grey": 0.2}}), 1),
        (blind(IoU={"seen": 0.3, "grey": 0.3}) | blind("ood/night", IoU={"seen": 0.3, "grey": 0.3}), 2),
        (blind(IoU={"seen": math.nan, "grey": 0.3}), 0),
        (blind(IoU={"seen": None, "grey": 0.3}), 0),
        (blind(IoU={"seen": 0.3, "other": 0.3}), 0),
        ({"val/id/IoU": 0.3, "val/id/sampled/IoU": 0.3}, 0),
    ],
    ids=["equal", "worse", "hardly-better", "better", "one-of-two", "unread", "parts", "nan", "none", "other", "plain"],
)
def test_parts_are_told_of_which_no_score_is_clearly_higher_with_the_picture(scores, told):
    assert len(unlooking(scores)) == told


def test_the_first_metric_is_named_with_both_numbers():
    (line,) = unlooking(blind("ood", IoU={"seen": 0.06, "grey": 0.05}, Accuracy={"seen": 0.0, "grey": 0.0}))
    assert line.startswith("val/blind/ood: IoU is 0.060 with the picture and 0.050 with a grey one: ")
