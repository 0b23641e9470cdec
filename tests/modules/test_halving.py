from __future__ import annotations

import math
import subprocess
import sys
import weakref
from contextlib import nullcontext
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from builders import lengths_mask, make_experience
from checkpoints import loaded
from lightning import Callback
from training import counting, fit, grpo, sgd, weights

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.modules import SFTModule
from vrft_pl.modules.halving import Halving


class Full:
    """Memory that holds the forward pass of so many groups."""

    def __init__(self, module, groups):
        self.asked = []
        plain = module.surrogate

        def surrogate(experience):
            self.asked.append(len(experience))
            if len(experience) > groups:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return plain(experience)

        module.surrogate = surrogate


def trained(checkpoint, groups=None, **kwargs):
    module = grpo(checkpoint, loss=GRPOLoss("token", kl_coefficient=0.1), **kwargs)
    full = Full(module, groups) if groups is not None else None
    trainer = fit(module, counting(size=8, batch_size=4), max_epochs=1)
    return module, trainer, full


@pytest.mark.parametrize("groups", [2, 1])
def test_what_memory_does_not_hold_is_trained_on_in_parts_with_the_same_gradient(groups, qwen3_vl):
    start = weights(grpo(qwen3_vl))
    whole, trainer, _ = trained(qwen3_vl)
    with pytest.warns(UserWarning, match="Out of memory in an update: micro-batches are computed in parts") as told:
        split, other, full = trained(qwen3_vl, groups)
    for name, value in weights(split).items():
        torch.testing.assert_close(value, weights(whole)[name], rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(value, start[name]) for name, value in weights(split).items())
    for name in ("loss", "kl", "entropy", "clip_fraction", "sampler_gap"):
        logged = [t.callback_metrics[f"train/{name}"] for t in (trainer, other)]
        torch.testing.assert_close(*logged, rtol=1e-4, atol=1e-6)
    assert split.in_parts.parts == 4 // groups
    assert full.asked.count(4) == 1
    assert sum("Out of memory" in str(warning.message) for warning in told) == 1


def test_a_group_that_memory_does_not_hold_ends_the_run(qwen3_vl):
    with (
        pytest.raises(torch.OutOfMemoryError),
        pytest.warns(UserWarning, match="Out of memory in an update"),
    ):
        trained(qwen3_vl, groups=0)


def test_passes_that_others_wait_for_are_not_made_alone(qwen3_vl):
    module = grpo(qwen3_vl)
    batch = [0, 1]
    with pytest.raises(torch.OutOfMemoryError):
        module.in_parts(lambda part: (_ for _ in ()).throw(torch.OutOfMemoryError("full")), batch, alone=False)
    assert module.in_parts.parts == 1


class Back:
    """Memory that holds the backward pass of so many groups or samples through the middle of the model."""

    def __init__(self, module, groups, compute):
        self.asked, self.failed = [], 0
        plain = getattr(module, compute)

        def computed(batch):
            self.asked.append(len(batch))
            return plain(batch)

        def full(layer, gradient):
            if self.asked and self.asked[-1] > groups:
                self.failed += 1
                raise torch.OutOfMemoryError("CUDA out of memory.")

        setattr(module, compute, computed)
        module.policy.hf_model.model.language_model.layers[0].register_full_backward_pre_hook(full)


class Gradients(Callback):
    """What the optimizer steps with."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.seen.append({name: p.grad.clone() for name, p in module.policy.named_parameters() if p.grad is not None})


def supervised(checkpoint, **kwargs):
    return SFTModule(loaded(checkpoint, max_pixels=1024), optimizer=sgd, **kwargs)


MODULES = {
    "grpo": (lambda checkpoint: grpo(checkpoint, loss=GRPOLoss("token")), "surrogate"),
    "sft": (supervised, "likelihood"),
    "packed": (lambda checkpoint: supervised(checkpoint, pack_tokens=128), "likelihood"),
}


@pytest.mark.parametrize("kind", ["grpo", "sft", pytest.param("packed", marks=pytest.mark.nightly)])
def test_a_backward_pass_that_memory_does_not_hold_ends_in_parts_with_the_same_gradients(kind, qwen3_vl):
    """Layers above the middle have their gradient by then, and those of the micro-batch before are kept."""
    build, compute = MODULES[kind]
    plain, split = Gradients(), Gradients()
    fit(build(qwen3_vl), counting(size=8, batch_size=4), accumulate_grad_batches=2, callbacks=[plain])
    module = build(qwen3_vl)
    back = Back(module, 1, compute)
    with pytest.warns(UserWarning, match="Out of memory in an update") as told:
        fit(module, counting(size=8, batch_size=4), accumulate_grad_batches=2, callbacks=[split])
    assert (back.failed, module.in_parts.parts, module.faults()) == (2, 4, {"out_of_memory": 2})
    assert back.asked[:2] == [4, 2]
    assert sum("Out of memory" in str(warning.message) for warning in told) == 1
    (expected,), (got,) = plain.seen, split.seen
    assert expected.keys() == got.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-6, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


def test_a_backward_pass_of_one_group_that_memory_does_not_hold_ends_the_run(qwen3_vl):
    module = grpo(qwen3_vl)
    Back(module, 0, "surrogate")
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning, match="Out of memory in an update"):
        fit(module, counting(size=2, batch_size=2))


class Node(torch.autograd.Function):
    """Does nothing but fail to go back for more than one row."""

    nodes: ClassVar = weakref.WeakSet()

    class Kept:
        pass

    @staticmethod
    def forward(ctx, value):
        ctx.rows, ctx.kept = len(value), Node.Kept()
        Node.nodes.add(ctx.kept)
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        if ctx.rows > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return gradient


def test_nothing_of_a_graph_is_held_when_its_backward_pass_is_made_again():
    """Else memory that did not hold the pass would not hold its parts either."""
    weight, alive = torch.ones(2, requires_grad=True), []

    def compute(batch):
        alive.append(len(Node.nodes))
        return Node.apply(weight * batch.rewards[:, None]).exp().sum(), {}

    loss, _ = Halving()(
        compute,
        make_experience(lengths_mask([1, 1]), torch.ones(2)),
        parameters=[weight],
        backward=nullcontext,
    )
    with pytest.warns(UserWarning, match="Out of memory"):
        (3 * loss / 2).backward()
    assert alive[:2] == [0, 0]
    assert len(alive) == 5  # the whole, its two parts, and those again
    torch.testing.assert_close(weight.grad, torch.full((2,), 1.5 * math.e))


@pytest.mark.nightly
def test_a_backward_pass_that_one_of_two_ranks_has_no_memory_for_leaves_both_with_the_same_weights(qwen3_vl, tmp_path):
    """Also where it is the pass in which ranks exchange gradients, some of which are under way already."""
    script = Path(__file__).with_name("split_ranks.py")
    command = [sys.executable, str(script), str(qwen3_vl), str(tmp_path)]
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in tmp_path.glob("seen*")) == ["seen0", "seen1"]
