from __future__ import annotations

import re
from dataclasses import replace

import pytest
from builders import grey_scene, make_sample

from vrft_pl.answers import Box, Call, Choice, Expression, Instance, Instances, Label, Number, Transformation
from vrft_pl.policy.coordinates import DESCRIPTIONS, answer_frame
from vrft_pl.prompts import answer_text, chat, check_template, question, target_text
from vrft_pl.rewards import BoxIoU, Format, NumberMatch
from vrft_pl.styles import STYLES
from vrft_pl.types import InputError, Sample

BOX = Box((64.0, 48.0, 320.0, 240.4))
FRAME = answer_frame("pixels", (640, 480), None)
COTS = {"answer": None, "think": "1 2", "caption": "<summary>s</summary><caption>c</caption><think>1 2</think>"}


def objects(*items, categories=("dog",)):
    return Instances(tuple(Instance(*item) for item in items), categories, "a.jpg")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("solution", "form"),
    [
        pytest.param(Number(3.0), "a number", id="number"),
        pytest.param(Choice("B"), "the letter of one option", id="choice"),
        pytest.param(Expression("x"), "a number or an expression", id="expression"),
        pytest.param(Label("lily"), "a class name", id="label"),
        pytest.param(BOX, "a box [x1, y1, x2, y2] in inches", id="box"),
        pytest.param(
            objects(categories=("dog",)),
            "a list of {'Position': [x1, y1, x2, y2], 'Confidence': c} in inches, or No Objects,",
            id="one-category",
        ),
        pytest.param(
            objects(categories=("dog", "cat")),
            "a list of {'Position': [x1, y1, x2, y2], 'Confidence': c, 'Label': name} in inches, or No Objects,",
            id="categories",
        ),
        pytest.param(
            Transformation((Call("f", "1", "a"),)),
            "calls such as change_color(object, value), separated",
            id="transformation",
        ),
    ],
)
def test_the_question_says_the_form_of_the_answer_and_every_tag(style, solution, form):
    text = question(make_sample(solution, style), "inches")
    assert text.startswith("Question? ")
    assert form in text
    assert all(f"<{tag}> </{tag}>" in text for tag in STYLES[style].tags)
    assert ("<answer>" in text) == (style != "answer")


@pytest.mark.parametrize(
    "template",
    [
        None,
        "{problem}",
        "{problem} {instruction} {form} {coordinates}",
        "{{so}} {problem} }}",
        "{problem} {problem}",
        "{instruction}{problem}",
    ],
)
def test_a_template_holds_the_question_and_what_else_it_likes(template):
    check_template(template)


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("", id="empty"),
        pytest.param("{instruction}", id="no-question"),
        pytest.param("{{problem}}", id="braces-of-text"),
        pytest.param("{problem} {answer}", id="unknown"),
        pytest.param("{problem} {}", id="nameless"),
        pytest.param("{problem.text}", id="attribute"),
        pytest.param("{problem:>9}", id="spec"),
        pytest.param("{problem} {form:x}", id="one-spec"),
        pytest.param("{problem!r} {form}", id="one-conversion"),
    ],
)
def test_a_template_without_the_question_or_with_another_field_is_refused(template):
    fields = "{problem}, {instruction}, {form}, {coordinates}"
    known = f"{fields} and columns of the rows"
    message = f"Expected `template` to hold {{problem}}, and no field but {known}, but got {template!r}."
    with pytest.raises(ValueError, match=re.escape(message)):
        check_template(template)


def test_a_template_with_a_brace_that_stays_open_is_refused():
    with pytest.raises(ValueError, match=r"`template` to be a template, but '\{problem' is none: expected '}'"):
        check_template("{problem")


@pytest.mark.parametrize("system", [None, "Be brief."])
@pytest.mark.parametrize("images", [0, 1, 2])
def test_a_chat_puts_pictures_before_the_text(images, system):
    sample = Sample("row 7", (grey_scene(),) * images, "Question?", Number(3.0), system=system)
    *before, user = chat(sample, "pixels")
    assert before == ([{"role": "system", "content": [{"type": "text", "text": "Be brief."}]}] if system else [])
    assert user["role"] == "user"
    assert user["content"] == [{"type": "image"}] * images + [{"type": "text", "text": question(sample, "pixels")}]


