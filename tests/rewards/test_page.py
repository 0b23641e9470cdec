"""What the rewards page shows can be built as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

import vrft_pl.rewards
from vrft_pl.rewards import Reward

PAGE = (Path(vrft_pl.rewards.__file__).parent / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.partition("## From newer papers")[2], re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_newer_papers_is_built(example):
    parser = ArgumentParser()
    parser.add_argument("--rewards", type=list[Reward])
    entries = yaml.safe_load(example)["rewards"]
    built = parser.instantiate(parser.parse_object({"rewards": entries})).rewards
    assert [f"vrft_pl.rewards.{type(reward).__name__}" for reward in built] == [e["class_path"] for e in entries]


def test_every_reward_has_its_row_and_its_source():
    rewards = {name for name, value in vars(vrft_pl.rewards).items() if isinstance(value, type) and value is not Reward}
    rewards = {name for name in rewards if issubclass(getattr(vrft_pl.rewards, name), Reward)}
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    missing = {name for name in rewards if sum(bool(re.search(rf"`{name}[`(]", row)) for row in rows) < 1}
    assert not missing
    assert EXAMPLES
