from __future__ import annotations

import pytest
import torch
from builders import lengths_mask, make_completions, make_sample
from hypothesis import given
from hypothesis import strategies as st
from timing import seconds

from vrft_pl.rewards import NumberMatch
from vrft_pl.rewards.reasoning import ReasoningSteps, Repetition, repeated_share

SENTENCES = (
    "I count three red cubes.",
    "The blue ball is behind.",
    "So four objects remain.",
    "Hence it is four, sir.",
)


def steps(thoughts):
    """Number of steps that the reward sees, at most 3."""
    return round(3 * ReasoningSteps().grade_one(f"<think>{thoughts}</think><answer>4</answer>", make_sample(), None))


@pytest.mark.parametrize(
    ("form", "separator"),
    [(form, "\n") for form in ("**Step {n}:** ", "**Step {n}**: ", "## Step {n}: ", "  {n}. ", "- {n}. ", "**{n}. ")]
    + [
        (form, gap)
        for form in ("Step {n}: ", "step {n}. ", "STEP {n}) ", "{n}. ", "{n}) ")
        for gap in ("\n", "\n\n", " ")
    ],
)
def test_numbered_steps_are_counted(form, separator):
    texts = [form.format(n=n + 1) + sentence for n, sentence in enumerate(SENTENCES)]
    assert [steps(separator.join(texts[:n])) for n in range(5)] == [0, 1, 2, 3, 3]


def test_ordinals_count_where_a_sentence_begins():
    assert steps("First, I count three red cubes. Next, the blue ball is behind. Finally, four objects remain.") == 3
    assert steps("firstly, I count the cubes.\nSecondly, the blue ball is behind!\nthen, four objects remain.") == 3
    assert (
        steps("First, I count three red cubes.  Next, the blue ball is behind. **Finally,** four objects remain.") == 3
    )
    assert steps("I count the first, second, and third, red cube and then, behind it, next, a ball.") == 0
    assert steps("First I count three red cubes. Next the blue ball is behind.") == 0


@pytest.mark.parametrize(
    "thoughts",
    [
        pytest.param("First,Second,Next,", id="marks-without-blanks"),
        pytest.param("First, Second, Next, Finally,", id="marks-beside-each-other"),
        pytest.param("First,\nSecond,\nNext,\n", id="marks-in-lines"),
        pytest.param("Step 1: Step 2: Step 3: Step 4: Step 5:", id="steps-without-content"),
        pytest.param("Step 1: Step 2: Step 3: Step 4: Step 5: done", id="steps-before-one-word"),
        pytest.param("1. 2. 3. 4. 5.", id="numbers"),
        pytest.param("1.\n2.\n3.\n", id="numbers-in-lines"),
        pytest.param("1. a\n2. b\n3. c\n", id="one-word-each"),
        pytest.param("1. count cubes\n2. see balls\n3. four left\n", id="two-words-each"),
        pytest.param("1. a a a a\n2. b b b b\n3. c c c c\n", id="one-word-many-times"),
        pytest.param("1. ...!!!\n2. ---\n3. ?????\n", id="punctuation"),
        pytest.param("I count three red cubes. The blue ball is behind. Four remain.", id="no-marks"),
        pytest.param("It is 3.14159 or 2.71828, of 1.5 and 2.5 and 3.5 metres.", id="decimals"),
        pytest.param("It is long (of 1.5) and wide (of 2.5) and high (of 3.5) in metres", id="decimals-in-brackets"),
        pytest.param("1.5 metres is high\n2.5 metres is wide\n3.5 metres is long", id="decimals-in-lines"),
        pytest.param("- I count three cubes\n- the ball is behind\n* four remain here", id="bullets"),
        pytest.param("misstep 1: I count cubes of it", id="inside-a-word"),
        pytest.param("", id="empty"),
    ],
)
def test_marks_earn_nothing_without_content(thoughts):
    """Reason-RFT pays 1 for `First,Second,Next,`."""
    assert steps(thoughts) == 0


def test_a_repeated_sentence_is_one_step():
    assert steps("".join(f"Step {n}: I count three red cubes.\n" for n in range(1, 9))) == 1
    assert steps("1. I count three red cubes.\n2. Red cubes: three I count!\n3. THREE RED CUBES\n") == 1
    assert steps("".join(f"Step {n}: {SENTENCES[n % 2]}\n" for n in range(1, 9))) == 2


def test_arithmetic_is_content():
    assert steps("1. 3 + 4 = 7\n2. 7 * 2 = 14\n3. 14 - 1 = 13") == 3


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{}", id="no-tags"),
        pytest.param("<answer>{}</answer>", id="in-the-answer"),
        pytest.param("<think>a</think>{}", id="after-the-thoughts"),
        pytest.param("<think>{}", id="open"),
        pytest.param("{}</think>", id="unopened"),
        pytest.param("</think>a<think>{}", id="inverted"),
        pytest.param("<think>a</think><think>{}</think>", id="two-blocks"),
        pytest.param("<think><think>{}</think></think>", id="nested"),
        pytest.param("<think>a<think>{}</think>", id="opened-twice"),
        pytest.param("<think>{}</think></think>", id="closed-twice"),
    ],
)
def test_steps_count_inside_the_only_block_of_thoughts(text):
    content = "\n".join(f"{n}. {sentence}" for n, sentence in enumerate(SENTENCES))
    assert ReasoningSteps().grade_one(text.format(content), make_sample(), None) == 0
    caption = f"<summary>s</summary><caption>c</caption> <think>{content}</think><answer>4</answer>"
    assert ReasoningSteps().grade_one(caption, make_sample(style="caption"), None) == 1


