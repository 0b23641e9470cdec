"""Policies and checkpoints of runs that are damaged, of another kind, or none."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import vrft_pl
from hostile_input.case import Case, Cases, Make, base, fit, write_config
from hostile_input.pictures import QUESTION, counting, png, reason

TINY = Path(vrft_pl.__file__).parent / "policy/tiny"
"""The embedded policy."""
POLICY = "policy"
"""Folder of a policy."""
OPTION = "--model.init_args.policy.init_args.checkpoint"
CONTEXT = 40
"""Tokens that a policy with a short memory takes."""


def policy(change: Callable[[Path], object], **changes: Any) -> Make:
    """The small run on a copy of the embedded policy.

    Args:
        change: Damages the copy.
        **changes: In the config of the run.
    """

    def make(folder: Path) -> list[str]:
        copied = shutil.copytree(TINY, folder / POLICY)
        change(copied)
        return [
            "fit",
            *write_config(folder, base(**changes)),
            f"--model.init_args.policy.init_args.checkpoint={POLICY}",
        ]

    return make


def in_json(name: str, **values: Any) -> Callable[[Path], object]:
    """Changes values of a file of JSON; those of a section within it by the name of the section."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        for key, value in values.items():
            content[key] = content[key] | value if isinstance(value, dict) and key in content else value
        (folder / name).write_text(json.dumps(content))

    return change


def weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Changes weights by their names."""

    def changed(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors", {"format": "pt"})

    return changed


def to_nan(state: dict[str, Any]) -> None:
    """Make one weight no number."""
    next(iter(state.values())).view(-1)[0] = float("nan")


def all_to_nan(state: dict[str, Any]) -> None:
    """Make every weight no number."""
    for value in state.values():
        value.fill_(float("nan"))


def narrow(state: dict[str, Any]) -> None:
    """Cut a weight."""
    name = next(iter(state))
    state[name] = state[name][:1].clone()


def empty(folder: Path) -> None:
    """Remove every file."""
    for path in folder.iterdir():
        path.unlink()


def pickled(folder: Path) -> None:
    """Put a pickle in the place of the weights."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(print))


