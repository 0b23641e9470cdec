from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.rewards.parsing import Unread, read_answer, read_blocks, unwrap
from vrft_pl.styles import STYLES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<think>a</think><answer>3</answer>", "3", id="plain"),
        pytest.param("<think>a</think><answer>\n 3\n</answer>\n", "3", id="several-lines"),
        pytest.param("a</think><answer>3</answer>", "3", id="thoughts-opened-in-the-prompt"),
        pytest.param("<answer>3</answer>", "3", id="no-thoughts"),
        pytest.param("<think>a</think> <think>b</think><answer>3</answer>", "3", id="thoughts-in-two-blocks"),
        pytest.param("<think>a</think><think><answer>3</answer>", Unread.NO_ANSWER, id="second-block-never-closed"),
        pytest.param(
            "<think>a</think><think><answer>3</answer></think>", Unread.NO_ANSWER, id="answer-in-the-second-block-only"
        ),
        pytest.param("<answer>4</answer></think><answer>3</answer>", "3", id="thoughts-hold-another-answer"),
        pytest.param("<think>a<think>b</think>c</think><answer>3</answer>", "3", id="nested-thoughts"),
        pytest.param("<think><answer>3</answer></think>", Unread.NO_ANSWER, id="answer-inside-the-thoughts-only"),
        pytest.param("<think>a<answer>3</answer>", Unread.NO_ANSWER, id="thoughts-never-closed"),
        pytest.param("<answer>4</answer><answer>3</answer>", Unread.NO_ANSWER, id="two-answers"),
        pytest.param(
            "<think>a</think><answer>4</answer><think>b</think><answer>3</answer>",
            Unread.NO_ANSWER,
            id="second-thoughts",
        ),
        pytest.param(
            "<think>a</think><answer>4</answer></think><answer>3</answer>", Unread.NO_ANSWER, id="truth-pasted-after"
        ),
        pytest.param(
            "<think>a<think>b</think><answer>3</answer></think>", Unread.NO_ANSWER, id="answer-inside-nested-thoughts"
        ),
        pytest.param("<answer><answer>3</answer></answer>", Unread.NO_ANSWER, id="nested"),
        pytest.param("<answer>4<answer>3</answer>", Unread.NO_ANSWER, id="opened-twice"),
        pytest.param("<answer>3", Unread.NO_ANSWER, id="unclosed"),
        pytest.param("</answer>3<answer>", Unread.NO_ANSWER, id="crossed"),
        pytest.param("</answer><answer>3</answer>", Unread.NO_ANSWER, id="closed-twice"),
        pytest.param("3", Unread.NO_ANSWER, id="no-tag"),
        pytest.param("<ANSWER>3</ANSWER>", Unread.NO_ANSWER, id="upper-case"),
        pytest.param("", Unread.NO_ANSWER, id="empty"),
        pytest.param("<answer> </answer>", Unread.EMPTY, id="blank"),
    ],
)
@pytest.mark.parametrize("style", ["think", "caption"])
def test_the_answer_is_the_one_block_after_the_thoughts(text, expected, style):
    assert read_answer(text, style) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<answer>3</answer><think>a</think>", "3", id="plain"),
        pytest.param(
            "<answer>3</answer>\n<think>not <answer>4</answer></think>", "3", id="thoughts-hold-another-answer"
        ),
        pytest.param("<answer>3</answer>", "3", id="no-thoughts"),
        pytest.param("<answer>3</answer><think>a", "3", id="thoughts-cut"),
        pytest.param("<think>a</think><answer>3</answer>", Unread.NO_ANSWER, id="thoughts-first"),
        pytest.param("<answer>3</answer><think>a</think><answer>4</answer>", Unread.NO_ANSWER, id="two-answers"),
        pytest.param("<answer>3</answer><answer>4</answer><think>a</think>", Unread.NO_ANSWER, id="two-answers-before"),
        pytest.param("<think><answer>3</answer></think>", Unread.NO_ANSWER, id="answer-inside-the-thoughts-only"),
        pytest.param("<answer>3<think>a</think></answer>", Unread.NO_ANSWER, id="thoughts-inside-the-answer"),
        pytest.param("3", Unread.NO_ANSWER, id="no-tag"),
        pytest.param("<answer></answer><think>3</think>", Unread.EMPTY, id="empty"),
        pytest.param(
            "<think>\n\n</think>\n<answer>3</answer><think>a</think>", "3", id="thoughts-opened-in-the-prompt"
        ),
    ],
)
def test_the_answer_is_the_one_block_before_the_thoughts(text, expected):
    assert read_answer(text, "think_after") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 3\n", "3"),
        (" ", Unread.EMPTY),
        ("<answer>3</answer>", "3"),
        ("<answer> </answer>", Unread.EMPTY),
        ("<answer>3</answer>.", "<answer>3</answer>."),
        ("<answer>3</answer><answer>4</answer>", Unread.NO_ANSWER),
        ("<think>a</think>3", "3"),
        ("a</think>\n\n3", "3"),
        ("<think>a</think>\n<think>b</think>\n<answer>3</answer>", "3"),
        ("<think>4</think>", Unread.EMPTY),
        ("<think>3", Unread.NO_ANSWER),
        ("<think>a</think>3<think>b</think>", Unread.NO_ANSWER),
        ("<think>a</think>3</think>4", Unread.NO_ANSWER),
        ("4 <think>a</think>3", Unread.NO_ANSWER),
    ],
)
def test_the_bare_answer_is_the_whole_text_after_closed_thoughts(text, expected):
    assert read_answer(text, "answer") == expected


