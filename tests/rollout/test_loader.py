from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from vrft_pl.answers import Number
from vrft_pl.data.order import ShuffledRows
from vrft_pl.rollout import RolloutLoader
from vrft_pl.types import Completions, Experience, InputError, Prompt, Prompts, Sample

G = 2


def encode(samples):
    return Prompts(tuple(Prompt({"input_ids": torch.tensor([[int(sample.id)]])}) for sample in samples))


class Collector:
    """Stands for a module: draws by the window's samples, and keeps what it was asked for."""

    def __init__(self, dead=()):
        self.dead, self.calls, self.keys = dead, [], []

    def groups(self, batches, reused, begun=None, key=()):
        self.keys.append(key)
        return self(batches, reused)

    def __call__(self, batches, reused):
        samples = [sample for batch in batches for sample in batch]
        self.calls.append(([[sample.id for sample in batch] for batch in batches], reused))
        num_rows = len(samples) * G
        lengths = torch.tensor([1 + (int(sample.id) + i) % 4 for sample in samples for i in range(G)])
        seed = int("1" + "".join(sample.id for sample in samples)[:12])
        ids = torch.randint(0, 100, (num_rows, 5), generator=torch.Generator().manual_seed(seed))
        mask = torch.arange(5) < lengths[:, None]
        texts = tuple(f"{sample.id}-{i}" for sample in samples for i in range(G))
        reasons = tuple("length" if length == 4 else "stop" for length in lengths.tolist())
        alive = torch.tensor([int(s.id) not in self.dead for s in samples]).repeat_interleave(G)
        return Experience(
            samples=tuple(samples),
            prompts=encode(samples),
            completions=Completions(ids, mask, ids / 100, texts, reasons, (None,) * num_rows),
            scores={"R": ids[:, 0].float()},
            parse_failures={"R": ids[:, 0] > 50},
            rewards=ids[:, 0].float(),
            advantages=torch.where(alive, ids[:, 1] + 1.0, 0.0),
            loss_mask=mask,
            old_logprobs=-ids / 10 if reused else None,
            reference_logprobs=-ids / 20,
        )


class Plain(RolloutLoader):
    def __iter__(self):
        return (held.value for held in super().__iter__())


def loader(size=8, batch_size=2, seed=3, collect=None, **kwargs):
    samples = [Sample(str(i), (), "?", Number(i)) for i in range(size)]
    order = torch.Generator().manual_seed(seed)
    inner = DataLoader(samples, batch_size, shuffle=True, collate_fn=list, generator=order)
    collect = collect or Collector()
    return Plain(inner, collect, encode, **kwargs)


def ids(batch):
    return [sample.id for sample in batch.samples]


def plain(batch):
    """Everything of a batch that training can see, as values that can be compared."""
    c = batch.completions
    tensors = (c.ids, c.mask, c.logprobs, batch.rewards, batch.advantages, batch.loss_mask, batch.old_logprobs)
    tensors += (batch.reference_logprobs, *batch.scores.values(), *batch.parse_failures.values())
    tensors += tuple(prompt.inputs["input_ids"] for prompt in batch.prompts)
    values = [None if t is None else t.tolist() for t in tensors]
    return ids(batch), c.texts, c.finish_reasons, c.frames, batch.num_sequences, batch.num_tokens, values


@pytest.mark.parametrize("num_iterations", [1, 3])
@pytest.mark.parametrize(("size", "batch_size"), [(8, 2), (7, 2)], ids=["even", "last-batch-short"])
@pytest.mark.parametrize("window", [1, 2, 3])
def test_an_epoch_has_its_length_and_reads_each_sample_as_often_as_it_should(size, batch_size, window, num_iterations):
    rollouts = loader(size, batch_size, window=window, num_iterations=num_iterations)
    seen = [i for batch in rollouts for i in ids(batch)]
    assert len(rollouts) == len(list(rollouts)) == 4 * num_iterations
    assert sorted(seen) == sorted([str(i) for i in range(size)] * num_iterations)


