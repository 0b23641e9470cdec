"""Try every architecture of transformers' image-text-to-text map against its own untouched code.

python tools/try_models.py --output vrft_pl/policy/README.md
python tools/try_models.py qwen3_vl molmo2 --verbose

Each is a tiny random checkpoint made here. A cell is right (the numbers of the untouched model, or of its `generate`),
slower (right, by a plainer way than others take), refused (one line says why), wrong, or a crash; the last two end this
with exit code 1.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from trial.outcome import BAD, Outcome, reasons, summary, table
from trial.untouched import Untouched

from vrft_pl.modules import SFTModule
from vrft_pl.policy import VLM, LoRA
from vrft_pl.policy.verdicts import Way
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import Completions, InputError, Prompts

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import architectures  # the tests' tiny checkpoints
from checkpoints import MIXED, PLACED
from families import noise_rows, number_words, write
from training import Share, counting, fit, grpo, sgd, weights

BEGIN, END = "<!-- tried -->", "<!-- /tried -->"
LENGTHS = 5, 3, 8
READ_DIRECTLY = ("correction_coefs",)
"""Layers of Gemma 3n whose weight its code reads past the layer, and so past an adapter; a run names them."""


class Differs(Exception):
    """Numbers are not those of the untouched model."""


class Slower(Exception):
    """A way is not taken."""


class Trial:
    """One architecture.

    Args:
        name: Of its builder.
        folder: Of its checkpoint.
    """

    def __init__(self, name: str, folder: str) -> None:
        self.name, self.folder = name, folder
        self.policy = self.load()
        self.model = Untouched.load(folder, self.policy.hf_model.dtype, self.policy.banned_token_ids)
        self.most = 1e-4
        self.samples = [one for one in MIXED if one.images]

    def load(self, **kwargs: Any) -> VLM:
        """Return a policy with weights."""
        return VLM(self.folder, **kwargs).load()

    def encode(self) -> None:
        """Encode pictures of all sizes, several and none; the picture has to matter."""
        self.prompts = self.encoded(self.policy)
        self.rows = noise_rows(LENGTHS)[: len(self.prompts)]
        self.model.settle(self.prompts.items[0].inputs, self.rows[0])
        self.expected = [
            self.model.logprobs(p.inputs, r).detach() for p, r in zip(self.prompts, self.rows, strict=True)
        ]
        inputs = dict(self.prompts.items[0].inputs)
        floats = {key: -value for key, value in inputs.items() if value.is_floating_point()}
        if not floats:
            floats = {k: v.flip(-1) for k, v in inputs.items() if k.startswith("pixel")}
        other = self.model.logprobs(inputs | floats, self.rows[0])
        if (other - self.expected[0]).abs().max() < 1e-3:
            raise Differs("the picture does not matter to this checkpoint")

    def encoded(self, policy: VLM) -> Prompts:
        """The prompts; fewer where the processor or the model takes one picture only."""
        policy.may("batching")  # refuses what can't be trained here, and learns how many pictures are taken
        try:
            return policy.encode(self.samples)
        except InputError:
            self.samples = [one for one in self.samples if len(one.images) == 1]
            return policy.encode(self.samples)

    def alone(self) -> None:
        """Log-probs of each prompt by itself."""
        for prompt, row, expected in zip(self.prompts, self.rows, self.expected, strict=True):
            self.near(self.scored(self.policy, Prompts((prompt,)), [row]), expected)

    def batch(self) -> None:
        """Log-probs of all prompts together."""
        self.near(self.scored(self.policy, self.prompts, self.rows), torch.cat(self.expected))
        self.taken("batching")

    def several(self) -> None:
        """Log-probs of a question with three pictures, within the text and behind it."""
        (prompt,) = self.policy.encode([PLACED])
        expected = self.model.logprobs(prompt.inputs, self.rows[0]).detach()
        self.near(self.scored(self.policy, Prompts((prompt,)), self.rows[:1]), expected)
        pictures = PLACED.images[1], PLACED.images[0], PLACED.images[2]
        (other,) = self.policy.encode([replace(PLACED, images=pictures)])
        if (self.model.logprobs(other.inputs, self.rows[0]) - expected).abs().max() < 1e-3:
            raise Differs("the order of pictures does not matter")

    def shared(self) -> None:
        """Log-probs of three completions of each prompt."""
        rows = noise_rows([4, 7, 2] * len(self.prompts), seed=1)
        each = [p for p in self.prompts for _ in range(3)]
        expected = torch.cat([self.model.logprobs(p.inputs, r).detach() for p, r in zip(each, rows, strict=True)])
        self.near(self.scored(self.policy, self.prompts, rows), expected)
        self.taken("sharing")

    def reused(self) -> None:
        """Log-probs with the features of a frozen tower, computed once."""
        policy = self.load(lora=LoRA(rank=2))
        looked = policy.look(self.prompts)
        self.near(self.scored(policy, looked, self.rows), torch.cat(self.expected))
        if not policy.sees_alike:
            raise Differs("the default adapters change what is seen")
        self.taken("feature_reuse", policy)

    def packed(self) -> None:
        """Log-probs of all samples in one row."""
        self.taken("packing")
        completions = write(self.policy, self.rows)
        with self.policy.evaluating():
            got = self.policy.packed_logprobs(self.prompts, completions, 10_000).logprobs[completions.mask]
        self.near(got, torch.cat(self.expected))

    def decoding(self) -> None:
        """Greedy tokens as `generate` writes them, and log-probs of sampled ones as the untouched model has them."""
        got = self.sampled(0.0, 1)
        for prompt, ids, mask in zip(self.prompts, got.ids, got.mask, strict=True):
            mine, theirs = ids[mask].tolist(), self.model.write(prompt.inputs, 8)
            if mine != theirs[: len(mine)]:
                at = next(i for i, pair in enumerate(zip(mine, theirs, strict=False)) if pair[0] != pair[1])
                both = [self.model.logprobs(prompt.inputs, [*mine[:at], row[at]])[-1] for row in (mine, theirs)]
                if (gap := float((both[0] - both[1]).abs().detach())) > self.most:
                    raise Differs(f"token {at} is another one than `generate` writes, by {gap:.2g} nats")
        drawn = self.sampled(1.0, 2)
        assert drawn.logprobs is not None
        rows = [ids[mask].tolist() for ids, mask in zip(drawn.ids, drawn.mask, strict=True)]
        each = [p for p in self.prompts for _ in range(2)]
        expected = torch.cat([self.model.logprobs(p.inputs, r).detach() for p, r in zip(each, rows, strict=True)])
        self.near(drawn.logprobs[drawn.mask], expected)
        self.taken("sharing")
        assert self.policy.verdicts is not None
        if self.policy.verdicts.state_dict().get("SharedPrompt") is False:
            raise Slower("SharedPrompt")

    def sampled(self, temperature: float, group_size: int) -> Completions:
        """Completions of our own sampler."""
        params, seeds = SamplingParams(8, temperature=temperature), range(len(self.prompts))
        return LocalSampler().generate(self.policy, self.prompts, group_size, params, seeds)

    def gradients(self) -> None:
        """Gradients of every parameter, of all prompts together."""
        expected = self.model.gradients([(p.inputs, r) for p, r in zip(self.prompts, self.rows, strict=True)])
        policy = self.load().eval()
        policy.zero_grad()
        policy.logprobs(self.prompts, write(policy, self.rows)).logprobs.sum().backward()
        got = {n: p.grad for n, p in policy.hf_model.named_parameters() if p.grad is not None}
        whole = torch.cat([g.flatten().float() for g in expected.values()]).norm()
        for name, value in expected.items():
            other = got.get(name)
            gap = (value if other is None else other - value).float().norm() / whole
            if gap > 1e-3:
                raise Differs(f"the gradient of {name} is another one, by {gap:.2g} of the whole gradient")

    def supervised(self, **kwargs: Any) -> None:
        """A step of supervised training, packed where that is possible."""
        policy = self.load(**kwargs)
        self.stepped(SFTModule(policy, pack_tokens=512, optimizer=sgd))
        self.taken("packing", policy)

    def reinforced(self, **kwargs: Any) -> None:
        """A step of GRPO on completions of our own sampler."""
        policy = self.load(**kwargs)
        trainer = self.stepped(grpo(None, policy, rewards=[Share()]))
        gap = float(trainer.callback_metrics["train/sampler_gap"])
        if not gap < max(self.most, 1e-5):
            raise Differs(f"the sampler's log-probs are {gap:.2g} from those that are trained")
        self.taken("sharing", policy)
        if kwargs:
            self.taken("feature_reuse", policy)

    def stepped(self, module: Any) -> Any:
        """Train a step, after which everything that should has moved."""
        before = weights(module)
        trainer = fit(module, counting(size=2), precision=None)
        loss = trainer.callback_metrics["train/loss"]
        if trainer.global_step != 1 or not loss.isfinite():
            raise Differs(f"{trainer.global_step} steps, with a loss of {loss}")
        still = [
            name
            for name, p in module.policy.named_parameters()
            # an adapter's first matrix gets no gradient while the second one is zero
            if p.requires_grad
            and "lora_A" not in name
            and torch.equal(p, before[name])
            and not self.idle(name)
            and not any(part in name for part in READ_DIRECTLY)
        ]
        if still:
            raise Differs(f"{len(still)} parameters did not move, such as {still[0]}")
        return trainer

    def idle(self, name: str) -> bool:
        """Whether the untouched model gives a parameter no gradient either; experts may be spared."""
        if not hasattr(self, "with_gradient"):
            found = self.model.gradients([(p.inputs, r) for p, r in zip(self.prompts, self.rows, strict=True)])
            self.with_gradient = {n for n, g in found.items() if g.abs().max() > 1e-5}  # a step rounds less away
        bare = re.sub(r"^model\.(base_model\.model\.)?|\.base_layer|\.lora_B\.default", "", name)
        return bare not in self.with_gradient or "expert" in name

    def exported(self) -> None:
        """An export is the same model for everyone, with adapters merged."""
        policy = self.load(lora=LoRA(rank=2)).eval()
        with torch.no_grad():
            for name, parameter in policy.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.1)
        with tempfile.TemporaryDirectory() as folder:
            policy.export(Path(folder) / "export")
            again = Untouched.load(str(Path(folder) / "export"), policy.hf_model.dtype, self.policy.banned_token_ids)
        again.token_type = self.model.token_type
        expected = torch.cat(
            [again.logprobs(p.inputs, r).detach() for p, r in zip(self.prompts, self.rows, strict=True)]
        )
        if (expected - torch.cat(self.expected)).abs().mean() < 1e-3:
            raise Differs("adapters change nothing")
        self.near(self.scored(policy, self.prompts, self.rows), expected)

    def scored(self, policy: VLM, prompts: Prompts, rows: Sequence[Sequence[int]]) -> Tensor:
        """Log-probs of completions by our own way, one after the other. Shape ``(M,)``."""
        completions = write(policy, rows)
        with policy.evaluating():
            return policy.logprobs(prompts, completions).logprobs[completions.mask]

    def near(self, got: Tensor, expected: Tensor) -> None:
        """Raise `Differs` where log-probs differ by more than rounding."""
        gap = float((got - expected).abs().mean())
        if not gap <= self.most:
            raise Differs(f"log-probs are {gap:.2g} nats from the untouched model's")

    def taken(self, way: Way, policy: VLM | None = None) -> None:
        """Raise `Slower` where a faster way is not taken."""
        if not (policy or self.policy).may(way):
            raise Slower(way)


TRIALS: dict[str, Callable[[Trial], None]] = {
    "encode": Trial.encode,
    "log-probs": Trial.alone,
    "batch": Trial.batch,
    "several": Trial.several,
    "shared": Trial.shared,
    "reused": Trial.reused,
    "packed": Trial.packed,
    "decoding": Trial.decoding,
    "gradients": Trial.gradients,
    "SFT": Trial.supervised,
    "GRPO": Trial.reinforced,
    "LoRA SFT": lambda trial: trial.supervised(lora=LoRA(rank=2)),
    "LoRA GRPO": lambda trial: trial.reinforced(lora=LoRA(rank=2)),
    "export": Trial.exported,
}
PHRASES: dict[str, str] = {
    "batching": "mixes the prompts",
    "sharing": "can't share",
    "packing": "can't pack",
    "feature_reuse": "can't reuse",
    "SharedPrompt": "can't be decoded",
}
"""How the policy's warnings tell which way is not taken."""


