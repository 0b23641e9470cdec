"""Configs that are no config, or too much of one."""

from __future__ import annotations

import json
from pathlib import Path

from hostile_input.case import CONFIG, Case, Cases, Make, base, write_config

DEEP, WIDE = 3_000, 9
"""Levels of a config that is too deep; aliases of a level of a bomb."""
MEBIBYTES = 20
"""Of a config that is too large."""


def bomb(levels: int = 9) -> str:
    """A config of some hundred bytes that stands for a billion values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * WIDE)}]" for i in range(1, levels)]
    return "\n".join(lines)


TEXTS: dict[str, str | bytes] = {
    "empty": "",
    "a comment alone": "# nothing\n",
    "null": "null",
    "a list": "- 1\n- 2",
    "a number": "42",
    "a text": "hello",
    "binary": bytes(range(256)) * 4,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "UTF-16": "trainer: {max_steps: 1}".encode("utf-16"),
    "no UTF-8": b"run: {project: '" + b"\xff\xfe'}",
    "a null character": 'run: {folder: "a\\0b"}',
    "halves of characters": 'run: {folder: "\\ud800"}',
    "tabs": "trainer:\n\tmax_steps: 1",
    "an open bracket": "trainer: {max_steps: 1",
    "an open quote": "run: {project: 'x",
    "a tag of Python": "run: !!python/object/apply:os.system ['true']",
    "an unknown tag": "run: !mine {folder: x}",
    "two documents": "trainer: {max_steps: 1}\n---\ntrainer: {max_steps: 2}",
    "an alias of nothing": "trainer: *nothing",
    "an alias bomb": bomb(),
    "merge keys that grow": "a: &a {x: 1}\n" + "\n".join(f"b{i}: &b{i} {{<<: *a}}" for i in range(2000)),
    "a reference to itself": "run: &run\n  tags: *run\n",
    "a list in itself": "run: {tags: &tags [*tags]}",
    "3,000 levels of lists": f"run: {{tags: {'[' * DEEP}{']' * DEEP}}}",
    "3,000 levels of keys": "".join(f"{' ' * i}a:\n" for i in range(DEEP)),
    "20 MiB of one text": f"run: {{project: {'x' * MEBIBYTES * 2**20}}}",
    "a key twice": "trainer: {max_steps: 1, max_steps: 2}",
    "a section twice": "trainer: {max_steps: 1}\nmodel: null\ntrainer: {max_steps: 2}",
    "a key of a class twice": "model: {init_args: {group_size: 2, group_size: 3}}",
    "a key that is a number": "7: {max_steps: 1}",
    "a key that is a list": "? [a, b]\n: 1",
    "a key that is empty": '"": 1',
    "a section that is a list": "trainer: [max_steps, 1]",
    "a section that is a text": "trainer: fast",
    "a misspelt section": "trainr: {max_steps: 1}",
    "a misspelt key": "trainer: {max_step: 1}",
    "a date as a number": "trainer: {max_steps: 2026-01-01}",
    "a boolean as a number": "trainer: {max_steps: true}",
    "a Norwegian word": "run: {wandb: off}",
    "a number in base 60": "trainer: {max_steps: 1:30}",
    "a class path that is a number": "model: {class_path: 7}",
    "init_args that are a list": "model: {class_path: vrft_pl.modules.GRPOModule, init_args: [1]}",
    "a config in a config": "config: other.yaml",
}
"""What a file holds, by what it is."""


def after_config(content: str | bytes) -> Make:
    """The small run, with a second config."""

    def make(folder: Path) -> list[str]:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / "second.yaml").write_bytes(data)
        return ["fit", *write_config(folder, base()), "--config", "second.yaml"]

    return make


def configs() -> Cases:
    """A case each."""
    return {f"config/{name}": Case(after_config(content)) for name, content in TEXTS.items()} | {
        f"config/without {section}": Case(without(section)) for section in ("model", "data")
    }


def without(section: str) -> Make:
    """The small run without a section."""

    def make(folder: Path) -> list[str]:
        config = {name: value for name, value in base().items() if name != section}
        (folder / CONFIG).write_text(json.dumps(config))
        return ["fit", "--config", CONFIG]

    return make
