from dataclasses import dataclass, replace

import pytest
from builders import make_completions
from checkpoints import NoiseImage, sample
from PIL import Image, ImageChops

from vrft_pl.answers import AnswerFrame, Box, Instance, Instances, Mark, Mask, Solution, Text
from vrft_pl.callbacks.evaluation import predictions
from vrft_pl.callbacks.pictures import captioned, draw_answer, draw_marks, draw_record
from vrft_pl.data.scenes import SceneImage
from vrft_pl.rewards import answered_marks
from vrft_pl.runs import CompletionRecord, RunFolder
from vrft_pl.runs.pictures import encoded
from vrft_pl.types import Sample

LIME, PALE, RED = (0, 255, 0), (152, 251, 152), (255, 0, 0)
FRAME = AnswerFrame(100, 50, 0.1, 0.05)


def located(text, frame=FRAME):
    one = Sample("b", (NoiseImage(100, 50),), "Where?", Box((10, 5, 20, 15)), style="answer")
    return draw_answer(one, text, frame)


def test_the_true_box_is_green_and_the_answered_one_red():
    image = located("[500, 500, 900, 900]")
    assert image.getpixel((10, 10)) == image.getpixel((19, 10)) == LIME
    assert image.getpixel((50, 30)) == image.getpixel((89, 30)) == RED
    assert image.getpixel((15, 10)) not in (LIME, RED)


@pytest.mark.parametrize(("text", "frame"), [("no box", FRAME), ("[1, 1, 2, 2]", None)], ids=["no-box", "no-frame"])
def test_without_a_box_only_the_truth_is_drawn(text, frame):
    colours = {colour for _, colour in located(text, frame).getcolors(10_000)}
    assert LIME in colours
    assert RED not in colours


def test_a_box_far_outside_is_drawn_at_the_edge():
    assert located("[0, 0, 1e12, 1e12]").getpixel((99, 25)) == RED


def test_other_answers_show_the_plain_picture():
    image = NoiseImage(32, 32)
    assert draw_answer(sample("?", [image]), "3", None).tobytes() == image.open().tobytes()
    assert draw_answer(sample("?"), "3", None) is None


@dataclass(frozen=True)
class Point(Solution):
    """A kind of its own: a point, drawn as the box around it."""

    x: float
    y: float

    def form(self, coordinates):
        return "a point"

    def text(self, frame):
        return f"{self.x}, {self.y}"

    def marks(self):
        return (Mark((self.x - 2, self.y - 2, self.x + 2, self.y + 2)),)


@answered_marks.register
def point_marks(solution: Point, text, sample, frame):
    return Point(*map(float, text.split(","))).marks() if "," in text else None


def test_a_kind_of_ones_own_says_what_is_drawn_and_kept_of_its_answers():
    image = drawn(Point(10, 10), "50, 20")
    assert image.getpixel((8, 10)) == image.getpixel((11, 10)) == LIME
    assert image.getpixel((48, 20)) == image.getpixel((51, 20)) == RED
    sample = Sample("p", (NoiseImage(100, 50),), "?", Point(10, 10), style="answer")
    read, unread = (
        told.record for told in predictions(0, "id", [sample] * 2, make_completions(["50, 20", "there"], FRAME), {})
    )
    assert (read.answer, read.boxes) == ("10, 10", [[48.0, 18.0, 52.0, 22.0]])
    assert unread.boxes is None


def drawn(solution, text, scale=1):
    return draw_answer(Sample("b", (NoiseImage(100, 50),), "?", solution, style="answer"), text, FRAME, scale)


def test_every_object_and_every_answer_is_drawn():
    items = (
        Instance((2, 2, 12, 12), "dog"),
        Instance((20, 2, 40, 30), "dog"),
        Instance((60, 2, 95, 48), "dog", crowd=True),
    )
    entries = "{'bbox': [450, 700, 550, 980], 'score': 0.5}, {'bbox': [0, 900, 9000, 9900]}"
    image = drawn(Instances(items, ("dog",), "a"), f"[{entries}]")
    assert image.getpixel((2, 6)) == image.getpixel((11, 6)) == image.getpixel((39, 20)) == LIME
    assert image.getpixel((60, 20)) == image.getpixel((94, 20)) == PALE
    assert image.getpixel((45, 40)) == image.getpixel((54, 40)) == image.getpixel((99, 46)) == RED


def test_a_confidence_stands_in_the_corner_of_its_box():
    plain, stated = (
        drawn(Instances((), ("dog",), "a"), f"[{{'bbox': [100, 100, 900, 900]{entry}}}]")
        for entry in ("", ", 'score': 0.25")
    )
    left, top, right, bottom = ImageChops.difference(plain, stated).getbbox()
    assert 10 < left < right < 50
    assert 5 < top < bottom < 30


def test_a_crowd_is_drawn_below_what_it_overlaps():
    box = (10, 5, 20, 15)
    items = Instance(box, "dog"), Instance(box, "dog", crowd=True)
    assert drawn(Instances(items, ("dog",), "a"), "No Objects").getpixel((10, 10)) == LIME