def attempt(trial: Trial, step: Callable[[Trial], None], told: dict[str, str]) -> Outcome:
    """Run one trial.

    Args:
        trial: The architecture.
        step: What is tried.
        told: Why ways are not taken, by way; it is added to.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            step(trial)
            outcome = Outcome()
        except Slower as slower:
            outcome = Outcome("slower", str(slower))
        except Differs as different:
            outcome = Outcome("wrong", line(different))
        except InputError as refusal:
            outcome = Outcome("refused", line(refusal))
        except Exception as error:  # whatever a stranger's code raises is what this looks for
            if VERBOSE:
                traceback.print_exc()
            outcome = Outcome("crash", f"{type(error).__name__}: {line(error)}")
    for message in (str(one.message) for one in caught):
        for way in (way for way, phrase in PHRASES.items() if phrase in message):
            told[way] = message.partition(": ")[2].partition(". ")[0]
    return Outcome("slower", told.get(outcome.reason, outcome.reason)) if outcome.kind == "slower" else outcome


def line(error: BaseException) -> str:
    """The first line of a message, without the folder of the checkpoint."""
    return re.sub(r"/\S*/(\w+)", r"\1", (str(error).splitlines() or [""])[0])[:240]


def attempts(name: str, wanted: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """Build an architecture and try it, cell by cell; what can't be loaded has one cell."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            architectures.BUILDERS[name](Path(folder) / name)
        except Exception as error:  # an older transformers does not know it, or not with these options
            yield "encode", Outcome("absent", f"not built with transformers {transformers.__version__}: {line(error)}")
            return
        made: list[Trial] = []
        told: dict[str, str] = {}
        loading = attempt(None, lambda _: made.append(Trial(name, str(Path(folder) / name))), told)  # type: ignore[arg-type]
        if not made:
            yield "encode", loading
            return
        for key, step in TRIALS.items():
            if key in wanted or key == "encode":
                outcome = attempt(made[0], step, told)
                yield key, outcome
                if key == "encode" and outcome.kind != "right":
                    return


