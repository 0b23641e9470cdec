from __future__ import annotations

import json
import pickle
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from vrft_pl.data import Counting, VideoJSON
from vrft_pl.data.videos import Reel
from vrft_pl.policy.codec import Codec
from vrft_pl.types import InputError

av = pytest.importorskip("av", reason="needs the extra `video`")
ROW = {"video": "a.mp4", "problem": "How often?", "answer": 3}


def film(path, count=30, codec="libx264", fps=10, gop=12, size=(64, 48)):
    """Frames of one grey each, 8 brighter than the one before; the left half of the first is black."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", gop
        for i in range(count):
            pixels = np.full((size[1], size[0], 3), 8 * i + 8, np.uint8)
            pixels[:, : size[0] // 2] = 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    film(folder / "a.mp4")
    return folder


def source(folder, *rows, **kwargs):
    (folder / "rows.json").write_text(json.dumps(rows or [ROW]))
    return VideoJSON(str(folder / "rows.json"), **kwargs)


def numbers(images):
    """Which frames of the film they are, by how bright they are."""
    return [round((int(np.asarray(image.open())[5, -5, 0]) - 8) / 8) for image in images]


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"frames": 4}, [0, 10, 19, 29]),
        ({"frames": 1}, [15]),
        ({"frames": 99, "fps": 2}, [0, 6, 12, 17, 23, 29]),
        ({"frames": 3, "fps": 2}, [0, 14, 29]),
        ({"frames": 99}, [*range(30)]),
    ],
)
def test_frames_are_spread_from_the_first_to_the_last(folder, kwargs, expected):
    (record,) = source(folder, **kwargs)
    assert numbers(record.images) == expected
    assert record.problem == "How often?"


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")])
def test_every_container_gives_the_same_frames(tmp_path, name, codec):
    film(tmp_path / name, codec=codec)
    (record,) = source(tmp_path, ROW | {"video": name}, frames=4)
    assert numbers(record.images) == [0, 10, 19, 29]


def test_frames_of_another_thread_or_order_are_the_same(folder):
    one, other = (source(folder, frames=n)[0].images for n in (4, 3))
    assert numbers([*one, *other, *one[::-1]]) == [0, 10, 19, 29, *numbers(other), 29, 19, 10, 0]
    assert numbers(pickle.loads(pickle.dumps(one))) == [0, 10, 19, 29]


@pytest.mark.parametrize(
    ("problem", "times", "expected"),
    [
        ("<video>\nHow often?", False, "How often?"),
        ("How often?", True, "0.0 s <image> 2.9 s <image> How often?"),
        ("In <video>, how often?", False, "In <image><image> , how often?"),
        ("In <video>?", True, "In 0.0 s <image> 2.9 s <image> ?"),
    ],
)
def test_frames_stand_where_the_question_has_the_video(folder, problem, times, expected):
    (record,) = source(folder, ROW | {"problem": problem}, frames=2, times=times)
    assert record.problem == expected


def test_a_film_that_a_phone_has_turned_stands_upright(tmp_path):
    content = film(tmp_path / "a.mp4").read_bytes()
    upright, turned = ([1, 0, 0, 1], [0, 1, -1, 0])
    for matrix in (upright, turned):
        a, b, c, d = (value.to_bytes(4, "big", signed=True) for value in (v << 16 for v in matrix))
        rows = a + b + bytes(4) + c + d
        if matrix == upright:
            place = content.index(rows, content.index(b"tkhd"))
    (tmp_path / "a.mp4").write_bytes(content[:place] + rows + content[place + len(rows) :])
    image = source(tmp_path, frames=1)[0].images[0]
    assert image.size() == image.open().size == (48, 64)
    assert image.open().getpixel((24, 5))[0] < 16 < image.open().getpixel((24, 60))[0]


def test_a_row_with_pictures_beside_rows_with_videos_is_read_as_it_is(folder):
    Image.new("RGB", (8, 6)).save(folder / "still.png")
    still = {"image": "still.png", "problem": "<image>How many?", "solution": 2}
    film, picture = source(folder, ROW, still, frames=2)
    assert (len(film.images), len(picture.images)) == (2, 1)
    assert (picture.problem, picture.answer, picture.images[0].open().size) == ("How many?", 2, (8, 6))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"video": None}, "expected `video` to be a path, but got None"),
        ({"video": "none.mp4"}, "expected a video at .*none.mp4, but there is no such file"),
        ({"video": "../a.mp4"}, "leads out of it"),
        ({"video": "rows.json"}, "expected a whole video, but .*rows.json can't be read"),
        ({"video": "empty.mp4"}, "expected a whole video, but .*empty.mp4 can't be read"),
        ({"video": "cut.mp4"}, "expected a whole video, but .*cut.mp4 can't be read"),
        ({"video": "none.mkv"}, "expected a whole video, but .*none.mkv can't be read: End of file"),
        ({"video": "sound.wav"}, "expected a whole video, but .*sound.wav can't be read: it has no pictures"),
        ({"problem": "<video>"}, "expected a value for `problem`"),
        ({"problem": "<video> or <video>?"}, "expected a question about one video and no picture"),
        ({"problem": "<image>?"}, "expected a question about one video and no picture"),
        ({"image": "a.png"}, "expected a question about one video and no picture"),
    ],
)
def test_a_video_that_is_broken_is_a_bad_row(folder, change, said):
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "cut.mp4").write_bytes((folder / "a.mp4").read_bytes()[:1500])
    with av.open(str(folder / "none.mkv"), "w") as container:
        container.add_stream("libx264", rate=10)
        container.start_encoding()
    with av.open(str(folder / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(InputError, match=f"rows.json, row 0: .*{said}"):
        source(folder, ROW | change)[0]


def test_a_video_that_ends_too_early_is_skipped_with_its_reason(folder, tmp_path):
    film(tmp_path / "a.mp4")
    whole = film(tmp_path / "b.mkv", codec="mpeg4").read_bytes()
    (tmp_path / "b.mkv").write_bytes(whole[: len(whole) // 2])
    rows = source(tmp_path, ROW, ROW | {"video": "gone.mp4"}, ROW)
    with pytest.warns(UserWarning, match="Skipped 1 of 3 rows of train/train. First: .*row 1: expected a video at"):
        assert len(Counting(train=rows, on_bad_row="skip").datasets("train")["train"]) == 2
    short = source(tmp_path, ROW | {"video": "b.mkv"}, frames=99)[0]
    assert 5 < len(short.images) < 25
    assert numbers(short.images) == [*range(len(short.images))]


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize(("total", "side"), [(None, (4, 3)), (3 * 32 * 24, (2, 2))], ids=["whole", "smaller"])
def test_frames_take_tokens_as_pictures_do_each_behind_its_time(folder, family, total, side, request):
    """Of 16 pixels a side; the frames of 64 x 48 pixels may have a quarter of their pixels in all."""
    codec = Codec(request.getfixturevalue(family))
    task = Counting(train=source(folder, frames=3, times=True), total_pixels=total, style="answer")
    sample = task.datasets("train")["train"][0]
    ids = codec.encode([sample]).items[0].inputs["input_ids"][0]
    assert int((ids == codec.config.image_token_id).sum()) == 3 * side[0] * side[1]
    text = codec.tokenizer.decode(ids, skip_special_tokens=True)
    assert [part in text for part in ("0.0 s ", "1.4 s ", "2.9 s ", "How often?")] == [True] * 4


def test_a_frame_has_the_limit_of_its_task(folder):
    with pytest.raises(InputError, match=r"expected a video of at most 100 pixels, but .*a.mp4 has 64 x 48"):
        Counting(train=source(folder), most_pixels=100).datasets("train")


def test_without_pyav_one_line_says_how_to_install_it(folder, monkeypatch):
    monkeypatch.setattr("vrft_pl.data.videos.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"PyAV for `VideoJSON`, but it is not installed. .* 'vrft_pl\[video\]'"):
        source(folder)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"frames": 0}, "`frames` to be at least 1, but got 0"),
        ({"fps": 0.0}, "`fps` to be above 0 frames a second, but got 0.0"),
        ({"fps": float("nan")}, "`fps` to be above 0 frames a second, but got nan"),
    ],
)
def test_options_out_of_range_are_refused(folder, kwargs, said):
    with pytest.raises(ValueError, match=f"Expected {said}"):
        source(folder, **kwargs)


def test_frames_at_uneven_times_are_spread_over_time():
    reel = Reel((0, 1, 2, 3, 50, 100), (0,), Fraction(1, 10), (4, 4))
    assert reel.spread(3, None) == (0, 50, 100)
    assert reel.spread(5, None) == (0, 3, 50, 100)


def test_enormous_pictures_are_refused_before_one_is_decoded(tmp_path, monkeypatch):
    film(tmp_path / "wide.mp4", count=1)
    monkeypatch.setattr("vrft_pl.data.videos.MOST_PIXELS", 64 * 48 - 1)
    monkeypatch.setattr("vrft_pl.data.videos.upright", lambda frame: pytest.fail("a frame was decoded"))
    with pytest.raises(InputError, match="wide.mp4 can't be read: its pictures have 64 x 48 pixels, above 3,071"):
        source(tmp_path, ROW | {"video": "wide.mp4"})[0]
