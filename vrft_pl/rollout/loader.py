"""A loader of Samples becomes a loader of Experience."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, repeat
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vrft_pl.data.order import DealtRows
from vrft_pl.data.resumable import ResumableLoader
from vrft_pl.data.weighted import WeightedRows
from vrft_pl.distributed import gather
from vrft_pl.rollout.collector import Begun
from vrft_pl.rollout.state import experience_state, restore_experience, together
from vrft_pl.types import Experience, InputError, Opaque, Prompts, Sample


class Collect(Protocol):
    """Samples, scores and weighs the completions of one window."""

    def __call__(
        self, batches: list[list[Sample]], reused: bool, begun: Begun | None = None, filler: bool = False
    ) -> Experience:
        """Collect experience.

        Args:
            batches: The prompts of the window, by micro-batch.
            reused: Whether the policy will have changed before the last micro-batch is trained on.
            begun: The window as an older policy sampled it; ``None`` samples it now.
            filler: Whether the last micro-batch only keeps other ranks company, and will not be trained on.
        """

    def groups(
        self, batches: list[list[Sample]], reused: bool, begun: Begun | None = None, key: Sequence[int | str] = ()
    ) -> Experience:
        """Collect experience beyond the window, which no hook is told of.

        Args:
            batches: As above, as the rest.
            reused: Likewise.
            begun: Likewise.
            key: What tells its draws from those of the same prompts at the same step.
        """

    def resume(self, batches: list[list[Sample]], state: dict[str, Any]) -> Begun:
        """Take up completions that were sampled before."""


class Ahead(Protocol):
    """Samples a window before it is its turn."""

    def begin(self, batches: list[list[Sample]]) -> Begun:
        """Begin to sample the prompts of a window, by micro-batch."""

    def resume(self, batches: list[list[Sample]], state: dict[str, Any]) -> Begun:
        """Take up a window that a run had begun to sample before it stopped."""


class RolloutLoader(ResumableLoader):
    """Collects a window of experience with the policy as it is, then yields it in micro-batches of whole groups.

    It has a length, so that Lightning fetches no batch ahead and the policy that samples is the policy that is trained;
    and it has a state, so that a run resumes exactly, also in the middle of a window.

    Args:
        samples: Yields micro-batches of Samples.
        collect: Turns a window of prompts into experience.
        encode: Encodes Samples; needed to restore a window.
        window: Micro-batches whose completions are sampled together; a multiple of ``step_batches``.
        step_batches: Micro-batches of one optimizer step (``accumulate_grad_batches``).
        num_iterations: Times that each window is trained on (``mu`` of https://arxiv.org/abs/2402.03300, algorithm 1).
        skip_dead_groups: Leave groups without advantage out of the micro-batches; they still count in denominators.
            Only right where such a group has no gradient, that is without KL term.
        mean_over_ranks: Averages a tensor over the ranks of a distributed run.
        ahead: Samples the next window of an epoch while one is trained on; ``None`` samples each when it is needed.

    Raises:
        ValueError: If ``window`` is no multiple of ``step_batches``, or an argument is not positive.
    """

    def __init__(
        self,
        samples: DataLoader,
        collect: Collect,
        encode: Callable[[list[Sample]], Prompts],
        window: int = 1,
        step_batches: int = 1,
        num_iterations: int = 1,
        skip_dead_groups: bool = False,
        mean_over_ranks: Callable[[Tensor], Tensor] = lambda value: value,
        ahead: Ahead | None = None,
    ) -> None:
        if window < 1 or window % step_batches:
            raise InputError(
                f"Expected `window` to be a multiple of `accumulate_grad_batches` ({step_batches}), but got {window}."
            )
        if num_iterations < 1:
            raise ValueError(f"Expected `num_iterations` to be at least 1, but got {num_iterations}.")
        super().__init__(samples)
        self.collect, self.encode = collect, encode
        self.window, self.step_batches, self.num_iterations = window, step_batches, num_iterations
        self.skip_dead_groups, self.mean_over_ranks = skip_dead_groups, mean_over_ranks
        self.ahead = ahead
        self._begun: Begun | None = None
        self._experience: Experience | None = None
        self.asked: list[Sample] = []
        """What the window in work may be made of: its samples, and those of further rows."""
        self._further: list[int] = []
        """Further rows, at the end of ``asked``."""
        self._drawn = 0
        """Further rows that all ranks have drawn in this epoch."""
        self._reused = False

    def __len__(self) -> int:
        """Micro-batches an epoch."""
        return len(self.samples) * self.num_iterations

    def __iter__(self) -> Iterator[Opaque[Experience]]:
        """Start an epoch, or go on where a loaded state stopped."""
        self._start()
        self._drawn = 0 if self._loaded is None else self._loaded.get("drawn", 0)
        batches = self._batches()
        done, offset = divmod(self.position, self.window * self.num_iterations)
        read = done * self.window
        for _ in islice(batches, read):
            pass
        self._begun = None
        windows = self._windows(batches, self.end - read * self.num_iterations)
        following = next(windows, None)
        while following is not None:
            (window, schedule), following = following, next(windows, None) if self.ahead else None
            self.asked, self._further = [sample for batch in window for sample in batch], []
            self._reused = len(schedule) > self.step_batches
            if offset and self._loaded is not None:
                self.read(self._loaded.get("further", []))
                prompts = self.encode(self.asked)
                self._experience = restore_experience(self._loaded["experience"], self.asked, prompts)
            else:
                filler = not self.counts(read + len(window) - 1)
                self._experience = self._collected(window, self._reused, filler)
                if filler:
                    self._experience = muted(self._experience, window[-1])
            self._begun = self._begin(following[0]) if following is not None else None
            read, self._loaded = read + len(window), None
            sizes = micro_batch_sizes([len(batch) for batch in window], len(self._experience))
            for batch in self._micro_batches(self._experience, sizes, schedule)[offset:]:
                self.position += 1
                yield Opaque(batch)
            offset = 0
            following = following or next(windows, None)

    def _batches(self) -> Iterator[list[Sample]]:
        """The batches of an epoch; where rows are drawn by weight, those of a window are asked for when it begins."""
        rows = self.samples.sampler
        if not isinstance(rows, WeightedRows):
            return iter(self.samples)
        rows.start(self.window * (self.samples.batch_size or 1))
        return islice(chain.from_iterable(repeat(self.samples)), len(self.samples))

    def _windows(self, batches: Iterator[list[Sample]], left: int) -> Iterator[tuple[list[list[Sample]], list[int]]]:
        """The windows that are left of an epoch, each with the order in which its micro-batches are trained on."""
        while window := list(islice(batches, min(self.window, left))):
            schedule = [i for _ in range(self.num_iterations) for i in range(len(window))][:left]
            left -= len(schedule)
            yield window, schedule

    def _collected(self, window: list[list[Sample]], reused: bool, filler: bool) -> Experience:
        """Collect a window, from what was begun of it where something was."""
        if self._begun is None and (state := self._loaded_ahead()) is not None:
            assert self.ahead is not None
            self._begun = self.ahead.resume(window, state)
        told: dict[str, Any] = {} if self._begun is None else {"begun": self._begun}
        if filler:
            told["filler"] = True
        return self.collect(window, reused, **told)

    def _begin(self, window: list[list[Sample]]) -> Begun:
        """Begin to sample the window after the one in work, unless the run had done so before it stopped."""
        assert self.ahead is not None
        state = self._loaded_ahead()
        return self.ahead.begin(window) if state is None else self.ahead.resume(window, state)

    def _loaded_ahead(self) -> dict[str, Any] | None:
        """What a checkpoint holds of the window after the one in work, once."""
        if self._loaded is None or self.ahead is None:
            return None
        state: dict[str, Any] | None = self._loaded.pop("ahead", None)
        return state

    def _state(self) -> dict[str, Any]:
        in_window = self.position % (self.window * self.num_iterations) and self.position < self.end
        return {
            **super()._state(),
            "experience": experience_state(self._experience, self.asked) if in_window and self._experience else None,
            "further": self._further if in_window else [],
            "drawn": self._drawn,
            "ahead": None if self._begun is None else self._begun.state(),
        }

    def more(self, count: int, key: str) -> Experience | None:
        """Collect groups of rows beyond the epoch's order. Every rank calls it within the hook at a window's end.

        Together ranks read the rows that one process would. All of them sample as many as the one that wants most,
        for passes of sharded weights wait for each other; what a rank has too much is dropped.

        Args:
            count: Groups that this rank wants.
            key: What tells its draws from others of the window.

        Returns:
            So many groups; ``None`` for none.

        Raises:
            InputError: If the rows are not dealt out as those of `SampleData`.
        """
        sampler = self.samples.sampler
        if not isinstance(sampler, DealtRows):
            raise InputError(f"Expected rows in the order of `SampleData`, but got {type(sampler).__name__}.")
        counts = dict(sorted(gather((sampler.rank, count))))
        if not (total := sum(counts.values())):
            return None
        rows = sampler.beyond(self._drawn, total)
        first, self._drawn = sum(counts[rank] for rank in counts if rank < sampler.rank), self._drawn + total
        samples = self.read(rows[first : first + count])
        samples += [self.samples.dataset[rows[0]] for _ in range(max(counts.values()) - count)]
        collected = self.collect.groups(self._in_batches(samples), self._reused, key=(key,))
        return collected.select(range(count)) if count else None

    def again(self, samples: list[Sample], completions: Sequence[dict[str, Any]]) -> Experience:
        """Collect groups that were sampled before. Every rank calls it within the hook at a window's end.

        Args:
            samples: As many on every rank, of `read` or of the window.
            completions: A group of each, as `vrft_pl.axes.kept` gives them.
        """
        batches = self._in_batches(samples)
        return self.collect.groups(batches, self._reused, self.collect.resume(batches, together(completions)))

    def _in_batches(self, samples: list[Sample]) -> list[list[Sample]]:
        size = self.samples.batch_size or 1
        return [samples[start : start + size] for start in range(0, len(samples), size)]

    def read(self, rows: Sequence[int]) -> list[Sample]:
        """Read further rows of which the window in work may be made."""
        samples = [self.samples.dataset[row] for row in rows]
        self.asked += samples
        self._further += rows
        return samples

    def _micro_batches(self, experience: Experience, sizes: list[int], schedule: list[int]) -> list[Experience]:
        """Cut a window into micro-batches, each with the denominators of its optimizer step."""
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        alive = experience.live_groups.tolist()
        per_row = experience.loss_mask.sum(dim=1)
        batches = []
        for first in range(0, len(schedule), self.step_batches):
            step = schedule[first : first + self.step_batches]
            groups = [list(range(starts[i], starts[i] + sizes[i])) for i in step]
            rows = per_row.view(len(experience), -1)[[group for part in groups for group in part]]
            counts = torch.stack([(rows > 0).sum().double(), rows.sum().double()]) / self.step_batches
            num_sequences, num_tokens = self.mean_over_ranks(counts).tolist()
            for part in groups:
                kept = [g for g in part if alive[g]] if self.skip_dead_groups else part
                batch = experience.select(kept or part[:1]) if part else unheard(experience)
                old = batch.old_logprobs if first or batch.ratio_to_sampler else None
                batches.append(replace(batch, old_logprobs=old, num_sequences=num_sequences, num_tokens=num_tokens))
        return batches


def micro_batch_sizes(sizes: list[int], num_groups: int) -> list[int]:
    """Groups of each micro-batch of a window: as collected, or dealt out evenly where there are more or fewer now.

    Example:
        >>> micro_batch_sizes([4, 4, 2], 10), micro_batch_sizes([4, 4, 2], 4)
        ([4, 4, 2], [2, 1, 1])
    """
    if sum(sizes) == num_groups:
        return sizes
    share, left = divmod(num_groups, len(sizes))
    return [share + (i < left) for i in range(len(sizes))]


def unheard(experience: Experience) -> Experience:
    """A group that enters no loss: the micro-batch of a rank that has none left, whose passes others wait for."""
    batch = experience.select([0])
    return muted(batch, batch.samples)


def muted(experience: Experience, samples: Sequence[Sample]) -> Experience:
    """The same passes, where the groups of these samples enter no loss and no denominator."""
    muted = {id(sample) for sample in samples}
    heard = torch.tensor([id(sample) not in muted for sample in experience.samples])
    rows = heard.repeat_interleave(len(experience.rewards) // len(heard)).to(experience.loss_mask.device)
    return replace(
        experience,
        loss_mask=experience.loss_mask & rows[:, None],
        advantages=experience.advantages.where(rows, 0.0),
    )
