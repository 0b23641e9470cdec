"""The values that travel between the stages; `vrft_pl.axes` has the legend of their axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from PIL import Image
from torch import Tensor

from vrft_pl.answers import AnswerFrame, Solution
from vrft_pl.axes import ToDevice, joined, per, selected
from vrft_pl.styles import AnswerStyle, StyleName

T = TypeVar("T")


class InputError(ValueError):
    """Something that came from outside (a file, a row, a checkpoint, a user's reward) is wrong.

    The command line prints its message as one line and exits with 1, without a traceback.
    """


class Opaque(Generic[T]):
    """Carries a batch past the precision plugins of Lightning; the DataModule takes it out again.

    They refuse frozen dataclasses, and would round advantages and log-probs to the precision of the weights.
    """

    def __init__(self, value: T) -> None:
        self.value = value


class ImageSource(Protocol):
    """A picture that is read or drawn only when it is needed."""

    def open(self) -> Image.Image:
        """Return the picture as upright RGB."""


@dataclass(frozen=True)
class Sample(ToDevice):
    """One question about one or more pictures, with its checked ground truth."""

    id: str
    """Unique within its source; error messages and completion records name it."""
    images: tuple[ImageSource, ...]
    """Pictures in the order of the question; empty for a text-only sample."""
    problem: str
    """The question, without instructions on the style of the answer; ``<image>`` stands where a picture belongs, or
    nowhere, and pictures come first."""
    solution: Solution
    """Ground truth in units of the original image."""
    style: AnswerStyle | StyleName = "think"
    """The form in which the answer is asked for."""
    cot: str | None = None
    """Chain of thought for supervised training, if the source has one."""
    split: str | None = None
    """Name of the part of the data that it belongs to: ``train``, or that of a held-out part."""
    domain: Literal["id", "ood"] | None = None
    """Whether its part is of the distribution that is trained on or of another."""
    tags: tuple[str, ...] = ()
    """What else it is counted under, beside the other rows of its part."""
    system: str | None = None
    """System prompt."""
    template: str | None = None
    """How the question is written; ``None`` for `vrft_pl.prompts.TEMPLATE`."""
    target: str | None = None
    """The whole turn that supervised training imitates, in place of the one that the style writes. Its coordinates are
    those of the policy already."""
    place: str | None = None
    """Part and row that it was read from: what tells it from the others wherever its file lies; ``None`` outside of a
    part."""
    row: int | None = None
    """Where it stands among all rows that are trained on; ``None`` for one that is held out."""
    extra: dict[str, Any] = field(default_factory=dict, hash=False)
    """Other columns of its row by their names, as the source holds them: for rewards and templates, and not checked."""

    @property
    def groups(self) -> tuple[str, ...]:
        """All names that it is counted under: its part, its domain and its tags."""
        return tuple(name for name in (self.split, self.domain, *self.tags) if name is not None)


@dataclass(frozen=True)
class Prompt(ToDevice):
    """One encoded prompt, without padding, as the processor returned it."""

    inputs: dict[str, Tensor]
    """Every key of the processor for this prompt alone; ``input_ids`` has shape ``(1, S)``."""
    frame: AnswerFrame | None = None
    """How to read coordinates in the answer; ``None`` for a prompt without a picture."""
    features: Any = None
    """What a frozen vision tower sees in the pictures, in the model's own form; ``None`` where it is yet to look."""
    sample: Sample | None = None
    """The question itself, which an engine with a processor of its own reads again."""

    @property
    def num_tokens(self) -> int:
        """``S``, image tokens included."""
        return self.inputs["input_ids"].shape[1]


@dataclass(frozen=True)
class Prompts(ToDevice):
    """Encoded prompts of one batch, each picture held once."""

    items: tuple[Prompt, ...]
    """Length ``P``."""

    def __len__(self) -> int:
        """``P``."""
        return len(self.items)

    def __iter__(self) -> Iterator[Prompt]:
        """Iterate over the prompts."""
        return iter(self.items)

    def __getitem__(self, index: slice) -> Prompts:
        """Select a run of prompts."""
        return Prompts(self.items[index])

    def select(self, indices: Sequence[int]) -> Prompts:
        """Select prompts by position."""
        return Prompts(tuple(self.items[i] for i in indices))

    def join(self, others: Sequence[Prompts]) -> Prompts:
        """Put others behind these."""
        return Prompts(tuple(item for prompts in (self, *others) for item in prompts))

    def repeat_interleave(self, group_size: int) -> Prompts:
        """Repeat each prompt ``group_size`` times beside itself, by reference. Returns ``N`` prompts."""
        return Prompts(tuple(prompt for prompt in self.items for _ in range(group_size)))

    def to(self, device: torch.device | str, **kwargs: Any) -> Prompts:
        """Move every prompt."""
        return Prompts(tuple(prompt.to(device, **kwargs) for prompt in self.items))


FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Completions(ToDevice):
    """What the policy wrote."""

    ids: Tensor = per("token")
    """Tokens, right-padded, each end token included. Shape ``(N, T)``."""
    mask: Tensor = per("token")
    """True up to and including the end token. Shape ``(N, T)``."""
    logprobs: Tensor | None = per("token")
    """Log-probability of each token under the distribution it was sampled from; ``None`` for given targets and for
    greedy decoding. Shape ``(N, T)``, float32."""
    texts: tuple[str, ...] = per("completion")
    """Decoded completions without the end token. Length ``N``."""
    finish_reasons: tuple[FinishReason, ...] = per("completion")
    """``stop`` at an end token, ``length`` at the token limit. Length ``N``."""
    frames: tuple[AnswerFrame | None, ...] = per("completion", kept=False)
    """How to read coordinates in each text. Length ``N``."""

    @classmethod
    def written(cls, texts: Sequence[str], frames: Sequence[AnswerFrame | None]) -> Completions:
        """Texts as if a policy had written them and stopped, a token each."""
        mask = torch.ones(len(texts), 1, dtype=torch.bool)
        ids = torch.zeros_like(mask, dtype=torch.long)
        return cls(ids, mask, None, tuple(texts), tuple("stop" for _ in texts), tuple(frames))

    def __len__(self) -> int:
        """``N``."""
        return len(self.texts)

    @property
    def truncated(self) -> Tensor:
        """Completions cut at the token limit. Shape ``(N,)``, bool."""
        cut = [reason == "length" for reason in self.finish_reasons]
        return torch.tensor(cut, dtype=torch.bool, device=self.ids.device)

    def select(self, rows: Sequence[int]) -> Completions:
        """Select completions by position and drop columns that hold padding only."""
        mask = self.mask[torch.as_tensor(rows, dtype=torch.long, device=self.ids.device)]
        width = max(1, int(mask.sum(dim=1).max())) if len(rows) else 1
        return replace(self, **selected(self, {"completion": rows}, width))

    def join(self, others: Sequence[Completions]) -> Completions:
        """Put others behind these."""
        return replace(self, **joined([self, *others]))


@dataclass(frozen=True)
class Scores:
    """What the rewards say of the completions of a window."""

    by_reward: dict[str, Tensor]
    """Unweighted scores by the name of the reward, each of shape ``(N,)``."""
    parse_failures: dict[str, Tensor]
    """See `Experience`."""
    weights: dict[str, float]
    """Of each reward at this step; 0 for one that is reported only."""
    group_size: int
    """``G``."""
    divergence: Tensor | None = None
    """Log-prob of each completion under the policy less that under the reference, summed over its tokens; ``None``
    where the advantage does not ask for it. Shape ``(N,)``."""
    counted: Tensor | None = None
    """False for completions that only keep other ranks company, and are weighed but not trained on; ``None`` where none
    do. Shape ``(N,)``, bool."""

    @property
    def total(self) -> Tensor:
        """Weighted sum of the scores. Shape ``(N,)``."""
        none = torch.zeros_like(next(iter(self.by_reward.values())))
        return sum((weight * self.by_reward[name] for name, weight in self.weights.items()), start=none)


@dataclass(frozen=True)
class Demonstrations(ToDevice):
    """Prompts with the answers that supervised training imitates: one micro-batch."""

    samples: tuple[Sample, ...]
    """Length ``P``."""
    prompts: Prompts
    """Length ``P``."""
    targets: Completions
    """One target a prompt: ``N = P``."""
    num_tokens: float = 0.0
    """Target tokens in the whole optimizer step, per micro-batch and rank."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds that the whole optimizer step spent by phase (``encode``: reading and encoding rows)."""

    def __len__(self) -> int:
        """``P``."""
        return len(self.samples)

    def select(self, rows: Sequence[int]) -> Demonstrations:
        """Select samples by position."""
        samples = tuple(self.samples[row] for row in rows)
        return replace(self, samples=samples, prompts=self.prompts.select(rows), targets=self.targets.select(rows))


@dataclass(frozen=True)
class Experience(ToDevice):
    """Scored completions: a whole rollout window, or a micro-batch of whole groups from one."""

    samples: tuple[Sample, ...] = per("prompt", kept=False)
    """Length ``P``."""
    prompts: Prompts = per("prompt", kept=False)
    """Length ``P``."""
    completions: Completions = per("completion")
    """``N = P * G`` completions."""
    scores: dict[str, Tensor] = per("completion")
    """Unweighted score of each reward by name, each of shape ``(N,)``."""
    parse_failures: dict[str, Tensor] = per("completion")
    """Why a reward could not read a completion, by its name: 0 where it could, the position of the reason in
    `vrft_pl.rewards.Unread` counted from 1, or -1 where it does not judge the sample. Shape ``(N,)``, int8."""
    rewards: Tensor = per("completion")
    """Weighted sum of the scores. Shape ``(N,)``."""
    advantages: Tensor = per("completion")
    """Shape ``(N,)``."""
    loss_mask: Tensor = per("token")
    """Tokens that enter the loss. Shape ``(N, T)``, bool."""
    old_logprobs: Tensor | None = per("token", default=None)
    """Under the policy that sampled, by the forward pass that trains unless ``ratio_to_sampler``; ``None`` where that
    is the policy being trained. Shape ``(N, T)``."""
    ratio_to_sampler: bool = field(default=False, metadata={"kept": True})
    """Whether ``old_logprobs`` are the sampler's own, of weights older than those that train on it first."""
    token_weights: Tensor | None = per("token", default=None)
    """How much each token counts in the loss, while denominators count it as 1; ``None`` for 1. Shape ``(N, T)``."""
    entropy: Tensor | None = per("token", kept=False, default=None)
    """Of the policy that is trained, with its graph, in nats; there while a loss is computed. Shape ``(N, T)``."""
    reference_logprobs: Tensor | None = per("token", default=None)
    """Under the frozen reference; ``None`` when the KL coefficient is 0. Shape ``(N, T)``."""
    num_sequences: float = 0.0
    """Completions with a token in the loss, in the whole optimizer step, per micro-batch and rank."""
    num_tokens: float = 0.0
    """Tokens in the loss, in the whole optimizer step, per micro-batch and rank."""
    max_tokens: int | None = field(default=None, metadata={"kept": True})
    """Most tokens of a completion when these were sampled."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds spent by phase (``rollout``, ``reward``, ``reference``)."""

    def __len__(self) -> int:
        """``P``."""
        return len(self.samples)

    @property
    def group_size(self) -> int:
        """``G``, completions per prompt."""
        return len(self.completions) // len(self.samples)

    @property
    def live_groups(self) -> Tensor:
        """Groups in which some completion has an advantage other than 0. Shape ``(P,)``, bool."""
        return (self.advantages.view(len(self), -1) != 0).any(dim=1)

    def select(self, groups: Sequence[int]) -> Experience:
        """Select whole groups by the position of their prompt."""
        size = self.group_size
        rows = [group * size + i for group in groups for i in range(size)]
        completions = self.completions.select(rows)
        return replace(self, **selected(self, {"prompt": groups, "completion": rows}, completions.ids.shape[1]))

    def join(self, others: Sequence[Experience]) -> Experience:
        """Put the groups of others behind these; ratios are to the sampler's log-probs where those of one of them are.

        Raises:
            InputError: If the sampler's log-probs are needed and are not known.
        """
        parts = (self, *others)
        if any(part.old_logprobs is not None for part in parts):
            parts = tuple(replace(part, old_logprobs=part.known_logprobs) for part in parts)
        names = dict.fromkeys(name for part in parts for name in part.seconds)
        return replace(
            self,
            **joined(parts),
            ratio_to_sampler=any(part.ratio_to_sampler for part in parts),
            seconds={name: sum(part.seconds.get(name, 0.0) for part in parts) for name in names},
        )

    @property
    def known_logprobs(self) -> Tensor:
        """Under the policy that sampled, by its own forward pass or by the sampler's word. Shape ``(N, T)``."""
        known = self.completions.logprobs if self.old_logprobs is None else self.old_logprobs
        if known is None:
            raise InputError("Expected a sampler that gives the log-probs of what it draws, but got none.")
        return known
