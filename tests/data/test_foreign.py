import json

import pytest

from vrft_pl.data.detection import read_positions
from vrft_pl.data.foreign import converted, kind
from vrft_pl.types import InputError

PART = {"type": "image"}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [PART, {"type": "text", "text": "Why?"}]},
]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        # TRL: a text, turns of parts, a prompt and its completion
        ({"prompt": "Why?", "image": "a.png", "solution": "so"}, {"answer": "so"}),
        ({"prompt": TURNS, "images": ["a.png"], "answer": 3}, {"answer": 3, "system": "Be brief."}),
        (
            {"prompt": TURNS[1:], "images": ["a.png"], "completion": [{"role": "assistant", "content": "so"}]},
            {"answer": "so"},
        ),
        # ms-swift: no answer among the turns, one among them, and objects
        (
            {"messages": [{"role": "user", "content": "<image>Why?"}], "images": [{"path": "a.png"}], "solution": "so"},
            {"answer": "so"},
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "<image>Why?"},
                    {"role": "assistant", "content": "<bbox>"},
                ],
                "images": ["a.png"],
                "objects": {"ref": [], "bbox": [[1, 2, 3, 4]]},
            },
            {"answer": "[1, 2, 3, 4]"},
        ),
        # VLM-R1 and LLaMA-Factory
        (
            {
                "image": "a.png",
                "conversations": [{"from": "human", "value": "<image>Why?"}, {"from": "gpt", "value": 0}],
            },
            {"answer": "0"},
        ),
        (
            {
                "images": ["a.png"],
                "system": "Be brief.",
                "conversations": [
                    {"from": "human", "value": "<image>Why?"},
                    {"from": "gpt", "value": "<think>As.</think><answer>so</answer>"},
                ],
            },
            {"answer": "so", "cot": "<think>As.</think><answer>so</answer>", "system": "Be brief."},
        ),
        ({"instruction": "<image>Why?", "input": "", "output": "so", "images": ["a.png"]}, {"answer": "so"}),
    ],
)
def test_rows_of_other_tools_become_one_row(row, expected):
    assert converted(row, "row 0") == {"image": "a.png", "problem": "Why?"} | expected


def test_other_columns_stay_and_the_answer_may_be_named():
    row = {"id": 7, "prompt": "Which?", "images": ["a.png", "b.png"], "label": "first", "level": 2, "answer": None}
    assert converted(row, "row 0", "label") == {
        "id": 7,
        "level": 2,
        "image": ["a.png", "b.png"],
        "problem": "Which?",
        "answer": "first",
    }


def test_names_and_boxes_stand_where_the_text_has_their_places():
    question = "<image>Locate the <ref-object>, not the <ref-object>."
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "<bbox>"}]
    objects = {"ref": ["dog", "cat"], "bbox": [[1, 2, 3, 4]]}
    row = converted({"messages": turns, "images": ["a.png"], "objects": objects}, "row 0")
    assert (row["problem"], row["answer"]) == ("Locate the dog, not the cat.", "[1, 2, 3, 4]")


@pytest.mark.parametrize("fence", ["{}", "```json\n{}\n```"])
def test_the_one_object_of_an_answer_is_its_box(fence):
    said = fence.format(json.dumps([{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]))
    assert converted({"prompt": "Where?", "image": "a.png", "solution": said}, "row 0")["answer"] == [1, 2, 3, 4]


def test_several_objects_of_one_label_are_what_detection_reads():
    def answer(solution):
        return converted({"prompt": "Where?", "image": "a.png", "solution": solution}, "row 0")["answer"]

    two = [{"bbox_2d": [1, 2, 3, 4], "label": "dog"}, {"bbox_2d": [[5, 6], [7, 8]], "label": "dog"}]
    expected = [{"Position": [1, 2, 3, 4]}, {"Position": [5, 6, 7, 8]}]
    assert [answer(form) for form in (two, json.dumps(two), f"```json\n{json.dumps(two)}\n```")] == [expected] * 3
    assert answer(two[:1]) == [1, 2, 3, 4]
    assert read_positions(answer(two), "row 0") == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert read_positions(answer(two[:1]), "row 0") == [[1, 2, 3, 4]]
    with pytest.raises(InputError, match="row 0: expected objects of one label, which the question names, but got"):
        answer([*two, {"bbox_2d": [1, 2, 3, 4], "label": "cat"}])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": [{"role": "user", "content": "<video>\nHow often?"}], "videos": ["a.mp4"]}, "How often?"),
        ({"prompt": "In <video>, how often?", "video": "a.mp4"}, "In <video>, how often?"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "How often?"}]},
                ],
                "videos": ["a.mp4"],
            },
            "How often?",
        ),
        ({"prompt": "How often?", "videos": ["a.mp4"], "images": []}, "How often?"),
    ],
    ids=["before-the-text", "within-it", "part-of-a-turn", "no-marker"],
)
def test_a_row_with_a_video_is_one_of_a_video_here(row, problem):
    made = converted({**row, "solution": "3", "fps": 2}, "row 0")
    assert made == {"video": "a.mp4", "problem": problem, "answer": "3", "fps": 2}


