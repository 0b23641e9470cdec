"""The model card of a run: what a policy was trained on and how, what it scores and how to run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from vrft_pl.cells import markdown_table, shown
from vrft_pl.runs.folder import RunFolder

Best = tuple[str, float]
"""The metric that chose a checkpoint, and its value there."""
BRANCH = "best"
"""Of a repository, for the policy of that checkpoint."""
TASK = "image-text-to-text"
"""What the hub calls the task."""
SETTINGS = ("seed_everything", "model", "data")
"""Sections of the config that a card shows."""
WHOLE = """from transformers import AutoModelForImageTextToText, AutoProcessor

policy = AutoModelForImageTextToText.from_pretrained("{name}"{at})
processor = AutoProcessor.from_pretrained("{name}"{at})
"""
ADAPTER = """from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

base = AutoModelForImageTextToText.from_pretrained("{base}"{revision})
policy = PeftModel.from_pretrained(base, "{name}"{at})
processor = AutoProcessor.from_pretrained("{name}"{at})
"""


def model_card(folder: RunFolder, name: str, adapter: bool, best: Best | None = None) -> ModelCard:
    """Describe the policy of a run from what the run has left; what it has not left is left out.

    Args:
        folder: Folder of the run.
        name: Id of the repository.
        adapter: Whether it holds an adapter alone.
        best: What chose the policy, where it is not the last one; of its other scores nothing is known.
    """
    config = folder.config() if (folder.path / folder.CONFIG).exists() else {}
    summary = folder.summary() if (folder.path / folder.SUMMARY).exists() else {}
    if best is not None:
        summary = {**summary, "after": dict([best])}
    starts = folder.starts()
    policy = arguments(arguments(config.get("model")).get("policy"))
    said = [
        f"# {name.rpartition('/')[2]}",
        introduction(config, starts[-1] if starts else {}, policy),
        *([CHOSEN.format(metric=best[0])] if best is not None else []),
        "## How to run it\n\n" + usage(name, policy, adapter, best is not None),
        "## Scores\n\n" + table(("metric", "before", "after", "constant answer"), [*scores(summary)]),
        "## Data\n\n" + table(("part", "rows", "SHA-256 of their ids"), [*parts(starts)]),
        "## Settings\n\n```yaml\n" + settings(config) + "```",
    ]
    return ModelCard(f"---\n{metadata(folder, name, policy, summary, adapter).to_yaml()}\n---\n\n" + "\n\n".join(said))


def metadata(
    folder: RunFolder, name: str, policy: Mapping[str, Any], summary: Mapping[str, Any], adapter: bool
) -> ModelCardData:
    """What the hub reads of a card."""
    after = summary.get("after") or {}
    results = [
        EvalResult(TASK, "held-out", part, metric, value, dataset_split=part)  # by the split the hub tells them apart
        for part, metric, value in held_out(after)
    ]
    return ModelCardData(
        library_name="peft" if adapter else "transformers",
        pipeline_tag=TASK,
        base_model=base_of(policy),
        tags=["vrft_pl", *(["lora"] if adapter else [])],
        model_name=name.rpartition("/")[2] if results else None,
        eval_results=results or None,
    )


def base_of(policy: Mapping[str, Any]) -> str | None:
    """The id of a hub that a policy began with; ``None`` for a folder, which others have not."""
    checkpoint = str(policy.get("checkpoint", ""))
    is_id = checkpoint.count("/") == 1 and not checkpoint.startswith((".", "/", "~"))
    return checkpoint if is_id and not Path(checkpoint).exists() else None


def introduction(config: Mapping[str, Any], start: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
    """What trained which checkpoint, and with which versions."""
    module = str((config.get("model") or {}).get("class_path", "vrft_pl")).rpartition(".")[2]
    versions = ", ".join(f"{k} {v}" for k, v in (start.get("versions") or {}).items() if k in VERSIONS)
    commit = f" (commit {start['checkpoint_commit']})" if "checkpoint_commit" in start else ""
    began = base_of(policy) or Path(str(policy.get("checkpoint", "a checkpoint"))).name
    return f"`{began}`{commit}, trained by `{module}` of vrft_pl{f' ({versions})' if versions else ''}."


VERSIONS = ("vrft_pl", "torch", "transformers", "lightning", "peft")
"""Packages whose versions a card names."""


CHOSEN = (
    "Of the checkpoints of its run this is the one with the best `{metric}`. That number chose it, and is better than "
    "one of other rows would be; the last policy is on the main branch."
)
"""What is said of the policy of the best checkpoint."""


def usage(name: str, policy: Mapping[str, Any], adapter: bool, chosen: bool) -> str:
    """Code that loads the policy, and the command that asks it."""
    at = f', revision="{BRANCH}"' if chosen else ""
    revision = f', revision="{policy["revision"]}"' if policy.get("revision") else ""
    base = base_of(policy) or "BASE"
    code = ADAPTER.format(name=name, base=base, revision=revision, at=at) if adapter else WHOLE.format(name=name, at=at)
    answers = "" if adapter else COMMAND.format(name=name, at=f" --model.policy.revision {BRANCH}" if chosen else "")
    return f"```python\n{code}```{answers}"


COMMAND = """