def test_a_mask_is_outlined():
    truth = Box(
        (10, 10, 60, 40), Mask(((10.0, 10.0, 60.0, 10.0, 60.0, 40.0, 10.0, 40.0), (30.0, 15.0, 30.0, 35.0, 50.0, 35.0)))
    )
    image = drawn(truth, "none", scale=2)
    assert image.size == (200, 100)
    assert image.getpixel((60, 50)) == LIME
    assert image.getpixel((90, 50)) != LIME


@pytest.mark.parametrize("side", [100, 50], ids=["as-it-was", "half"])
def test_a_record_is_drawn_as_its_sample_is(tmp_path, side):
    folder, truth = RunFolder(tmp_path), Box((10, 6, 20, 16))
    sample = Sample("b", (SceneImage((), 100, (90, 90), 0),), "?", truth, style="answer", split="id")
    frame = AnswerFrame(100, 100, 0.1, 0.1)
    pictures = [encoded(sample.images, side)]
    (told,) = predictions(0, "id", [sample], make_completions(["[500, 500, 900, 900]"], frame), {}, pictures)
    assert draw_record(told.record, folder) is None
    folder.keep_pictures(told.pictures)
    image = draw_record(told.record, folder)
    assert image.size == (side, side)
    at = side / 100
    assert image.getpixel((round(10 * at), round(10 * at))) == LIME
    assert image.getpixel((round(50 * at), round(70 * at))) == RED
    assert draw_record(replace(told.record, pictures=()), folder) is None


def test_several_pictures_stand_beside_each_other_with_marks_on_the_first(tmp_path):
    images, folder = (NoiseImage(100, 50), NoiseImage(40, 80, 1), NoiseImage(30, 30, 2)), RunFolder(tmp_path)
    two = Sample("b", images, "Where?", Box((10, 5, 20, 15)), style="answer", split="id")
    image = draw_answer(two, "no box", FRAME)
    assert image.size == (100 + 2 + 40 + 2 + 30, 80)
    assert image.getpixel((10, 10)) == LIME
    assert image.crop((102, 0, 142, 80)).tobytes() == images[1].open().tobytes()
    assert image.getpixel((101, 5)) == image.getpixel((150, 70)) == (255, 255, 255)
    (told,) = predictions(0, "id", [two], make_completions(["no box"], FRAME), {}, [encoded(images, 100)])
    folder.keep_pictures(told.pictures)
    kept = draw_record(told.record, folder)
    assert kept.size == image.size
    assert kept.getpixel((10, 10)) == LIME
    folder.picture(told.record.pictures[1]).unlink()
    assert draw_record(told.record, folder) is None


def test_a_record_shows_equal_pictures_of_a_sample_as_often_as_the_policy_saw_them(tmp_path):
    images, folder = (NoiseImage(40, 30), NoiseImage(40, 30, 1), NoiseImage(40, 30)), RunFolder(tmp_path)
    still = Sample("still", images, "What moved?", Text("nothing"), style="answer", split="id")
    (told,) = predictions(0, "id", [still], make_completions(["nothing"], FRAME), {}, [encoded(images, 40)])
    folder.keep_pictures(told.pictures)
    assert len(folder.kept_pictures()) == 2
    assert draw_record(told.record, folder).size == draw_answer(still, "nothing", FRAME).size == (3 * 40 + 2 * 2, 30)


def test_of_many_pictures_the_first_are_shown():
    assert draw_answer(sample("?", [NoiseImage(10, 10)] * 20), "3", None).size == (8 * 10 + 7 * 2, 10)


def labelled(label, shape):
    image = Image.new("RGB", (200, 100))
    mark = {"shape": shape, "label": label, "faint": False}
    draw_marks(image, CompletionRecord(0, 0, 0, None, "r", "?", "", "", "stop", size=(200, 100), marks=(mark,)))
    return image


def test_a_label_at_the_right_edge_is_moved_into_the_picture():
    image = labelled("some king", [190, 20, 199, 60])
    assert image.getpixel((170, 24)) == image.getpixel((198, 24)) == RED
    assert labelled("", [190, 20, 199, 60]).getpixel((170, 24)) == (0, 0, 0)


@pytest.mark.parametrize("label", ["\0\n\ud800", "x" * 10_000, " "], ids=["odd", "long", "blank"])
def test_whatever_a_policy_calls_a_box_can_be_drawn(label):
    assert labelled(label, [50, 20, 150, 60]).getpixel((50, 60 - 1)) == RED


def test_a_caption_stands_below_and_ends_somewhere():
    image = Image.new("RGB", (200, 100), "red")
    short, long = (captioned(image, ["Where?", text]) for text in ("there", "\ud800 word" * 1000))
    assert image.size == (200, 100)
    assert short.getpixel((100, 99)) == RED
    assert short.getpixel((199, short.height - 1)) == (255, 255, 255)
    assert 100 < short.height < long.height < 300
