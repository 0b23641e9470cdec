"""What objects are called in a config."""

from enum import Enum, StrEnum
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from vrft_pl.data import Counting, CountingScenes
from vrft_pl.modules import GRPOModule
from vrft_pl.policy import VLM, LoRA
from vrft_pl.rewards import NumberMatch, Reward
from vrft_pl.runs import as_config
from vrft_pl.runs.objects import MOST_ITEMS, parameters, path_of


class Side(Enum):
    """One of several."""

    LEFT = 1


class Word(StrEnum):
    """Likewise, whose values are texts."""

    LONG = "long word"


class Kept:
    """Keeps its argument in itself."""

    def __init__(self, part, other=0):
        self.part = part


class Told(Kept):
    """Extends it, and tells of what it keeps elsewhere."""

    def __init__(self, limit=3, **kwargs):
        super().__init__(**kwargs)
        self.size = limit

    def made_with(self):
        return {"limit": self.size}


class Odd:
    """Some of its arguments can't be read."""

    def __init__(self, broken, method, _private=0):
        pass

    @property
    def broken(self):
        raise RuntimeError("not now")

    def method(self):
        """Only has the name of an argument."""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param([True, 1, 0.5, "a", None], [True, 1, 0.5, "a", None], id="plain"),
        pytest.param((np.float32(0.5), np.int64(3)), [0.5, 3], id="numpy"),
        pytest.param([float("nan"), float("inf")], ["nan", "inf"], id="no-numbers"),
        pytest.param({1: Path("a/b"), "dtype": torch.bfloat16}, {"1": "a/b", "dtype": "torch.bfloat16"}, id="names"),
        pytest.param({"b", "a", "d", "c"}, ["a", "b", "c", "d"], id="set"),
        pytest.param([Side.LEFT, Word.LONG], ["LEFT", "LONG"], id="enum"),
        pytest.param(torch.optim.AdamW, "torch.optim.AdamW", id="class"),
        pytest.param(lambda text: text, f"{__name__}.<lambda>", id="lambda"),
        pytest.param([object()] * (MOST_ITEMS + 1), f"{MOST_ITEMS + 1} items", id="many-objects"),
        pytest.param(list(range(MOST_ITEMS + 1)), list(range(MOST_ITEMS + 1)), id="many-numbers"),
        pytest.param(
            partial(torch.optim.SGD, lr=0.1), {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}, id="partial"
        ),
        pytest.param(Kept(part=2), {"class_path": f"{__name__}.Kept", "init_args": {"part": 2}}, id="not-all-kept"),
        pytest.param(
            Told(part=[Path("a")]),
            {"class_path": f"{__name__}.Told", "init_args": {"limit": 3, "part": ["a"]}},
            id="extends-and-tells",
        ),
        pytest.param(Odd(1, 2), {"class_path": f"{__name__}.Odd", "init_args": {}}, id="unreadable"),
    ],
)
def test_a_value_is_said_as_far_as_it_is_known(value, said):
    assert as_config(value) == said


def test_an_object_that_is_part_of_itself_has_an_end():
    ring = Kept(None)
    ring.part = [ring]
    assert as_config(ring)["init_args"]["part"] == [{"class_path": path_of(Kept), "init_args": {}}]


def test_arguments_are_found_by_way_of_the_classes_that_are_extended():
    assert list(parameters(Told)) == ["limit", "part", "other"]
    assert {"words", "weight", "name"} <= set(parameters(NumberMatch))
    assert path_of(Reward) == "vrft_pl.rewards.Reward"


def test_a_module_and_its_data_say_what_decides_on_a_step(qwen3_vl):
    module = GRPOModule([NumberMatch(prose="lenient")], policy=VLM(qwen3_vl, lora=LoRA(rank=2), max_pixels=1024))
    said = as_config(module)["init_args"]
    policy = said["policy"]["init_args"]
    assert (policy["checkpoint"], policy["lora"]["init_args"]["rank"], policy["max_pixels"]) == (qwen3_vl, 2, 1024)
    assert said["rewards"][0]["init_args"]["prose"] == "lenient"
    assert (said["reference"], said["params"]["init_args"]["temperature"]) == ("auto", 1.0)
    source = CountingScenes("snow", 4)
    data = as_config(Counting(source, {"id": source}, batch_size=2))["init_args"]
    assert (data["train"]["init_args"]["size"], data["test"], data["batch_size"]) == (4, None, 2)
    assert data["val"]["id"] == data["train"]
