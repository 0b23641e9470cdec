from __future__ import annotations

import pytest
import torch
from builders import lengths_mask, make_completions
from checkpoints import MIXED, loaded
from torch.utils.flop_counter import FlopCounterMode

from vrft_pl.policy import LoRA
from vrft_pl.policy.cost import Cost, Flops, PassTokens, cost_of_writing

PARTS = {"vision": (0, 10), "projector": (2, 4), "language": (100, 100), "head": (20, 20)}
TOKENS = PassTokens(prompt=7, picture=3, completion=2)


def test_costs_are_added_up_and_taken_off_each_other():
    one, other = Cost(samples=1, flops=2.0), Cost(samples=2, generated_tokens=5)
    assert one + other == Cost(samples=3, generated_tokens=5, flops=2.0)
    assert one + other - other == one
    assert (one + other).as_dict()["generated_tokens"] == 5


def test_a_token_costs_two_operations_a_parameter_forward_and_four_backward():
    flops = Flops(PARTS)
    language, pictures, head = 100 * (7 + 2), (10 + 4) * 3, 20 * 2
    assert flops.forward(TOKENS) == 2 * (language + pictures + head)
    # the tower is frozen; of the projector half is
    assert flops.backward(TOKENS) == 4 * (language + head) + 2 * (4 + 2) * 3


def test_gradients_pass_a_frozen_language_model_but_not_what_lies_before_all_that_is_trained():
    assert Flops({**PARTS, "language": (0, 100), "head": (0, 20)}).backward(TOKENS) == 2 * (900 + 40) + 2 * 6 * 3
    lora = Flops({"vision": (0, 10), "projector": (0, 4), "language": (8, 100), "head": (0, 20)})
    assert lora.backward(TOKENS) == 2 * (108 * 9 + 20 * 2)


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)])
def test_every_parameter_but_the_input_embedding_is_counted_once(qwen3_vl, llava_onevision, lora):
    tied = []
    for checkpoint in (qwen3_vl, llava_onevision, "tiny"):
        policy = loaded(checkpoint, lora=lora)
        counted = Flops.of(policy).parameters
        every = {id(p): p for p in policy.parameters()}.values()
        embedding = policy.hf_model.get_input_embeddings().weight
        head = policy.hf_model.get_output_embeddings().weight
        tied.append(head is embedding)
        once = 0 if head is embedding else embedding.numel()
        expected = sum(p.numel() for p in every) - once
        assert sum(total for _, total in counted.values()) == expected
        trainable = sum(p.numel() for p in every if p.requires_grad) - once * embedding.requires_grad
        assert sum(part for part, _ in counted.values()) == trainable
    assert set(tied) == {True, False}


def test_operations_are_those_that_torch_counts_but_for_attention_scores(qwen3_vl):
    policy = loaded(qwen3_vl)
    prompts, mask = policy.encode([MIXED[2]]), lengths_mask([40])
    assert prompts.items[0].frame is None
    with policy.evaluating(), FlopCounterMode(display=False) as counter:
        policy.plain_logprobs(prompts, make_completions([""], mask=mask))
    operations = counter.get_flop_counts()["Global"].items()
    products = sum(count for name, count in operations if str(name) in ("aten.mm", "aten.addmm"))
    assert Flops.of(policy).forward(PassTokens.of(policy, prompts, mask)) == pytest.approx(products, rel=0.05)


def test_a_prompt_counts_once_where_its_group_shares_it(qwen3_vl):
    policy = loaded(qwen3_vl, max_pixels=1024)
    prompts, mask = policy.encode(MIXED[:2]), lengths_mask([3, 1, 2, 2])
    width = sum(prompt.num_tokens for prompt in prompts)
    media = torch.tensor(policy.banned_token_ids)
    pictures = sum(int(torch.isin(prompt.inputs["input_ids"], media).sum()) for prompt in prompts)
    assert PassTokens.of(policy, prompts, mask, shared=True) == PassTokens(width, pictures, 8)
    assert PassTokens.of(policy, prompts, mask) == PassTokens(2 * width, 2 * pictures, 8)
    assert pictures > 0


def test_pictures_that_a_frozen_tower_has_seen_are_not_looked_at_again(qwen3_vl):
    policy = loaded(qwen3_vl, max_pixels=1024, freeze=("vision", "projector"))
    prompts = policy.with_features(policy.encode(MIXED[:2]))
    mask = lengths_mask([1, 1])
    assert PassTokens.of(policy, prompts, mask).picture == 0
    assert PassTokens.of(policy, prompts, mask, looked=False).picture > 0


def test_writing_costs_each_prompt_once_and_every_token(qwen3_vl):
    policy = loaded(qwen3_vl, max_pixels=1024)
    prompts, mask = policy.encode(MIXED[:2]), lengths_mask([3, 1, 2, 2])
    cost = cost_of_writing(policy, prompts, mask)
    tokens = PassTokens.of(policy, prompts, mask, shared=True)
    expected = Cost(samples=2, completions=4, generated_tokens=8, flops=Flops.of(policy).forward(tokens))
    assert cost == expected
