import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from checkpoints import loaded, sample
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import distribute_tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vrft_pl.policy import LoRA
from vrft_pl.policy.logprobs import CHUNK_BYTES, is_plain_head, logprobs_of_hidden, logprobs_of_logits
from vrft_pl.types import Completions

TOKENS, WIDTH, VOCAB = 11, 8, 50
BANNED = torch.tensor([3, 7, 49])
NOTHING = torch.tensor([], dtype=torch.long)
CHUNKS = [pytest.param(4 * VOCAB * n, id=f"{n}-tokens") for n in (1, 3, 100)]


class Shapes(TorchDispatchMode):
    """Remembers the shape of every float32 tensor that an operation returns."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        leaves = (leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
        self.seen |= {tuple(leaf.shape) for leaf in leaves if leaf.dtype == torch.float32}
        return out


def build(num_tokens=TOKENS, bias=True, dtype=torch.float32, seed=0):
    """An output layer, hidden states, tokens that can be drawn, and the gradient of each log-prob."""
    g = torch.Generator().manual_seed(seed)
    head = nn.Linear(WIDTH, VOCAB, bias=bias, dtype=dtype)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(0.7 * torch.randn(parameter.shape, generator=g))
    hidden = torch.randn(num_tokens, WIDTH, generator=g).to(dtype).requires_grad_()
    allowed = torch.tensor([i for i in range(VOCAB) if i not in BANNED])
    ids = allowed[torch.randint(len(allowed), (num_tokens,), generator=g)]
    return head, hidden, ids, torch.randn(num_tokens, generator=g)


def by_logits(head, hidden, ids, banned, temperature):
    """The definition, on all logits at once."""
    logits = F.linear(hidden, head.weight, head.bias).float().index_fill(-1, banned, float("-inf"))
    return logprobs_of_logits(logits / temperature, ids)


def gradients(logprobs, grad, head, hidden):
    inputs = [hidden, *head.parameters()]
    return torch.autograd.grad(logprobs, inputs, grad)


def assert_near(got, expected, tolerance):
    """Equal to a part of the expected tensor's norm."""
    assert got.dtype == expected.dtype
    assert (got - expected).float().norm() <= tolerance * expected.float().norm()


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("banned", [NOTHING, BANNED], ids=["all-allowed", "banned"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_chunks_equal_all_logits_at_once(chunk, bias, banned, temperature):
    head, hidden, ids, grad = build(bias=bias)
    got = logprobs_of_hidden(head, hidden, ids, banned, temperature, chunk)
    expected = by_logits(head, hidden, ids, banned, temperature)
    torch.testing.assert_close(got.logprobs, expected.logprobs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(got.entropy, expected.entropy, rtol=1e-5, atol=1e-5)
    both = (gradients(out.logprobs, grad, head, hidden) for out in (got, expected))
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_token_by_hand():
    """Logits of 0, log 2 and log 5 have probabilities 1/8, 1/4 and 5/8; without the last they are 1/3 and 2/3."""
    head = nn.Linear(1, 3, bias=False)
    head.weight.data = torch.tensor([[1.0], [2.0], [5.0]]).log()
    hidden, ids = torch.ones(2, 1), torch.tensor([1, 0])
    got = logprobs_of_hidden(head, hidden, ids, NOTHING, 1.0)
    torch.testing.assert_close(got.logprobs.exp(), torch.tensor([1 / 4, 1 / 8]))
    got = logprobs_of_hidden(head, hidden, ids, torch.tensor([2]), 1.0)
    torch.testing.assert_close(got.logprobs.exp(), torch.tensor([2 / 3, 1 / 3]))
    torch.testing.assert_close(got.entropy, torch.full((2,), 0.6365142))


@pytest.mark.parametrize("chunk", CHUNKS)
def test_gradients_are_those_of_finite_differences(chunk):
    """Outputs are float32, so steps are large: the error of a central difference is then below 1e-3."""
    head, hidden, ids, _ = build(num_tokens=4, dtype=torch.float64)

    def logprobs(hidden, weight, bias):
        layer = nn.Linear(WIDTH, VOCAB, dtype=torch.float64)
        del layer.weight, layer.bias
        layer.weight, layer.bias = weight, bias
        return logprobs_of_hidden(layer, hidden, ids, BANNED, 0.8, chunk).logprobs

    inputs = hidden, head.weight, head.bias
    assert torch.autograd.gradcheck(logprobs, inputs, eps=1e-2, atol=1e-3, rtol=1e-3)


def test_banned_tokens_have_probability_zero_and_get_no_gradient():
    head, hidden, ids, grad = build(num_tokens=VOCAB)
    with torch.no_grad():
        head.bias[BANNED] = 50.0
        hidden.copy_(hidden[:1].expand_as(hidden))
    got = logprobs_of_hidden(head, hidden, torch.arange(VOCAB), BANNED, 0.7)
    assert (got.logprobs.exp() == 0).nonzero().flatten().tolist() == BANNED.tolist()
    assert got.logprobs.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert got.entropy.isfinite().all()
    got = logprobs_of_hidden(head, hidden, ids, BANNED, 0.7)
    assert (got.entropy > 0.1).all()
    _, weight, bias = gradients(got.logprobs, grad, head, hidden)
    assert not weight[BANNED].any()
    assert not bias[BANNED].any()
    assert (weight.abs().sum(dim=1) > 0).sum() == VOCAB - len(BANNED)


def test_logits_of_any_size_stay_finite():
    head, hidden, ids, grad = build()
    with torch.no_grad():
        head.weight.mul_(1e4)
    got = logprobs_of_hidden(head, hidden, ids, BANNED, 1.0)
    assert torch.stack(got).isfinite().all()
    torch.testing.assert_close(got.logprobs, by_logits(head, hidden, ids, BANNED, 1.0).logprobs)
    assert all(part.isfinite().all() for part in gradients(got.logprobs, grad, head, hidden))


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
def test_no_tokens_have_no_logprobs_and_gradients_of_zero(bias):
    head, hidden, ids, grad = build(num_tokens=0, bias=bias)
    got = logprobs_of_hidden(head, hidden, ids, BANNED, 0.7)
    assert [value.shape for value in got] == [(0,), (0,)]
    shapes = [(0, WIDTH), (VOCAB, WIDTH), (VOCAB,)][: 3 if bias else 2]
    parts = gradients(got.logprobs, grad, head, hidden)
    assert [part.shape for part in parts] == shapes
    assert not any(part.any() for part in parts)


def test_the_gradient_of_a_frozen_output_layer_is_not_computed():
    head, hidden, ids, grad = build()
    head.requires_grad_(False)
    expected = torch.autograd.grad(by_logits(head, hidden, ids, BANNED, 0.7).logprobs, hidden, grad)[0]
    with Shapes() as shapes:
        got = logprobs_of_hidden(head, hidden, ids, BANNED, 0.7)
        got.logprobs.backward(grad)
    torch.testing.assert_close(hidden.grad, expected, rtol=1e-4, atol=1e-5)
    assert head.weight.grad is None
    assert head.bias.grad is None
    assert (VOCAB, WIDTH) not in shapes.seen
    assert (VOCAB,) not in shapes.seen


def test_the_gradient_of_frozen_hidden_states_is_not_computed():
    head, hidden, ids, grad = build()
    hidden = hidden.detach()
    parameters = list(head.parameters())
    expected = torch.autograd.grad(by_logits(head, hidden, ids, BANNED, 1.0).logprobs, parameters, grad)
    got = torch.autograd.grad(logprobs_of_hidden(head, hidden, ids, BANNED, 1.0).logprobs, parameters, grad)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def by_definition(head, hidden, temperature):
    """Entropy from probabilities, by autograd of plain operations."""
    allowed = [i for i in range(VOCAB) if i not in BANNED]
    probabilities = (F.linear(hidden, head.weight, head.bias)[:, allowed] / temperature).softmax(dim=-1)
    return -(probabilities * probabilities.log()).sum(dim=-1)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_the_gradient_of_entropy_is_that_of_its_definition(chunk, temperature):
    head, hidden, ids, grad = build()
    expected = gradients(by_definition(head, hidden, temperature), grad, head, hidden)
    got = logprobs_of_hidden(head, hidden, ids, BANNED, temperature, chunk).entropy
    at_once = by_logits(head, hidden, ids, BANNED, temperature).entropy
    for entropy in (got, at_once):
        for a, b in zip(gradients(entropy, grad, head, hidden), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_gradients_of_logprobs_and_entropy_add_up(chunk):
    head, hidden, ids, grad = build()
    both = []
    for read in (lambda *a: logprobs_of_hidden(*a, chunk), by_logits):
        got = read(head, hidden, ids, BANNED, 0.7)
        both.append(gradients(got.logprobs - 0.3 * got.entropy, grad, head, hidden))
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_entropy_needs_no_more_than_a_chunk_of_logits():
    head, hidden, ids, grad = build()
    with Shapes() as shapes:
        logprobs_of_hidden(head, hidden, ids, BANNED, 0.7, 4 * VOCAB * 3).entropy.backward(grad)
    assert (TOKENS, VOCAB) not in shapes.seen
    assert (3, VOCAB) in shapes.seen


def test_without_a_graph_nothing_has_a_gradient():
    head, hidden, ids, _ = build()
    with torch.no_grad():
        got = logprobs_of_hidden(head, hidden, ids, BANNED, 1.0)
    assert not got.logprobs.requires_grad
    assert not got.entropy.requires_grad


def test_bfloat16_weights_give_float32_logprobs_of_their_own_logits():
    """Logits are rounded to 8 bits on both sides, gradients on their way: 1 % of their norm."""
    head, hidden, ids, grad = build(dtype=torch.bfloat16)
    got = logprobs_of_hidden(head, hidden, ids, BANNED, 0.7, 4 * VOCAB * 3)
    expected = by_logits(head, hidden, ids, BANNED, 0.7)
    assert got.logprobs.dtype == got.entropy.dtype == torch.float32
    torch.testing.assert_close(got.logprobs, expected.logprobs, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(got.entropy, expected.entropy, rtol=1e-3, atol=1e-2)
    both = (gradients(out.logprobs, grad, head, hidden) for out in (got, expected))
    for a, b in zip(*both, strict=True):
        assert_near(a, b, 0.01)


def test_many_small_chunks_lose_nothing_of_a_bfloat16_gradient():
    """A sum of hundreds of chunks in 8 bits would stop growing; 1 % of the norm is what rounding it once explains."""
    head, hidden, ids, grad = build(num_tokens=2000, dtype=torch.bfloat16)
    with torch.no_grad():
        hidden += 0.5
    grad = grad.abs()
    exact = nn.Linear(WIDTH, VOCAB)
    exact.load_state_dict(head.state_dict())
    other = hidden.detach().float().requires_grad_()
    expected = gradients(by_logits(exact, other, ids, BANNED, 1.0).logprobs, grad, exact, other)
    got = gradients(logprobs_of_hidden(head, hidden, ids, BANNED, 1.0, 4 * VOCAB).logprobs, grad, head, hidden)
    for a, b in zip(got, expected, strict=True):
        assert_near(a.float(), b, 0.01)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_autocast_rounds_the_product_and_nothing_else(dtype):
    """Weights stay float32. Log-probs and entropy of the same rounded logits, so a float32 tolerance; gradients 1 %."""
    head, hidden, ids, grad = build()
    with torch.autocast("cpu", dtype=dtype):
        got = logprobs_of_hidden(head, hidden, ids, BANNED, 0.7, 4 * VOCAB * 3)
        expected = by_logits(head, hidden, ids, BANNED, 0.7)
    exact = by_logits(head, hidden, ids, BANNED, 0.7)
    assert (got.logprobs - exact.logprobs).abs().max() > 1e-4
    torch.testing.assert_close(got.logprobs, expected.logprobs, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(got.entropy, expected.entropy, rtol=1e-5, atol=1e-4)
    both = (gradients(out.logprobs, grad, head, hidden) for out in (got, expected))
    for a, b in zip(*both, strict=True):
        assert_near(a, b, 0.01)


@pytest.mark.parametrize("num_tokens", [1, 3, 7])
def test_no_more_logits_are_alive_than_a_chunk(num_tokens):
    head, hidden, ids, grad = build(num_tokens=40)
    with Shapes() as shapes:
        got = logprobs_of_hidden(head, hidden, ids, BANNED, 0.7, 4 * VOCAB * num_tokens)
        got.logprobs.backward(grad)
    weights = {(VOCAB, WIDTH), (WIDTH, VOCAB)}
    logits = {shape for shape in shapes.seen - weights if VOCAB in shape}
    assert max(torch.Size(shape).numel() for shape in logits) == num_tokens * VOCAB
    assert max(torch.Size(shape).numel() for shape in shapes.seen) < 40 * VOCAB / 2


def test_a_budget_of_less_than_a_token_is_a_token():
    head, hidden, ids, _ = build()
    got = logprobs_of_hidden(head, hidden, ids, BANNED, 0.7, 1)
    torch.testing.assert_close(got.logprobs, by_logits(head, hidden, ids, BANNED, 0.7).logprobs, rtol=1e-5, atol=1e-5)


def complete(policy, rows):
    """Completions of given tokens, right-padded."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[policy.pad_token_id] * (width - len(row))] for row in rows])
    mask = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
    return Completions(ids, mask, None, ("",) * len(rows), ("length",) * len(rows), (None,) * len(rows))


ROWS = [[20, 30, 40, 50], [21], [60, 61, 62], [70, 71, 72, 73, 74], [90], [20, 22]]


@pytest.mark.parametrize("share", [True, False], ids=["shared", "plain"])
def test_a_policys_step_makes_no_more_logits_than_a_chunk(checkpoint, samples, share, monkeypatch):
    policy = loaded(checkpoint, shared_prefix=share)
    vocabulary = policy.hf_model.get_output_embeddings().out_features
    monkeypatch.setitem(CHUNK_BYTES, "cpu", 4 * vocabulary * 5)
    prompts, completions = policy.encode(samples[:2]), complete(policy, ROWS)
    policy.may("batching")
    for _ in range(2):
        with Shapes() as shapes:
            policy.logprobs(prompts, completions).logprobs.sum().backward()
        weights = {(vocabulary, 32), (32, vocabulary)}
        sizes = {torch.Size(shape).numel() for shape in shapes.seen - weights if vocabulary in shape}
        assert max(sizes) == 5 * vocabulary


CAP = 2.0


def soft_capped(output):
    output.logits = CAP * torch.tanh(output.logits / CAP)
    return output


@pytest.mark.parametrize("share", [True, False], ids=["shared", "plain"])
@pytest.mark.parametrize("where", ["hook", "forward"])
def test_logits_that_the_model_changes_are_taken_as_they_are(checkpoint, samples, share, where, monkeypatch):
    """A soft cap is part of the model, so that the output layer alone would be another policy."""
    policy = loaded(checkpoint, shared_prefix=share)
    if where == "hook":
        policy.hf_model.register_forward_hook(lambda _, args, output: soft_capped(output))
    else:
        forward = policy.hf_model.forward
        monkeypatch.setattr(policy.hf_model, "forward", lambda *args, **kwargs: soft_capped(forward(*args, **kwargs)))
    prompts, completions = policy.encode(samples[:2]), complete(policy, ROWS)
    with monkeypatch.context() as context:
        context.setattr("vrft_pl.policy.vlm.is_plain_head", lambda head: False)
        expected = policy.logprobs(prompts, completions, 0.7)
    for _ in range(2):
        got = policy.logprobs(prompts, completions, 0.7)
        torch.testing.assert_close(got.logprobs, expected.logprobs, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(got.entropy, expected.entropy, rtol=1e-5, atol=1e-5)
    assert got.logprobs.min() > -2 * CAP / 0.7 - torch.tensor(300.0).log()


def test_the_output_layer_is_applied_in_chunks_where_it_comes_last(checkpoint, monkeypatch):
    calls = []

    def spy(head, hidden, *args):
        calls.append(len(hidden))
        return logprobs_of_hidden(head, hidden, *args)

    monkeypatch.setattr("vrft_pl.policy.vlm.logprobs_of_hidden", spy)
    policy = loaded(checkpoint, shared_prefix=False)
    policy.may("batching")
    calls.clear()
    policy.logprobs(policy.encode([sample()]), complete(policy, [[20, 30, 40], [50]]))
    assert calls == [4]
    policy = loaded(checkpoint, shared_prefix=False)
    policy.hf_model.register_forward_hook(lambda _, args, output: soft_capped(output))
    policy.logprobs(policy.encode([sample()]), complete(policy, [[20, 30, 40], [50]]))
    assert calls == [4]


def test_a_matrix_is_a_plain_head():
    assert is_plain_head(nn.Linear(2, 3))
    assert is_plain_head(nn.Linear(2, 3, bias=False).bfloat16())


def test_layers_that_do_more_than_multiply_are_no_plain_heads(qwen3_vl):
    class Capped(nn.Linear):
        pass

    policy = loaded(qwen3_vl, lora=LoRA(rank=2))
    adapted = policy.hf_model.get_decoder().layers[0].self_attn.q_proj
    for head in (None, Capped(2, 3), nn.Sequential(nn.Linear(2, 3)), nn.Identity(), adapted):
        assert not is_plain_head(head)
    assert is_plain_head(policy.hf_model.get_output_embeddings())


def test_weights_that_lie_on_several_devices_are_no_plain_heads():
    deepspeed = nn.Linear(2, 3)
    deepspeed.weight.ds_tensor = torch.zeros(1)
    assert not is_plain_head(deepspeed)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        fsdp = nn.Linear(2, 3)
        fsdp.weight = nn.Parameter(distribute_tensor(fsdp.weight.detach(), DeviceMesh("cpu", [0])))
        assert not is_plain_head(fsdp)
    finally:
        dist.destroy_process_group()