@pytest.mark.parametrize(
    ("value", "expected"), [(3.0, "3"), (0.0, "0"), (-2.0, "-2"), (2.5, "2.5"), (1e22, "1" + "0" * 22)]
)
def test_a_number_is_written_without_needless_decimals(value, expected):
    assert answer_text(make_sample(Number(value)), None) == expected


DOG = "{'Position': [64, 48, 320, 240], 'Confidence': 1.0"


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        pytest.param(Number(2.5, "cm"), "2.5 cm", id="unit"),
        pytest.param(Choice("B", ("1", "2")), "B", id="choice"),
        pytest.param(Expression(r"6\sqrt{3}"), r"6\sqrt{3}", id="expression"),
        pytest.param(Label("Fire lily", ("flame lily",)), "Fire lily", id="label"),
        pytest.param(objects((BOX.xyxy, "dog")), f"[{DOG}}}]", id="one-category"),
        pytest.param(
            objects((BOX.xyxy, "dog"), (BOX.xyxy, "cat's"), categories=("dog", "cat's")),
            f"[{DOG}, 'Label': 'dog'}}, {DOG}, 'Label': \"cat's\"}}]",
            id="categories",
        ),
        pytest.param(objects(), "No Objects", id="no-object"),
        pytest.param(objects((BOX.xyxy, "dog", None, True)), "No Objects", id="crowd-alone"),
        pytest.param(objects((BOX.xyxy, "dog"), (BOX.xyxy, "dog", None, True)), f"[{DOG}}}]", id="crowd"),
        pytest.param(
            Transformation((Call("change_color", "2", "red"), Call("change_size", "1", "small"))),
            "change_color(2, red), change_size(1, small)",
            id="transformation",
        ),
    ],
)
def test_every_kind_of_truth_is_written(solution, expected):
    assert answer_text(make_sample(solution), FRAME) == expected


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        pytest.param("permille", "[100, 100, 500, 501]", id="permille"),
        pytest.param("permille_y_first", "[100, 100, 501, 500]", id="permille-y-first"),
        pytest.param("bins_1024_y_first", "[102, 102, 513, 512]", id="bins-y-first"),
        pytest.param("bins_32", "[3.2, 3.2, 16.0, 16.0]", id="grid"),
        pytest.param("percent", "[10.0, 10.0, 50.0, 50.1]", id="percent"),
        pytest.param("resized_pixels", "[128, 24, 640, 120]", id="resized-pixels"),
        pytest.param("pixels", "[64, 48, 320, 240]", id="pixels"),
        pytest.param("unit", "[0.100, 0.100, 0.500, 0.501]", id="unit"),
    ],
)
def test_a_box_is_written_in_the_space_of_the_policy(space, expected):
    frame = answer_frame(space, (640, 480), (1280, 240))
    assert answer_text(make_sample(BOX), frame) == expected


def test_a_question_asks_for_the_edges_in_the_order_of_the_policy():
    words = DESCRIPTIONS["permille_y_first"]
    for solution in (BOX, Instances((), ("dog",), "a.jpg")):
        asked = question(make_sample(solution), words)
        assert "[y1, x1, y2, x2]" in asked
        assert "in thousandths of the image, y first" in asked
        assert "[x1, y1, x2, y2]" in question(make_sample(solution), DESCRIPTIONS["permille"])


def test_a_box_needs_a_picture():
    with pytest.raises(InputError, match="row 7: expected a picture for an answer with boxes, but there is none"):
        answer_text(make_sample(BOX), None)


@pytest.mark.parametrize(
    ("style", "cot", "expected"),
    [
        pytest.param("answer", None, "3", id="bare"),
        pytest.param("answer", "1 2", "3", id="bare-leaves-thoughts-out"),
        pytest.param("think", " 1 2\n", "<think>1 2</think><answer>3</answer>", id="think"),
        pytest.param("think", "<think>1 2</think>", "<think>1 2</think><answer>3</answer>", id="tagged-thoughts"),
        pytest.param(
            "think", "<think>a</think><answer>3</answer>", "<think>a</think><answer>3</answer>", id="whole-turn"
        ),
        pytest.param("caption", COTS["caption"], COTS["caption"] + "<answer>3</answer>", id="caption"),
    ],
)
def test_a_target_is_written_in_the_style(style, cot, expected):
    assert target_text(make_sample(style=style, cot=cot), None) == expected


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        pytest.param(Number(3.0), "3", id="number"),
        pytest.param(Label("Fire lily", ("flame lily",)), "Fire lily", id="label"),
        pytest.param(Expression(r"6\sqrt{3}"), r"6\sqrt{3}", id="expression"),
        pytest.param(BOX, "[100, 100, 500, 501]", id="box"),
        pytest.param(
            objects((BOX.xyxy, "dog")), "[{'Position': [100, 100, 500, 501], 'Confidence': 1.0}]", id="objects"
        ),
        pytest.param(objects(), "No Objects", id="no-object"),
        pytest.param(Transformation((Call("change_size", "1", "small"),)), "change_size(1, small)", id="calls"),
    ],
)
@pytest.mark.parametrize("style", ["think", "caption"])
def test_a_whole_turn_keeps_its_thoughts_and_gets_the_checked_answer(style, solution, expected):
    cot = f"{COTS['caption'] if style == 'caption' else '<think>1 2</think>'}\n<answer>%s</answer>\n."
    sample = make_sample(solution, style, cot=cot % " flame\nlily [64, 48] ")
    assert target_text(sample, answer_frame("permille", (640, 480), None)) == cot % expected


