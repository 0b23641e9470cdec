"""The rows that runs train on: drawn from the pool for all arms, or chosen among them by what a policy writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrft_pl.ablation.arms import Stage
from vrft_pl.ablation.compose import JUDGE, judging, on_one_device, task
from vrft_pl.ablation.config import Ablation
from vrft_pl.ablation.identity import decisive, digest
from vrft_pl.ablation.protocol import Commands
from vrft_pl.ablation.rows import draw
from vrft_pl.ablation.sections import Config, label
from vrft_pl.ablation.store import Store
from vrft_pl.data import Source, fingerprint
from vrft_pl.types import InputError


@dataclass(frozen=True)
class Drawn:
    """Rows of the pool."""

    section: Config
    """The source that reads them."""
    count: int
    """How many there are."""
    hash: str
    """Of ids, questions, answers and pixels; of rows that a policy chose, a name for what decides the choice."""
    cost: dict[str, float] = field(default_factory=dict)
    """What choosing them took, as the fields of `vrft_pl.policy.cost.Cost`."""

    @property
    def path(self) -> Path:
        """The list of them."""
        return Path(self.section["init_args"]["path"])


class Pool:
    """Draws the rows of a size and a seed, and lets a policy choose among them; each once, whoever needs them.

    Args:
        ablation: What is compared.
        store: Its folder.
        commands: Read the pool, and sample.
    """

    def __init__(self, ablation: Ablation, store: Store, commands: Commands) -> None:
        self.ablation, self.store, self.commands = ablation, store, commands
        self._source: Source | None = None
        self._drawn: dict[tuple[float, int], Drawn] = {}

    def drawn(self, size: float, seed: int) -> Drawn:
        """Draw the rows of a size and a seed. The list is named after what they hold: a changed pool gives another one.

        Raises:
            InputError: If the pool has not as many, or no classes to draw shots of.
        """
        ablation = self.ablation
        seed = ablation.rows_seed if ablation.same_rows else ablation.rows_seed + seed
        if (size, seed) not in self._drawn:
            source = self.source()
            how: dict[str, Any] = {ablation.draw: size if ablation.draw == "fraction" else int(size)}
            try:
                positions = draw(source, **how, seed=seed)
            except ValueError as error:
                raise InputError(f"Expected the pool to have {ablation.draw} of size {label(size)}: {error}") from error
            rows_hash = fingerprint(source, positions)
            name = f"rows/{ablation.draw}{label(size)}-seed{seed}-{digest(rows_hash, positions)}.jsonl"
            if not (path := self.store.path / name).exists():
                self.store.write_lines(name, [{"row": i, "id": source[i].id} for i in positions])
            self._drawn[size, seed] = Drawn(self.listed(path), len(positions), rows_hash)
        return self._drawn[size, seed]

    def source(self) -> Source:
        """The pool."""
        if self._source is None:
            data = task(self.ablation.data, "answer", train=self.ablation.data["init_args"]["train"])
            source = self.commands.source(self.store.config("pool", {"data": data}))
            self._source = source.with_seed(self.ablation.rows_seed) if source.procedural else source
        return self._source

    def listed(self, path: Path) -> Config:
        """The source that reads a list of rows."""
        arguments = {"path": str(path), "seed": self.ablation.rows_seed}
        pool = self.ablation.data["init_args"]["train"]
        return {"class_path": "vrft_pl.data.Listed", "init_args": {"source": pool, **arguments}}

    def chosen(self, stage: Stage, drawn: Drawn, checkpoint: str | None, policy: str, seed: int) -> Drawn:
        """Let a policy write on the rows, and choose among them by it.

        Args:
            stage: Says how they are chosen; one that chooses nothing gets the rows as they are.
            drawn: The rows.
            checkpoint: The policy's; ``None`` for the one that every arm starts from.
            policy: A name for what decides that policy.
            seed: Seed of the sampling.

        Raises:
            InputError: If none are chosen.
        """
        selection = stage.rows
        if selection is None:
            return drawn
        config = {
            "seed_everything": seed,
            "trainer": on_one_device(dict(self.ablation.trainer)),
            "model": {
                "class_path": JUDGE,
                "init_args": judging(self.ablation, self.ablation.metrics, self.ablation.eval_params, checkpoint),
            },
            "data": task(self.ablation.data, stage.style, train=drawn.section),
        }
        kind = type(selection).__name__
        key = digest(policy, drawn.hash, decisive(config), kind, vars(selection))
        name = f"rows/{kind}-seed{seed}-{key}"
        with self.store.only(name):
            if (known := self.store.read(f"{name}.json")) is None:
                probe = self.commands.probe(self.store.config(name, config), selection.completions, seed)
                lines = selection.choose(probe)
                if not lines:
                    raise InputError(
                        f"Expected `{kind}` to choose some of {len(probe.rows)} rows, but it chose none: the policy "
                        "gets all of them wrong, all right, or right in another form than the one asked for."
                    )
                self.store.write_lines(f"{name}.jsonl", lines)
                known = {"rows": len(lines), "of": len(probe.rows), "cost": probe.cost}
                self.store.write(f"{name}.json", known)
        return Drawn(self.listed(self.store.path / f"{name}.jsonl"), known["rows"], key, known["cost"])
