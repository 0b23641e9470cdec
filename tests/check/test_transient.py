from types import SimpleNamespace

import pytest

from vrft_pl.check.transient import Shape, Work, activation_bytes, sampling_bytes, smallest_card, transient_bytes

SHAPE = Shape(layers=3, hidden=10, intermediate=20, key_value=4, vocabulary=100)


def test_a_shape_is_read_from_either_kind_of_config():
    text = SimpleNamespace(num_hidden_layers=3, hidden_size=16, intermediate_size=20, num_attention_heads=4)
    text.num_key_value_heads, text.vocab_size = 2, 100
    assert Shape.of(text) == Shape(3, 16, 20, 2 * 4 * 2, 100)
    assert Shape.of(SimpleNamespace(depth=2, embed_dim=8, hidden_size=16, num_heads=2)) == Shape(2, 8, 32, 16)
    text.num_experts_per_tok, text.moe_intermediate_size, text.head_dim = 2, 5, 6
    assert Shape.of(text) == Shape(3, 16, 10, 2 * 6 * 2, 100)


def test_activations_by_hand():
    layer = 7 * (2 * (60 + 4 + 80) + 80)
    assert activation_bytes(SHAPE, 7, 2, checkpointing=False, adapters=False) == 3 * layer
    assert activation_bytes(SHAPE, 7, 2, checkpointing=True, adapters=False) == layer + 3 * 7 * 2 * 10
    adapted = layer + 7 * 4 * (60 + 20)
    assert activation_bytes(SHAPE, 7, 2, checkpointing=False, adapters=True) == 3 * adapted
    whole = 7 * (4 * 144 + 80)  # in float32 adapters keep nothing twice
    assert activation_bytes(SHAPE, 7, 4, checkpointing=False, adapters=True) == 3 * whole


def test_a_rollout_by_hand():
    work = Work(prompt=5, completion=6, group=2, rows=4)
    found = sampling_bytes(SHAPE, work, 2)
    assert found["cache"] == 2 * 3 * 4 * (2 * 5 + 4 * 6)
    assert found["activations"] == 2 * 5 * 2 * (40 + 60)
    assert found["logits"] == 4 * 100 * 18


def test_training_and_sampling_take_turns():
    brief, many = (transient_bytes(SHAPE, None, Work(5, 6, 2, rows=n), 2, True, True) for n in (0, 10**7))
    assert "cache" not in brief
    assert "cache" in many
    assert brief["activations"] == activation_bytes(SHAPE, 5 + 12, 2, True, True)
    seen = transient_bytes(SHAPE, SHAPE, Work(5, 6, 2), 2, True, True)["activations"]
    assert seen == brief["activations"] + activation_bytes(SHAPE, 20, 2, True, False)


def test_what_is_gathered_to_sample_counts_beside_the_rollout_alone():
    work = Work(5, 6, 2, rows=4)
    training, sampling = (transient_bytes(SHAPE, None, work, 2, True, True, gathered=n) for n in (0, 10**12))
    assert "other ranks' weights" not in training
    assert sampling == sampling_bytes(SHAPE, work, 2) | {"other ranks' weights": 10**12}


@pytest.mark.parametrize("longer", [Work(6, 6, 2, 1, 4), Work(5, 7, 2, 1, 4), Work(5, 6, 2, 2, 4), Work(5, 6, 3, 1, 4)])
def test_more_work_takes_more(longer):
    usual = Work(5, 6, 2, 1, 4)
    assert longer.trained_tokens > usual.trained_tokens
    both = [sum(transient_bytes(SHAPE, None, work, 2, True, True).values()) for work in (usual, longer)]
    assert both[1] > both[0]


def test_a_card_keeps_room_for_its_context():
    assert smallest_card(16 * 10**9 - 2**30) == 16
    assert smallest_card(16 * 10**9 - 2**30 + 1) == 24