@pytest.mark.parametrize(
    "cot",
    [
        pytest.param("<answer>2</answer><think>1 2</think><answer>3</answer>", id="two"),
        pytest.param("<think>1 2</think><answer>3", id="unclosed"),
        pytest.param("<think>1 2</think>3</answer>", id="unopened"),
        pytest.param("<think>1 2</think></answer>3<answer>", id="crossed"),
        pytest.param("<think>In <answer>.</think><answer>3</answer>", id="named-in-thoughts"),
    ],
)
def test_a_whole_turn_holds_one_answer(cot):
    with pytest.raises(InputError, match="row 7: expected one <answer> block in `cot`, but got '<"):
        target_text(make_sample(cot=cot), None)
    assert target_text(make_sample(style="answer", cot=cot), None) == "3"


@pytest.mark.parametrize("cot", [None, ""])
@pytest.mark.parametrize("style", ["think", "caption"])
def test_a_style_with_thoughts_needs_them(style, cot):
    message = rf"row 7: expected a chain of thought \(`cot`\) for the `{style}` style, .* Use `style: answer`, or add"
    with pytest.raises(InputError, match=message):
        target_text(make_sample(style=style, cot=cot), None)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("solution", [Number(3.0), Number(0.1), Number(-1e-7), BOX], ids=str)
def test_what_supervised_training_imitates_earns_every_reward(style, solution):
    sample = make_sample(solution, style, cot=COTS.get(style, "1 2"))
    text = target_text(sample, FRAME)
    reward = NumberMatch() if isinstance(solution, Number) else BoxIoU(threshold=0.9)
    assert Format().grade_one(text, sample, FRAME) == 1
    assert reward.grade_one(text, sample, FRAME) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("space", ["permille", "unit", "resized_pixels", "pixels"])
def test_a_box_too_thin_for_the_space_keeps_an_area(space):
    frame = answer_frame(space, (4000, 3000), (400, 300))
    for xyxy in ((2000.4, 100.4, 2001.3, 101.2), (3999.0, 2999.0, 4000.0, 3000.0), (0.0, 0.0, 0.3, 0.3)):
        sample = make_sample(Box(xyxy), "answer")
        assert (BoxIoU().grade_one(target_text(sample, frame), sample, frame) or 0) > 0


def test_pictures_stand_at_their_markers_or_before_the_text():
    def content(problem, pictures=2):
        one = replace(
            make_sample(Number(1.0)), problem=problem, images=(grey_scene(),) * pictures, template="{problem}"
        )
        return [part.get("text", "picture") for part in chat(one, "pixels")[-1]["content"]]

    assert content("Same?") == ["picture", "picture", "Same?"]
    assert content("Is <image> <image>?") == ["Is ", "picture", " ", "picture", "?"]
    assert content("<image><image>Same?") == ["picture", "picture", "Same?"]
    assert content("From <image> to <image>") == ["From ", "picture", " to ", "picture"]
    assert content("Count.", 0) == ["Count."]


@pytest.mark.parametrize(("problem", "count"), [("<image>?", 2), ("<image><image>?", 1), ("<image>?", 0)])
def test_markers_that_are_not_as_many_as_pictures_are_refused(problem, count):
    one = replace(make_sample(Number(1.0)), problem=problem, images=(grey_scene(),) * count)
    marks = problem.count("<image>")
    with pytest.raises(InputError, match=f"once for each of {count} pictures, but got {marks} in the"):
        chat(one, "pixels")