VERBOSE = False


def main() -> None:
    """Try, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="architectures; all by default")
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS), help="trials")
    parser.add_argument("--output", type=Path, help="a page; the table is written between its marks")
    parser.add_argument("--verbose", action="store_true", help="show where an error comes from")
    args = parser.parse_args()
    globals()["VERBOSE"] = args.verbose
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rows: dict[str, dict[str, Outcome]] = {}
    for name in args.names or sorted(architectures.BUILDERS):
        rows[name] = {}
        with number_words():
            for key, outcome in attempts(name, args.only):
                rows[name][key] = outcome
                if outcome.kind != "right":
                    print(f"{name:24} {key:10} {outcome.kind:8} {outcome.reason}", flush=True)
        print(f"{name:24} {' '.join(o.kind for o in rows[name].values())}", flush=True)
    print(summary(rows, tuple(TRIALS)))
    if args.output:
        page = args.output.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN)
        untried = "\n".join(f"- not built: {key}: {why}" for key, why in architectures.NOT_BUILT.items())
        counts = f"{len(rows)} architectures and variants: {summary(rows, tuple(TRIALS))} (the worst cell of each)."
        middle = f"\n{counts}\n\n{table(rows, tuple(TRIALS))}\n\n{reasons(rows)}\n{untried}\n"
        args.output.write_text(f"{head}{BEGIN}{middle}{END}{rest.split(END)[1]}", encoding="utf-8")
    sys.exit(any(outcome.kind in BAD for row in rows.values() for outcome in row.values()))


if __name__ == "__main__":
    main()