def test_micro_batches_hold_whole_groups_in_the_order_of_the_samples():
    for batch in loader(window=2):
        assert batch.completions.texts == tuple(f"{i}-{g}" for i in ids(batch) for g in range(G))
        assert [int(p.inputs["input_ids"]) for p in batch.prompts] == [int(i) for i in ids(batch)]
        lengths = [1 + (int(i) + g) % 4 for i in ids(batch) for g in range(G)]
        assert batch.loss_mask.sum(1).tolist() == batch.completions.mask.sum(1).tolist() == lengths
        assert batch.completions.ids.shape[1] == batch.reference_logprobs.shape[1] == max(lengths)


def test_a_window_is_collected_at_once_and_only_when_it_is_needed():
    collect = Collector()
    epoch = iter(loader(collect=collect, window=2, step_batches=2))
    batches = [next(epoch), next(epoch)]
    assert [batch for batch, _ in collect.calls] == [[ids(batch) for batch in batches]]
    next(epoch)
    assert len(collect.calls) == 2


@pytest.mark.parametrize(
    ("window", "step_batches", "num_iterations", "reused", "fresh"),
    [
        pytest.param(1, 1, 1, False, [0, 1, 2, 3], id="on-policy"),
        pytest.param(2, 2, 1, False, [0, 1, 2, 3], id="accumulated"),
        pytest.param(2, 1, 1, True, [0, 2], id="two-steps-a-window"),
        pytest.param(1, 1, 2, True, [0, 2, 4, 6], id="two-iterations"),
        pytest.param(2, 2, 2, True, [0, 1, 4, 5], id="accumulated-two-iterations"),
        pytest.param(4, 2, 1, True, [0, 1], id="one-window"),
    ],
)
def test_old_logprobs_are_left_out_on_the_first_step_of_a_window_only(
    window, step_batches, num_iterations, reused, fresh
):
    collect = Collector()
    rollouts = loader(collect=collect, window=window, step_batches=step_batches, num_iterations=num_iterations)
    batches = list(rollouts)
    assert {asked for _, asked in collect.calls} == {reused}
    assert [i for i, batch in enumerate(batches) if batch.old_logprobs is None] == fresh
    for batch in batches:
        if batch.old_logprobs is not None:
            assert torch.equal(batch.old_logprobs, -batch.completions.ids / 10)


@pytest.mark.parametrize(
    ("limit", "num_iterations", "windows"),
    [
        pytest.param(3, 1, [2, 1], id="half-a-window"),
        pytest.param(4, 1, [2, 2], id="whole-windows"),
        pytest.param(5, 2, [2, 1], id="half-a-window-once-of-two-times"),
        pytest.param(7, 2, [2, 2], id="whole-windows-the-last-not-to-its-end"),
    ],
)
def test_an_epoch_that_is_cut_short_collects_only_what_it_uses(limit, num_iterations, windows):
    collect = Collector()
    rollouts = loader(size=16, collect=collect, window=2, num_iterations=num_iterations)
    rollouts.limit = limit
    assert len(list(rollouts)) == limit
    assert [len(window) for window, _ in collect.calls] == windows


def test_an_iteration_repeats_the_window_in_order():
    batches = list(loader(window=2, step_batches=2, num_iterations=3))
    for first in (0, 6):
        window = [plain(replace(batch, old_logprobs=None)) for batch in batches[first : first + 6]]
        assert window[:2] == window[2:4] == window[4:6]
        assert window[0] != window[1]


@pytest.mark.parametrize("step_batches", [1, 2, 4])
def test_denominators_are_those_of_the_step_per_micro_batch(step_batches):
    batches = list(loader(window=4, step_batches=step_batches))
    for first in range(0, 4, step_batches):
        step = batches[first : first + step_batches]
        assert {b.num_sequences for b in step} == {sum(len(b.completions) for b in step) / step_batches}
        assert {b.num_tokens for b in step} == {sum(int(b.loss_mask.sum()) for b in step) / step_batches}


