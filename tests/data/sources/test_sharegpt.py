from __future__ import annotations

import json
from functools import partial

import pytest
from PIL import Image

from vrft_pl.data import Classification, Counting, Grounding, ShareGPT
from vrft_pl.policy.coordinates import answer_frame
from vrft_pl.prompts import target_text
from vrft_pl.types import InputError

THOUGHT = "<think>One, two.</think><answer>2</answer>"


def row(answer="2", question="<image>How many?", **keys):
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "images": ["a.png"], **keys}


def renamed(row):
    """The same row as LLaMA-Factory's other form writes it."""
    names = {"user": "human", "assistant": "gpt"}
    turns = [{"from": names.get(t["role"], t["role"]), "value": t["content"]} for t in row["messages"]]
    return {**{key: value for key, value in row.items() if key != "messages"}, "conversations": turns}


def share(folder, *rows, **kwargs):
    (folder / "rows.json").write_text(json.dumps(rows))
    return ShareGPT(str(folder / "rows.json"), **kwargs)


@pytest.mark.parametrize("form", [lambda row: row, renamed], ids=["messages", "conversations"])
def test_a_conversation_becomes_a_record(tmp_path, form):
    (record,) = share(tmp_path, form(row(id="x7", tags=["hard"])))
    assert (record.problem, record.answer, record.cot, record.system) == ("How many?", "2", None, None)
    assert [image.path for image in record.images] == [tmp_path / "a.png"]
    assert record.id.endswith("rows.json, row 0 (id x7)")
    assert record.tags == ("hard",)


@pytest.mark.parametrize("form", [lambda row: row, renamed], ids=["messages", "conversations"])
def test_a_system_prompt_is_a_turn_or_a_key(tmp_path, form):
    turn = row()
    turn["messages"].insert(0, {"role": "system", "content": "Be brief."})
    assert [r.system for r in share(tmp_path, form(turn), form(row(system="Think.")), form(row(system="")))] == [
        "Be brief.",
        "Think.",
        None,
    ]


@pytest.mark.parametrize(
    ("keys", "question", "expected"),
    [
        pytest.param({"images": "a.png"}, "<image>?", ["a.png"], id="one-path"),
        pytest.param({"images": None, "image": "b.png"}, "<image>?", ["b.png"], id="image"),
        pytest.param({"images": ["a.png", "b.png"]}, "<image>\n<image>?", ["a.png", "b.png"], id="two"),
        pytest.param({"images": []}, "?", [], id="none"),
    ],
)
def test_each_marker_is_a_picture(tmp_path, keys, question, expected):
    (record,) = share(tmp_path, row(question=question, **keys), image_root=str(tmp_path / "root"))
    assert [i.path.relative_to(tmp_path / "root").as_posix() for i in record.images] == expected
    assert record.problem == "?"


@pytest.mark.parametrize(
    ("turn", "answer", "cot"),
    [
        pytest.param(" two dogs\n", "two dogs", None, id="bare"),
        pytest.param("<answer> 2 </answer>", "2", None, id="tagged"),
        pytest.param("One, two. <answer>2</answer>", "2", "One, two.", id="untagged-thoughts"),
        pytest.param(THOUGHT, "2", THOUGHT, id="thoughts"),
        pytest.param("<think>Two.</think>\n\n2", "2", "<think>Two.</think>", id="thoughts-and-bare-answer"),
        pytest.param(
            "<summary>s</summary><caption>c</caption><think>t</think>2",
            "2",
            "<summary>s</summary><caption>c</caption><think>t</think>",
            id="captioned",
        ),
    ],
)
def test_a_turn_is_split_into_thoughts_and_answer(tmp_path, turn, answer, cot):
    (record,) = share(tmp_path, row(turn))
    assert (record.answer, record.cot) == (answer, cot)


@pytest.mark.parametrize(
    ("turn", "style", "expected"),
    [
        pytest.param(THOUGHT, "think", THOUGHT, id="as-it-stands"),
        pytest.param("Two. <answer>2</answer>", "think", "<think>Two.</think><answer>2</answer>", id="wrapped"),
        pytest.param("<think>Two.</think>\n2", "think", "<think>Two.</think><answer>2</answer>", id="completed"),
        pytest.param(THOUGHT, "answer", "2", id="answer-alone"),
    ],
)
def test_what_is_imitated_is_what_the_assistant_said(tmp_path, turn, style, expected):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    task = Counting(share(tmp_path, row(turn)), style=style)
    assert target_text(task.datasets("train")["train"][0], None) == expected


