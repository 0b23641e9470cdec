"""An ablation without models: commands that count what they are asked for, and scores made by a formula."""

import json
from pathlib import Path

import yaml

from vrft_pl.ablation import Ablation, Match, Probe, Recipe, Section
from vrft_pl.ablation.rows import ProbedRow
from vrft_pl.data import CountingScenes
from vrft_pl.runs import CompletionRecord
from vrft_pl.types import InputError

SCENES = {"class_path": "vrft_pl.data.CountingScenes", "init_args": {"domain": "snow", "size": 100}}
RATE = "model.init_args.optimizer.init_args.lr"


def recipe(folder, name, module, **kwargs):
    """A recipe whose file is written to a folder."""
    path = Path(folder) / f"{name}.yaml"
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-4}}
    model = {"class_path": f"vrft_pl.modules.{module}", "init_args": {"optimizer": optimizer, "eval_samples": 3}}
    path.write_text(yaml.safe_dump({"trainer": {"max_steps": 7, "gradient_clip_val": 1.0}, "model": model}))
    return Recipe(str(path), **kwargs)


def ablation(folder, **kwargs):
    """Counting scenes, with what a test changes."""
    data = {
        "class_path": "vrft_pl.data.Counting",
        "init_args": {
            "batch_size": 4,
            "train": SCENES,
            "val": {"snow": SCENES},
            "test": {"snow": SCENES, "night": SCENES},
        },
    }
    values = {
        "name": "tried",
        "recipes": {"sft": recipe(folder, "sft", "SFTModule"), "rft": recipe(folder, "rft", "GRPOModule")},
        "arms": {"base": "base", "SFT": "cot_sft", "RFT": "rft"},
        "policy": Section(class_path="vrft_pl.policy.VLM", init_args={"checkpoint": "tiny"}),
        "data": Section(data),
        "metrics": [Section(class_path="vrft_pl.rewards.NumberMatch")],
        "rows": [8],
        "seeds": [0, 1, 2],
        "match": Match(amount=40),
        "roles": {"night": "out_of_domain"},
    }
    return Ablation(**{**values, **kwargs})


class Counted:
    """Stands in for the command line; a rate of 3e-4 is best, and reinforcement is .1 better than SFT."""

    def __init__(self, log=None, die_at=None, breaks=()):
        self.log, self.die_at, self.breaks, self.calls = log, die_at, breaks, []

    def _called(self, what, config):
        self.calls.append((what, config.stem))
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{what} {config.stem}\n")
        if self.die_at is not None and len(self.calls) == self.die_at:
            raise KeyboardInterrupt

    def count(self, what):
        return sum(call == what for call, _ in self.calls)

    def check(self, config):
        if "konfig" in config.read_text():
            raise InputError("Key 'konfig' is not expected")

    def source(self, config):
        return CountingScenes(domain="snow", size=100)

    def fit(self, config, folder):
        read = yaml.safe_load(config.read_text())
        self._called("fit", config)
        if any(part in read["model"]["class_path"] for part in self.breaks):
            raise RuntimeError("CUDA out of memory")
        score = self.score(read)
        steps, size = read["trainer"]["max_steps"], read["data"]["init_args"]["batch_size"]
        generated = 0 if "SFT" in read["model"]["class_path"] else 100 * steps
        cost = {
            "samples": steps * size,
            "optimizer_steps": steps,
            "generated_tokens": generated,
            "seconds": 2.0 * steps,
        }
        folder.write("learnt.json", {"score": score})
        after = {"val/snow/NumberMatch": score} if "val" in read["data"]["init_args"] else {}
        folder.write("summary.json", {"before": {}, "after": after, "cost": cost})

    def score(self, read):
        rate = read["model"]["init_args"]["optimizer"]["init_args"]["lr"]
        better = 0.1 if "GRPO" in read["model"]["class_path"] else 0.0
        return 0.5 + better - abs(rate - 3e-4) * 100 + 0.01 * (read["seed_everything"] % 3)

    def test(self, config, folder):
        read = yaml.safe_load(config.read_text())
        self._called("test", config)
        learnt = Path(read["model"]["init_args"]["policy"]["init_args"]["checkpoint"]).parent / "learnt.json"
        score = json.loads(learnt.read_text())["score"] if learnt.exists() else 0.2
        scores = {f"test/{part}/NumberMatch": score for part in read["data"]["init_args"]["test"]}
        folder.append(
            folder.PREDICTIONS,
            [
                CompletionRecord(
                    0, 0, i, "snow", f"row {i}", "?", "1", "1", "stop", scores={"NumberMatch": score + 0.1 * (i - 1)}
                )
                for i in range(3)
            ],
        )
        folder.write("constants.json", {"scores": {"test/snow/NumberMatch": 0.25}})
        folder.write("scores.json", {**scores, "test/snow/parse_failures/NumberMatch": 0.0})

    def probe(self, config, completions, seed):
        self._called("probe", config)
        raise NotImplementedError


class Probing(Counted):
    """The same, where six of ten rows get one right completion each, for so many tokens in all."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens = tokens

    def probe(self, config, completions, seed):
        self._called("probe", config)
        path = yaml.safe_load(config.read_text())["data"]["init_args"]["train"]["init_args"]["path"]
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        probed = [
            ProbedRow(row["row"], row["id"], ("1",), (float(i < 6),), (i < 6,), (True,), (True,))
            for i, row in enumerate(rows)
        ]
        return Probe(tuple(probed), {"generated_tokens": self.tokens})


__all__ = ["RATE", "SCENES", "Counted", "Probing", "Probe", "ablation", "recipe"]
