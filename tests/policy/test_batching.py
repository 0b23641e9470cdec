import pytest
import torch

from vrft_pl.policy.batching import append_tokens, collate
from vrft_pl.policy.joining import cat_padded
from vrft_pl.types import Prompt, Prompts


def prompt(ids, **inputs):
    row = torch.tensor([ids])
    return Prompt({"input_ids": row, "attention_mask": torch.ones_like(row), **inputs})


def test_prompts_are_padded_on_the_left():
    batch = collate(Prompts((prompt([5, 6, 7]), prompt([8]))), pad_token_id=9)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [9, 9, 8]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]


def test_an_entry_per_token_that_a_prompt_lacks_is_zero():
    types = torch.tensor([[0, 1, 1]])
    batch = collate(Prompts((prompt([5, 6, 7], mm_token_type_ids=types), prompt([8, 8]))), pad_token_id=9)
    assert batch["mm_token_type_ids"].tolist() == [[0, 1, 1], [0, 0, 0]]


def test_pictures_are_joined_in_the_order_of_the_prompts():
    grids = [torch.tensor([[1, 2, 3]]), torch.tensor([[1, 4, 5], [1, 6, 7]])]
    rows = (prompt([5], image_grid_thw=grids[0]), prompt([6]), prompt([7], image_grid_thw=grids[1]))
    assert collate(Prompts(rows), 9)["image_grid_thw"].tolist() == [[1, 2, 3], [1, 4, 5], [1, 6, 7]]


def test_pictures_with_as_many_rows_as_another_prompt_has_tokens_are_joined():
    """One of the two shapes happens to be that of the tokens."""
    sizes = [torch.tensor([[4, 4]]), torch.tensor([[2, 2]])]
    batch = collate(Prompts((prompt([5, 6], image_sizes=sizes[0]), prompt([7], image_sizes=sizes[1]))), 9)
    assert batch["image_sizes"].tolist() == [[4, 4], [2, 2]]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        pytest.param([(2, 3), (1, 3)], (3, 3), id="equal"),
        pytest.param([(1, 2, 3), (1, 4, 1)], (2, 4, 3), id="both-axes-differ"),
    ],
)
def test_joined_tensors_are_padded_at_the_end(shapes, expected):
    joined = cat_padded([torch.ones(shape) for shape in shapes])
    assert joined.shape == expected
    assert joined.sum() == sum(torch.Size(shape).numel() for shape in shapes)
    assert joined[(0, *(0 for _ in expected[1:]))] == 1


def test_completions_are_appended_to_entries_per_token_only():
    batch = collate(Prompts((prompt([5, 6], mm_token_type_ids=torch.ones(1, 2).long()), prompt([8]))), 9)
    batch["image_grid_thw"] = torch.tensor([[1, 2, 3]])
    ids, mask = torch.tensor([[1, 2, 0], [3, 0, 0]]), torch.tensor([[True, True, False], [True, False, False]])
    got = append_tokens(batch, ids, mask, 2)
    assert got["input_ids"].tolist() == [[5, 6, 1, 2, 0], [9, 8, 3, 0, 0]]
    assert got["attention_mask"].tolist() == [[1, 1, 1, 1, 0], [0, 1, 1, 0, 0]]
    assert got["attention_mask"].dtype == torch.long
    assert got["mm_token_type_ids"].tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert got["image_grid_thw"].tolist() == [[1, 2, 3]]