def test_denominators_of_a_last_step_that_is_cut_short():
    """Lightning still divides the loss of the only micro-batch by two."""
    *_, last = loader(size=6, batch_size=2, window=2, step_batches=2)
    assert last.num_sequences == 4 / 2
    assert last.num_tokens == int(last.loss_mask.sum()) / 2


def test_completions_out_of_the_loss_do_not_count():
    class Masked(Collector):
        def __call__(self, batches, reused):
            experience = super().__call__(batches, reused)
            mask = experience.loss_mask.clone()
            mask[0] = False
            return replace(experience, loss_mask=mask)

    batch = next(iter(loader(collect=Masked())))
    assert batch.num_sequences == 3
    assert batch.num_tokens == int(batch.loss_mask.sum()) < int(batch.completions.mask.sum())


def test_denominators_are_averaged_over_ranks():
    alone = next(iter(loader()))
    batch = next(iter(loader(mean_over_ranks=lambda value: value * 10)))
    assert (batch.num_sequences, batch.num_tokens) == (10 * alone.num_sequences, 10 * alone.num_tokens)


def test_dead_groups_are_skipped_but_still_count():
    dead = (0, 1, 2, 5)
    kept = list(loader(collect=Collector(dead=dead), batch_size=4, skip_dead_groups=True))
    full = list(loader(batch_size=4))
    for some, everything in zip(kept, full, strict=True):
        assert ids(some) == [i for i in ids(everything) if int(i) not in dead]
        assert (some.num_sequences, some.num_tokens) == (everything.num_sequences, everything.num_tokens)
    assert sum(len(batch) for batch in full) == 8


def test_a_micro_batch_of_dead_groups_keeps_one_of_them():
    batches = list(loader(collect=Collector(dead=range(8)), batch_size=4, skip_dead_groups=True))
    assert [len(batch) for batch in batches] == [1, 1]
    assert not any(batch.advantages.any() for batch in batches)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param(
            {"window": 3, "step_batches": 2}, r"multiple of `accumulate_grad_batches` \(2\), but got 3", id="3"
        ),
        pytest.param(
            {"window": 1, "step_batches": 2}, r"multiple of `accumulate_grad_batches` \(2\), but got 1", id="1"
        ),
        pytest.param({"window": 0}, "but got 0", id="no-window"),
        pytest.param({"num_iterations": 0}, "`num_iterations` to be at least 1, but got 0", id="no-iteration"),
    ],
)
def test_a_window_holds_whole_steps(kwargs, message):
    with pytest.raises(ValueError, match=message):
        loader(**kwargs)


def test_epochs_have_different_orders():
    rollouts = loader(size=32)
    orders = [[i for batch in rollouts for i in ids(batch)] for _ in range(3)]
    assert len({tuple(order) for order in orders}) == 3


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again, other = loader(size=32), loader(size=32), loader(size=32, seed=4)
    next(iter(again)), again.load_state_dict(loader().state_dict())
    torch.rand(3)
    for _ in range(2):
        a, b, c = ([i for batch in rollouts for i in ids(batch)] for rollouts in (first, again, other))
        assert a == b != c


def states(rollouts, num_epochs):
    """Each batch, and the state after it, as Lightning saves it."""
    return [(plain(batch), rollouts.state_dict()) for _ in range(num_epochs) for batch in rollouts]