@given(st.lists(st.sampled_from(SENTENCES), max_size=6))
def test_as_many_steps_as_different_sentences(sentences):
    text = "\n".join(f"{n + 1}. {sentence}" for n, sentence in enumerate(sentences))
    assert steps(text) == min(3, len(set(sentences)))
    assert steps(text + "\n" + text) == steps(text)


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "9",
        " ",
        "\n",
        "\t",
        "First, ",
        "1. ",
        "1. a b c\n",
        "Step ",
        "Step 1: ",
        "step   ",
        "* \n",
        "#",
        ". ",
        "é\x00",
    ]
    + ["\ud800", "<think", "w1 w2 ", "third", "First,\n"],
)
@pytest.mark.parametrize("start", ["", "Step 1: "])
def test_any_thoughts_are_judged_at_once(piece, start):
    text = f"<think>{start}{piece * (100_000 // len(piece))}</think>"
    reward, sample = ReasoningSteps(), make_sample()
    assert seconds(reward.grade_one, text, sample, None, enough=0.05) < 0.05
    assert reward.grade_one(text, sample, None) <= 1 / 3


def test_steps_are_never_a_parse_failure():
    reward = ReasoningSteps()
    grades = reward.grade(make_completions(["", "<think>1. I count cubes</think>"]), [make_sample()] * 2)
    assert grades.parse_failures.tolist() == [0, 0]
    assert not reward.reads_answers


@pytest.mark.parametrize(
    ("tokens", "ngram", "expected"),
    [
        pytest.param([1, 2, 3, 4, 5], 2, 0.0, id="distinct"),
        pytest.param([1, 1, 1, 1, 1], 1, 0.8, id="one-token"),
        pytest.param([1, 1, 1, 1, 1], 2, 0.75, id="one-bigram"),
        pytest.param([1, 2, 1, 2, 1], 2, 0.5, id="two-bigrams"),
        pytest.param([1, 2, 3, 1, 2, 3], 3, 0.25, id="one-trigram-twice"),
        pytest.param([1, 2, 3], 3, 0.0, id="exactly-one"),
        pytest.param([1, 1, 1], 4, 0.0, id="shorter"),
        pytest.param([], 1, 0.0, id="empty"),
    ],
)
def test_repeated_ngrams_by_hand(tokens, ngram, expected):
    assert repeated_share(tokens, ngram) == pytest.approx(expected)


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5))
def test_repeated_share_counts_windows_seen_before(tokens, ngram):
    windows = [tokens[i : i + ngram] for i in range(len(tokens) - ngram + 1)]
    again = sum(window in windows[:i] for i, window in enumerate(windows))
    assert repeated_share(tokens, ngram) == pytest.approx(again / len(windows) if windows else 0)


def test_repetition_is_judged_on_the_tokens_of_the_completion():
    mask = lengths_mask([6, 3, 0, 6])
    completions = make_completions(["same text"] * 4, mask=mask)
    ids = torch.tensor([[7, 8, 7, 8, 7, 8], [7, 8, 9, 0, 0, 0], [0] * 6, [1, 2, 3, 4, 5, 6]])
    object.__setattr__(completions, "ids", ids)
    grades = Repetition(ngram=2).grade(completions, [make_sample()] * 4)
    torch.testing.assert_close(grades.scores, torch.tensor([-0.6, 0.0, 0.0, 0.0]))
    assert grades.parse_failures.tolist() == [0] * 4
    assert Repetition().grade(completions, [make_sample()] * 4).scores.tolist() == pytest.approx([-1 / 3, 0, 0, 0])


def test_an_ngram_has_a_token():
    with pytest.raises(ValueError, match="Expected `ngram` to be at least 1 token, but got 0"):
        Repetition(ngram=0)


def test_steps_never_outweigh_an_answer():
    """Three lines of nonsense earn all that there is for steps: with its own weight that is a tenth of an answer."""
    nonsense = "<think>1. blue over seven\n2. of the and\n3. green not up</think><answer>4</answer>"
    right = "<think>Hm.</think><answer>3</answer>"
    steps, answer = ReasoningSteps(), NumberMatch()
    earned = [
        sum(r.weight * r.grade_one(text, make_sample(), None) for r in (steps, answer)) for text in (nonsense, right)
    ]
    assert steps.grade_one(nonsense, make_sample(), None) == 1
    assert earned == [0.1, 1.0]
    assert ReasoningSteps(weight=0.5).weight == 0.5
