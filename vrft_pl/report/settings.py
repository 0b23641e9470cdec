"""What differs between the configs of arms, and what a run was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from vrft_pl.report.entries import Entry, comparable, read_config
from vrft_pl.report.records import held, mapping
from vrft_pl.runs import RunFolder

LONGEST = 300
"""Letters of a value."""


@dataclass(frozen=True)
class Difference:
    """A value that is not the same in all arms."""

    key: str
    """Where it stands in the config."""
    values: tuple[str | None, ...]
    """By arm; ``None`` where the key is not there."""

    @property
    def partly(self) -> bool:
        """Whether not all arms have the key."""
        return None in self.values


@dataclass(frozen=True)
class Facts:
    """What a run was."""

    label: str
    """Its name for people."""
    facts: tuple[tuple[str, str], ...]
    """What there is to say, each with its name."""
    config: str
    """The resolved config."""


def differences(entries: Sequence[Entry]) -> tuple[tuple[str, ...], tuple[Difference, ...]]:
    """Compare the configs of the last stages of the first run of each arm.

    Returns:
        The arms that have a config, and what differs between them.
    """
    configs: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        if entry.stages and entry.arm not in configs and (config := read_config(entry.stages[-1])):
            configs[entry.arm] = comparable(config)
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    found = []
    for key in keys:
        values = tuple(shown(config[key]) if key in config else None for config in configs.values())
        if len(set(values)) > 1:
            found.append(Difference(key, values))
    return tuple(configs), tuple(found)


def shown(value: Any) -> str:
    """A value as YAML writes it on one line, cut where it is long."""
    text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=10**6)
    text = text.removesuffix("\n...\n").strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def facts(label: str, run: RunFolder) -> Facts:
    """What the manifest and the summary say of a run."""
    starts = held(run, run.MANIFEST) or []
    start = mapping(starts[-1]) if starts else {}
    git, device, versions = (mapping(start.get(name)) for name in ("git", "device", "versions"))
    command = start.get("command")
    said = {
        "folder": str(run),
        "command": " ".join(map(str, command)) if isinstance(command, list) else None,
        "started": start.get("time"),
        "starts": len(starts) if len(starts) > 1 else None,
        "seed": start.get("seed"),
        "commit": f"{str(git['commit'])[:12]}{' (changed)' if git.get('dirty') else ''}" if git.get("commit") else None,
        "device": ", ".join(str(device[key]) for key in ("kind", "name", "strategy", "precision") if device.get(key)),
        "versions": ", ".join(f"{k} {versions[k]}" for k in ("vrft_pl", "torch", "transformers") if k in versions),
        "seconds": seconds(run),
        "finished": None if run.finished else "no",
    }
    config = (run.path / run.CONFIG).read_text("utf-8", "replace") if (run.path / run.CONFIG).is_file() else ""
    return Facts(label, tuple((key, str(value)) for key, value in said.items() if value not in (None, "")), config)


def seconds(run: RunFolder) -> Any:
    """How long a finished run took."""
    return mapping(held(run, run.SUMMARY)).get("seconds")
