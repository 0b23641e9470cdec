import numpy as np
import pytest

from vrft_pl.central import central_boxes, commonest


def test_of_equally_common_texts_the_first_comes_first():
    assert commonest(["b", "a", "b", "a", "c"], 5) == ["b", "a", "c"]


def test_boxes_in_the_midst_by_hand():
    boxes = np.array([[0, 0, 40, 40], [10, 10, 50, 50], [80, 80, 120, 120.0]])
    median, mean, smaller, larger, *real = central_boxes(boxes, 2).tolist()
    assert median == [10, 10, 50, 50]
    assert mean == [30, 30, 70, 70]
    assert smaller == pytest.approx([16, 16, 44, 44])
    assert larger == pytest.approx([2, 2, 58, 58])
    assert real == [[10, 10, 50, 50], [0, 0, 40, 40]]
