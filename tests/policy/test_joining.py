"""How tensors of several prompts lie beside each other, as learned from a processor that does it itself."""

import pytest
import torch
from architectures import BUILDERS
from checkpoints import MIXED, loaded
from families import noise_rows, write

from vrft_pl.policy.joining import ROWS, Joint, cat_padded, learn_joints


def ids(width):
    return torch.arange(width)[None]


def together(key, one, other, whole):
    alone = [{"input_ids": ids(3), key: one}, {"input_ids": ids(5), key: other}]
    return learn_joints(alone, {"input_ids": torch.zeros(2, 5), key: whole})


@pytest.mark.parametrize(
    ("one", "other", "whole", "joint"),
    [
        pytest.param(torch.ones(2, 4), torch.ones(3, 4), torch.ones(5, 4), None, id="rows"),
        pytest.param(torch.ones(1, 2, 4), torch.ones(1, 2, 6), torch.ones(1, 2, 10), Joint(2), id="last-axis"),
        pytest.param(
            torch.ones(1, 3, 2), torch.ones(1, 5, 2), "left-padded", Joint(per_token=True), id="of-each-token"
        ),
        pytest.param(torch.ones(2, 4), torch.ones(3, 4), torch.zeros(5, 4), None, id="nothing-explains-it"),
        pytest.param(torch.ones(2, 4), torch.ones(3, 4), torch.zeros(7), None, id="another-number-of-axes"),
    ],
)
def test_an_axis_is_learned(one, other, whole, joint):
    if isinstance(whole, str):
        whole = torch.cat([torch.cat([torch.zeros(1, 2, 2), one], dim=1), other])
    assert together("pixels", one, other, whole) == ({} if joint is None else {"pixels": joint})


def test_numbers_that_go_on_where_those_before_ended_are_learned_and_joined():
    one, other = (
        {"input_ids": ids(n), "crops": torch.rand(n, 4, 2), "which": torch.tensor([[0, 4 * n - 1, -1]])} for n in (2, 3)
    )
    whole = {"input_ids": torch.zeros(2, 3), "crops": torch.cat([one["crops"], other["crops"]])}
    whole["which"] = torch.tensor([[0, 7, -1], [8, 19, -1]])
    joints = learn_joints([one, other], whole)
    assert joints == {"which": Joint(counts=("crops", 2))}
    got = joints["which"].join("which", [other, {"input_ids": ids(1)}, one, one], 3)
    assert got.tolist() == [[0, 11, -1], [12, 19, -1], [20, 27, -1]]


def test_what_is_missing_in_a_prompt_is_passed_over():
    assert ROWS.join("x", [{"input_ids": ids(2)}, {"input_ids": ids(2), "x": torch.ones(1, 2)}], 2).tolist() == [[1, 1]]


def test_other_axes_are_padded_at_the_end():
    joined = cat_padded([torch.ones(1, 2, 3), torch.ones(2, 2, 1)], axis=1)
    assert joined.shape == (2, 4, 3)
    assert joined.sum() == 6 + 4


@pytest.mark.parametrize("name", ["molmo2", "minicpmv4_6", "mllama"])
def test_prompts_of_a_batch_see_their_own_pictures(name, tmp_path):
    """Red where numbers of Molmo 2 lose their offset, patches of MiniCPM-V their axis, masks of Mllama their side."""
    policy = loaded(BUILDERS[name](tmp_path / name))
    prompts = policy.encode([one for one in MIXED if len(one.images) == 1])
    completions = write(policy, noise_rows([5, 3]))
    with policy.evaluating():
        got = policy.plain_logprobs(prompts, completions).logprobs
        for i in range(2):
            row = completions.select([i])
            expected = policy.untouched_logprobs(prompts[i : i + 1], row).logprobs
            torch.testing.assert_close(got[i : i + 1, : expected.shape[1]], expected, rtol=1e-4, atol=1e-4)