ASKED = {"role": "user", "content": "<image>Why?"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "expected `prompt`, `messages`, `conversations` or `instruction`"),
        (
            {"image": "a.png", "problem": "Why?", "answer": "x"},
            "but got one that vrft_pl.data.ReasonJSON reads as it is",
        ),
        ({"prompt": 3, "solution": "x"}, "expected a list of turns in `prompt`, but got 3"),
        ({"prompt": []}, "expected a list of turns"),
        ({"prompt": "Why?"}, "expected an answer in one of"),
        ({"prompt": "Why?", "solution": "\ud800"}, "expected `answer` to be a string"),
        ({"prompt": [{"role": [], "content": "x"}]}, "expected turns of"),
        ({"prompt": [{"role": "user", "content": [{"type": "audio"}]}]}, "expected `content` to be a string"),
        ({"prompt": [{"role": "user", "content": [{"type": []}]}]}, "expected `content` to be a string"),
        ({"prompt": [{"role": "user", "content": [None]}]}, "expected `content` to be a string"),
        ({"prompt": [ASKED, ASKED], "solution": "x"}, "expected one question, but got turns of"),
        ({"messages": [ASKED], "solution": "x"}, "expected `<image>` once for each of 0 pictures, but got 1"),
        ({"messages": [ASKED], "audios": ["a.wav"]}, "expected pictures, a video and text alone, but it has `audios`"),
        ({"prompt": "<video>Why?"}, "expected a video in `videos` for `<video>`, but there is none"),
        (
            {"prompt": "Why?", "videos": ["a.mp4", "b.mp4"]},
            "one video that is a file, but got 2 videos beside 0 pictures",
        ),
        ({"prompt": "Why?", "videos": [["1.png", "2.png"]]}, "one video that is a file, but got 1 videos"),
        ({"prompt": "Why?", "video": {"path": "a.mp4"}}, "one video that is a file, but got {'path': 'a.mp4'}"),
        ({"messages": [ASKED], "images": ["a.png"], "videos": ["a.mp4"]}, "but got 1 videos beside 1 pictures"),
        ({"messages": [ASKED], "videos": ["a.mp4"]}, "expected `<video>` once at most, but got '<image>Why?'"),
        ({"prompt": "<video>or <video>?", "videos": ["a.mp4"]}, "expected `<video>` once at most"),
        ({"messages": [ASKED], "images": 3, "solution": "x"}, "expected `image` to be a path"),
        ({"messages": [ASKED], "objects": [1]}, "expected `objects` to hold lists"),
        ({"messages": [ASKED], "objects": {"bbox": [], "bbox_type": "norm1"}}, "expected boxes in pixels"),
        ({"messages": [{"role": "user", "content": "<bbox>"}]}, "expected an object for each `<bbox>`"),
        ({"prompt": "Why?", "solution": "<answer>1</answer><answer>2</answer>"}, "expected one <answer> block"),
        ({"instruction": ["x"], "output": "y"}, "expected `instruction` to be a string"),
    ],
)
def test_what_is_no_row_is_one_line(row, said):
    with pytest.raises(InputError, match=r"^row 3: .*\.$") as raised:
        converted(row, "row 3")
    assert said in str(raised.value)


def test_answers_look_like_numbers_boxes_objects_or_text():
    found = [{"Position": [1, 2, 3, 4]}], []
    assert [kind(answer) for answer in ("3", 2.5, "[1, 2, 3, 4]", [1, 2, 3, 4], *found, "dog", [1, 2], True)] == [
        *("number", "number", "box", "box", "objects", "objects", "text", "text", "text")
    ]


@pytest.mark.parametrize(
    "answer", ["NaN", "1e400", "-Infinity", "true", "[3]", "[1, 2, NaN, 4]", "[true, 1]", "9" * 400]
)
def test_numbers_that_no_family_reads_are_no_answers(answer):
    row = {"prompt": "Why?", "image": "a.png", "solution": json.loads(answer)}
    with pytest.raises(InputError, match="row 0: expected the answer to be a text, a finite number, a point or a box"):
        converted(row, "row 0")


def test_what_json_has_no_number_for_is_refused_wherever_it_stands():
    row = {"prompt": "Why?", "image": "a.png", "solution": {"x": [float("nan")]}}
    with pytest.raises(InputError, match="row 0: expected finite numbers in `answer`"):
        converted(row, "row 0")
    with pytest.raises(InputError, match="row 0: expected finite numbers in `area`"):
        converted({**row, "solution": 3, "area": float("inf")}, "row 0")


@pytest.mark.parametrize("answer", [3, -2.5, [3, 4], [1, 2, 3, 4], [[1, 2], [3, 4]], [], ["a"]])
def test_numbers_points_and_boxes_are_answers(answer):
    assert converted({"prompt": "Why?", "image": "a.png", "solution": answer}, "row 0")["answer"] == answer