@pytest.mark.parametrize("num_iterations", [1, 2])
@pytest.mark.parametrize("size", [8, 7, 6], ids=["even", "last-batch-short", "last-window-short"])
@pytest.mark.parametrize(("window", "step_batches"), [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_a_loaded_state_goes_on_at_every_position(tmp_path, size, window, step_batches, num_iterations):
    kwargs = {"size": size, "window": window, "step_batches": step_batches, "num_iterations": num_iterations}
    expected = states(loader(**kwargs), 4)
    length = len(loader(**kwargs))
    for stop in range(1, 2 * length + 1):
        torch.save(expected[stop - 1][1], tmp_path / "state")
        resumed = loader(**kwargs)
        resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
        got = states(resumed, 2)
        until = (stop // length + 2) * length
        assert [batch for batch, _ in got] == [batch for batch, _ in expected[stop:until]], stop
        begun = [i for i in range(stop, until) if i % length % (window * num_iterations) == 0]
        assert len(resumed.collect.calls) == len(begun), stop  # what was collected is not collected again


def test_a_state_holds_a_window_only_in_the_middle_of_it():
    held = [state["ranks"][0]["experience"] is not None for _, state in states(loader(window=2, num_iterations=2), 1)]
    assert held == [True, True, True, False] * 2


def dealt(ranks=1, rank=0, size=8, **kwargs):
    """A loader of a rank's rows, as `SampleData` deals them out."""
    samples = [Sample(str(i), (), "?", Number(i)) for i in range(size)]
    order = ShuffledRows(torch.Generator().manual_seed(3), size, 2, ranks, rank)
    return Plain(DataLoader(samples, 2, sampler=order, collate_fn=list), Collector(), encode, **kwargs)


def further(rollouts, counts, monkeypatch):
    """Ids of the groups that each rank gets when they want so many, and what was sampled for them."""
    monkeypatch.setattr("vrft_pl.rollout.loader.gather", lambda own: list(enumerate(counts)))
    found = [rollout.more(count, "round 1") for rollout, count in zip(rollouts, counts, strict=True)]
    return [[] if part is None else ids(part) for part in found], [rollout.collect.calls[-1][0] for rollout in rollouts]


def test_ranks_together_read_the_further_rows_of_one_process(monkeypatch):
    alone, ranks = dealt(size=16), [dealt(2, rank, size=16) for rank in range(2)]
    for rollouts in (alone, *ranks):
        next(iter(rollouts))
    for counts in ([1, 2], [0, 3], [3, 2]):
        ((one,), _), (two, sampled) = (
            further(r, c, monkeypatch) for r, c in (([alone], [sum(counts)]), (ranks, counts))
        )
        assert two[0] + two[1] == one
        # as many passes on each rank
        assert len({tuple(map(len, batches)) for batches in sampled}) == 1
    assert ranks[0].collect.keys == [("round 1",)] * 3


def test_further_rows_are_those_of_an_order_of_their_own_in_each_epoch(monkeypatch):
    rollouts = dealt(size=8)
    epochs = []
    for _ in range(2):
        batches = iter(rollouts)
        own = ids(next(batches))
        first, second = (further([rollouts], [5], monkeypatch)[0][0] for _ in range(2))
        own += [i for batch in batches for i in ids(batch)]
        assert sorted(first + second[:3]) == sorted(own)
        assert first + second[:3] != own
        epochs.append(first)
    assert epochs[0] != epochs[1]


def test_nothing_is_sampled_where_no_rank_wants_more(monkeypatch):
    rollouts = dealt()
    next(iter(rollouts))
    monkeypatch.setattr("vrft_pl.rollout.loader.gather", lambda own: [(0, 0), (1, 0)])
    assert rollouts.more(0, "round 1") is None
    assert rollouts.collect.keys == []


def test_rows_in_an_order_that_is_not_dealt_out_can_not_be_continued():
    with pytest.raises(InputError, match="rows in the order of `SampleData`, but got RandomSampler"):
        loader().more(1, "round 1")


def test_a_state_of_another_number_of_ranks_is_refused():
    state = loader().state_dict()
    with pytest.raises(InputError, match="a run on 1 devices, but it is of a run on 2"):
        loader().load_state_dict({"ranks": state["ranks"] * 2})