def half(path: Path) -> None:
    """Write a checkpoint that ends too early."""
    saved({"state_dict": {}, "epoch": 0})(path)
    path.write_bytes(path.read_bytes()[:-50])


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Puts another content into a file."""
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def policies() -> Cases:
    """Policies."""
    damaged: dict[str, Callable[[Path], object]] = {
        "an empty folder": empty,
        "without weights": lambda folder: (folder / "model.safetensors").unlink(),
        "without a config": lambda folder: (folder / "config.json").unlink(),
        "without a tokenizer": lambda folder: (folder / "tokenizer.json").unlink(),
        "without a processor": lambda folder: (folder / "processor_config.json").unlink(),
        "without a chat template": lambda folder: (folder / "chat_template.jinja").unlink(),
        "a config that is no JSON": text("config.json", "hello"),
        "a config that is a list": text("config.json", "[]"),
        "an empty config": text("config.json", "{}"),
        "a config of an unknown model": in_json("config.json", model_type="no_such_model"),
        "a config of a model without pictures": in_json("config.json", model_type="gpt2"),
        "a config of another width": in_json("config.json", text_config={"hidden_size": 7}),
        "a config of a negative width": in_json("config.json", text_config={"hidden_size": -64}),
        "a config whose width is a text": in_json("config.json", text_config={"hidden_size": "wide"}),
        "a tokenizer that is no JSON": text("tokenizer.json", "hello"),
        "a processor that is no JSON": text("processor_config.json", "hello"),
        "a chat template that does not end": text("chat_template.jinja", "{% if x"),
        "a chat template that raises": text("chat_template.jinja", "{{ raise_exception('no') }}"),
        "a chat template without the question": text("chat_template.jinja", "hello"),
        "a chat template that loops": text("chat_template.jinja", "{% for i in range(10**9) %}x{% endfor %}"),
        "empty weights": text("model.safetensors", b""),
        "weights cut off": lambda folder: text("model.safetensors", (TINY / "model.safetensors").read_bytes()[:-99])(
            folder
        ),
        "weights that are a picture": text("model.safetensors", png()),
        "weights with a header of 2^60 bytes": text("model.safetensors", (2**60).to_bytes(8, "little") + b"{}"),
        "weights of another shape": weights(narrow),
        "a weight that is missing": weights(lambda state: state.pop(next(iter(state)))),
        "a weight that is NaN": weights(to_nan),
        "weights that are NaN": weights(all_to_nan),
        "coordinates that are none": text("vrft_pl.json", '{"coordinates": "miles"}'),
        "a note that is no JSON": text("vrft_pl.json", "hello"),
        "a generation config that is no JSON": text("generation_config.json", "hello"),
        "a pickle as weights": pickled,
    }
    cases = {f"policy/{name}": Case(policy(change), 1) for name, change in damaged.items()}
    short = in_json("config.json", text_config={"max_position_embeddings": CONTEXT})
    cases["policy/a prompt that leaves no room in the context"] = Case(policy(short), 1)
    named = {
        "a folder that is missing": "./missing",
        "a file": "config.yaml",
        "an empty name": "",
        "a name with blanks": "no such model",
        "an address": "http://127.0.0.1:1/model",
        "a hub id without network": "no-such/model",
    }
    return cases | {f"policy/{name}": Case(fit(f"{OPTION}={value}")) for name, value in named.items()}


def goes_on(write: Callable[[Path], object], path: str = "x.ckpt") -> Make:
    """The small run from a checkpoint."""

    def make(folder: Path) -> list[str]:
        write(folder / "x.ckpt")
        return ["fit", *write_config(folder, base()), "--ckpt_path", path]

    return make


def saved(value: Any) -> Callable[[Path], object]:
    """Writes a value as torch does."""

    def write(path: Path) -> None:
        import torch

        torch.save(value, path)

    return write


def runs_checkpoints() -> Cases:
    """Checkpoints to go on from."""
    states: dict[str, Any] = {"epoch": 0, "global_step": 1, "pytorch-lightning_version": "2.6.0", "loops": {}}
    written: dict[str, Callable[[Path], object]] = {
        "missing": lambda path: None,
        "empty": lambda path: path.write_bytes(b""),
        "a text": lambda path: path.write_text("hello"),
        "a picture": lambda path: path.write_bytes(png()),
        "a pickle of a function": lambda path: path.write_bytes(pickle.dumps(print)),
        "a folder": lambda path: path.mkdir(),
        "half of one": half,
        "a list": saved([1]),
        "an object without weights": saved({"a": 1}),
        "without a version": saved({"state_dict": {}}),
        "without weights of the policy": saved({**states, "state_dict": {}}),
        "of another model": saved({**states, "state_dict": {"layer.weight": 1}}),
    }
    cases = {f"checkpoint/{name}": Case(goes_on(write), 1) for name, write in written.items()}
    cases["checkpoint/last of no run"] = Case(goes_on(lambda path: None, "last"), 1)
    cases["checkpoint/best of no run"] = Case(goes_on(lambda path: None, "best"), 1)
    cases["checkpoint/an address"] = Case(goes_on(lambda path: None, "http://127.0.0.1:1/x.ckpt"), 1)
    cases["checkpoint/an empty name"] = Case(goes_on(lambda path: None, ""))
    return cases


def contexts() -> Cases:
    """Prompts that are too long for the policy."""

    def make(folder: Path) -> list[str]:
        (folder / "rows.json").write_text(json.dumps([{**QUESTION, "problem": "How many dots? " * 5_000}]))
        return ["fit", *write_config(folder, base(data=counting(reason("rows.json"))))]

    return {"context/a prompt of 15,000 tokens": Case(make, 1)}