def test_blocks_are_read_by_tag():
    blocks = read_blocks(" <think>a\nb</think>\n<answer> 3 </answer>\n", ("think", "answer"))
    assert blocks == {"think": "a\nb", "answer": " 3 "}


@given(st.lists(st.sampled_from([f"<{s}{t}>" for t in STYLES["caption"].tags for s in ("", "/")] + ["x"]), max_size=12))
def test_tags_in_any_order_are_read_or_refused(pieces):
    text = "".join(pieces)
    for tags in (style.tags for style in STYLES.values()):
        blocks = read_blocks(text, tags)
        assert blocks is None or "".join(f"<{t}>{blocks[t]}</{t}>" for t in tags) == text
    answer = read_answer(text, "think")
    assert isinstance(answer, Unread) or f"<answer>{answer}</answer>" in text


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(" x y\n", id="blanks"),
        pytest.param("$x y$", id="dollars"),
        pytest.param("$$x y$$", id="two-dollars"),
        pytest.param(r"\(x y\)", id="inline-latex"),
        pytest.param(r"\[ x y \]", id="display-latex"),
        pytest.param(r"\boxed{x y}", id="boxed"),
        pytest.param(r"$\boxed{\text{x y}}$", id="three-layers"),
        pytest.param("**x y**", id="bold"),
        pytest.param("**x y.**", id="full-stop-inside"),
        pytest.param("**x y**.", id="full-stop-after"),
        pytest.param('"x y"', id="quotes"),
        pytest.param("`'x y'`", id="code"),
        pytest.param("```x y```", id="fence-on-one-line"),
        pytest.param("```\nx y\n```", id="fence"),
        pytest.param("```text\nx y\n```", id="fence-with-a-language"),
        pytest.param("```json x y", id="fence-never-closed"),
        pytest.param("<|begin_of_box|>x y<|end_of_box|>", id="glm"),
    ],
)
def test_what_models_put_around_an_answer_is_taken_off(answer):
    assert unwrap(answer).removesuffix(".") == "x y"


@pytest.mark.parametrize(
    "answer",
    [
        r"\boxed{1} + \boxed{2}",
        "$1$ and $2$",
        "**1** or **2**",
        "'1', '2'",
        "```\n1\n```\n```\n2\n```",
        r"\(1\) \(2\)",
        r"\boxed{1",
        "$",
        "[1, 2]",
        "2 + `1`",
    ],
)
def test_two_things_are_never_joined_into_one(answer):
    assert unwrap(answer) == answer


@given(st.text(alphabet="$*`'\"x\\(){}[].\n ", max_size=40))
def test_what_is_left_is_part_of_the_answer(answer):
    assert unwrap(answer) in answer