Asked as it was trained:

```bash
vrft_pl predict --model.policy.checkpoint {name}{at} --images picture.jpg --problem 'QUESTION'
```"""


def scores(summary: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row for each metric."""
    before, after, constant = (summary.get(key) or {} for key in ("before", "after", "constant"))
    for metric in dict.fromkeys([*before, *after]):
        yield (f"`{metric}`", *(shown(values.get(metric)) for values in (before, after, constant)))


def held_out(after: Mapping[str, float | None]) -> Iterator[tuple[str, str, float]]:
    """Part, name and value of each score of a part that is a number; what a callback logs may be of none.

    Example:
        >>> list(held_out({"val/id/BoxIoU": 0.5, "val/id/Format": None, "val_loss": 1.0}))
        [('id', 'BoxIoU', 0.5)]
    """
    for metric, value in after.items():
        _, part, name = [*metric.split("/", 2), "", ""][:3]
        if name and value is not None and not name.startswith("parse_failures"):
            yield part, name, value


def parts(starts: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """A row for each part of the data."""
    for part, found in (starts[-1].get("data") or {}).items() if starts else ():
        yield f"`{part}`", str(found.get("rows")), f"`{str(found.get('sha256'))[:16]}`"


def settings(config: Mapping[str, Any]) -> str:
    """The config as far as it decides what is trained, without what is not set and where files lie on this machine."""
    chosen = {key: config[key] for key in SETTINGS if key in config}
    chosen |= {"trainer": {key: v for key, v in (config.get("trainer") or {}).items() if key in OF_TRAINER}}
    return yaml.safe_dump(public(chosen), sort_keys=False, allow_unicode=True)


OF_TRAINER = ("max_steps", "max_epochs", "accumulate_grad_batches", "gradient_clip_val", "precision", "devices")
"""Options of the trainer that decide what is trained."""


def public(value: Any) -> Any:
    """A value without keys that are not set, and with the last part alone of paths that begin at the root.

    Example:
        >>> public({"path": "/home/me/rows.json", "lora": None, "size": [3]})
        {'path': 'rows.json', 'size': [3]}
    """
    if isinstance(value, Mapping):
        return {key: public(v) for key, v in value.items() if v is not None}
    if isinstance(value, list):
        return [public(v) for v in value]
    return Path(value).name if isinstance(value, str) and value.startswith(("/", "~")) else value


def arguments(section: Any) -> Mapping[str, Any]:
    """``init_args`` of a section of a config; none where there is no such section."""
    return (section.get("init_args") or {}) if isinstance(section, Mapping) else {}


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, or that there is nothing."""
    return markdown_table(heads, rows) if rows else "Not recorded."