@pytest.mark.parametrize(
    ("task", "answer", "expected"),
    [
        pytest.param(Grounding, "[120, 40, 300, 200]", "[150, 100, 375, 500]", id="box"),
        pytest.param(Grounding, "(120,40),(300,200)", "[150, 100, 375, 500]", id="two-points"),
        pytest.param(partial(Classification, aliases={"cat": ["kitty"]}), " Kitty ", "cat", id="alias"),
    ],
)
def test_what_is_imitated_is_the_checked_answer_in_the_coordinates_of_the_policy(tmp_path, task, answer, expected):
    Image.new("RGB", (800, 400)).save(tmp_path / "a.png")
    rows = share(tmp_path, row(f"<think>There.</think><answer>{answer}</answer>"))
    sample = task(train=rows).datasets("train")["train"][0]
    text = target_text(sample, answer_frame("permille", (800, 400), None))
    assert text == f"<think>There.</think><answer>{expected}</answer>"


def turns(*roles):
    return {"messages": [{"role": role, "content": "<image>?" if role == "user" else "2"} for role in roles]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(turns("user", "assistant", "user", "assistant"), "one question and one answer, but", id="long"),
        pytest.param(turns("user", "user", "assistant"), "one question and one answer, but", id="two-questions"),
        pytest.param(turns("assistant", "user"), "one question and one answer, but", id="swapped"),
        pytest.param(turns("user"), r"one question and one answer, but got turns of \['user'\]", id="unanswered"),
        pytest.param(turns("user", "observation"), "one question and one answer, but got", id="tool"),
        pytest.param(turns("user", ["assistant"]), "one question and one answer, but got", id="role-of-wrong-type"),
        pytest.param(turns("system", "system", "user", "assistant"), "one question and one", id="two-system-prompts"),
        pytest.param({"messages": []}, r"one question and one answer, but got turns of \[\]", id="empty"),
        pytest.param({"messages": "?"}, "expected a list of turns in `messages` or `conversations`", id="text"),
        pytest.param({"messages": ["?", "2"]}, "expected a list of turns in `messages` or `conversations`", id="texts"),
        pytest.param({"messages": None}, "a list of turns in `messages` or `conversations`, but got None", id="none"),
        pytest.param({"images": []}, "as many `<image>` in the question as pictures, but got 1 and 0", id="no-picture"),
        pytest.param(
            {"images": ["a", "b"]}, "`<image>` in the question as pictures, but got 1 and 2", id="two-pictures"
        ),
        pytest.param({"images": [5]}, "expected `image` to be a path or a list of paths", id="image"),
        pytest.param({"videos": ["a.mp4"]}, "expected pictures alone, but it has `videos`", id="video"),
        pytest.param({"system": 5}, "expected `system` to be a string, but got 5", id="system"),
        pytest.param(row(question="<image>"), "expected a question in `problem`, but got '<image>'", id="no-question"),
        pytest.param(row(question=[{"text": "?"}]), "expected `content` to be a string, but got", id="parts"),
        pytest.param(row(None), "expected `content` to be a string, but got None", id="no-answer"),
        pytest.param(row(" "), "expected an answer, but got ' '", id="blank-answer"),
        pytest.param(
            row("<image>"), "expected `<image>` in the question alone, but it is in the turn of assistant", id="m"
        ),
        pytest.param(row("<answer></answer>"), "expected an answer, but got", id="empty-tags"),
        pytest.param(row("<think>2</think>"), "expected an answer, but got", id="thoughts-alone"),
        pytest.param(row("<think>2"), "expected an answer, but got", id="endless-thoughts"),
        pytest.param(row("<answer>2"), "expected one <answer> block, but got '<answer>2'", id="unclosed"),
        pytest.param(row("<answer>1 <answer>2</answer>"), "expected one <answer> block, but got", id="nested"),
        pytest.param(row("2</answer>"), "expected one <answer> block, but got", id="unopened"),
        pytest.param(row("<answer>1</answer><answer>2</answer>"), "expected one <answer> block, but", id="two-answers"),
    ],
)
def test_a_wrong_row_is_named_with_file_and_row(tmp_path, change, message):
    source = share(tmp_path, row(), {**row(id=3), **change, "id": 3})
    assert source[0].answer == "2"
    with pytest.raises(InputError, match=rf"rows.json, row 1 \(id 3\): .*{message}"):
        source[1]


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match="Expected a JSON file of rows at none.json, but it can't be read"):
        ShareGPT("none.json")
