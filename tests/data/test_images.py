from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from vrft_pl.data import Counting, ReasonJSON
from vrft_pl.data.images import DecodedImage, FileImage, decoded
from vrft_pl.types import InputError

WIDE = np.zeros((20, 30, 3), dtype=np.uint8)
WIDE[:, :15] = (255, 0, 0)


def saved(image, path, **kwargs):
    image.save(path, **kwargs)
    return FileImage(path, "rows.json, row 7")


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize(
    ("orientation", "size", "red_corner"),
    [
        pytest.param(1, (30, 20), (2, 2), id="upright"),
        pytest.param(2, (30, 20), (27, 2), id="mirrored"),
        pytest.param(3, (30, 20), (27, 2), id="upside-down"),
        pytest.param(4, (30, 20), (2, 2), id="flipped"),
        pytest.param(5, (20, 30), (2, 2), id="transposed"),
        pytest.param(6, (20, 30), (2, 2), id="turned-right"),
        pytest.param(7, (20, 30), (2, 27), id="transversed"),
        pytest.param(8, (20, 30), (2, 27), id="turned-left"),
    ],
)
def test_a_picture_stands_upright_and_its_header_agrees(tmp_path, orientation, size, red_corner):
    image = saved(Image.fromarray(WIDE), tmp_path / "a.png", exif=exif(orientation))
    opened = image.open()
    assert opened.size == image.size() == size
    assert opened.getpixel(red_corner) == (255, 0, 0)
    assert opened.getpixel((size[0] - 1 - red_corner[0], size[1] - 1 - red_corner[1])) == (0, 0, 0)


def palette():
    return Image.fromarray(WIDE).convert("P", palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        pytest.param(palette(), "a.png", (255, 0, 0), id="palette"),
        pytest.param(palette(), "a.gif", (255, 0, 0), id="gif"),
        pytest.param(Image.new("L", (4, 4), 77), "a.png", (77, 77, 77), id="grayscale"),
        pytest.param(Image.new("1", (4, 4), 1), "a.png", (255, 255, 255), id="bilevel"),
        pytest.param(Image.new("RGBA", (4, 4), (10, 20, 30, 255)), "a.png", (10, 20, 30), id="opaque"),
        pytest.param(Image.new("RGBA", (4, 4), (10, 20, 30, 0)), "a.png", (255, 255, 255), id="transparent"),
        pytest.param(Image.new("RGBA", (4, 4), (0, 0, 0, 51)), "a.png", (204, 204, 204), id="translucent"),
        pytest.param(Image.new("LA", (4, 4), (0, 0)), "a.png", (255, 255, 255), id="grayscale-transparent"),
        pytest.param(Image.fromarray(np.full((4, 4), 0x8040, np.uint16)), "a.png", (128, 128, 128), id="16-bit-png"),
        pytest.param(Image.fromarray(np.full((4, 4), 0xFFFF, np.uint16)), "a.tif", (255, 255, 255), id="16-bit-tiff"),
        pytest.param(Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "a.tif", (0, 0, 0), id="cmyk"),
    ],
)
def test_any_mode_becomes_rgb(tmp_path, image, name, expected):
    opened = saved(image, tmp_path / name).open()
    assert (opened.mode, opened.size) == ("RGB", image.size)
    assert opened.getpixel((1, 1)) == expected


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    image = palette()
    red = image.getpixel((1, 1))
    opened = saved(image, tmp_path / "a.png", transparency=red).open()
    assert (opened.getpixel((1, 1)), opened.getpixel((29, 1))) == ((255, 255, 255), (0, 0, 0))


def test_a_missing_file_is_named_with_its_row(tmp_path):
    image = FileImage(tmp_path / "none.png", "rows.json, row 7")
    for read in (image.open, image.size):
        with pytest.raises(
            InputError, match="rows.json, row 7: expected a picture at .*none.png, but there is no such"
        ):
            read()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>404</html>", id="html"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="signature-alone"),
        pytest.param(b"P6 60000 60000 255\n", id="decompression-bomb"),
    ],
)
def test_what_is_no_picture_is_named_with_its_row(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    image = FileImage(tmp_path / "a.png", "rows.json, row 7")
    for read in (image.open, image.size):
        with pytest.raises(InputError, match="rows.json, row 7: expected a picture, but .*a.png can't be read as one"):
            read()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_file_that_ends_too_early_is_damaged(tmp_path, name, kept):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    image = saved(Image.fromarray(noise), tmp_path / name)
    content = image.path.read_bytes()
    image.path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=f"rows.json, row 7: expected a whole picture, but .*{name} is damaged"):
        image.open()


@pytest.mark.parametrize("read", ["open", "size"])
def test_a_damaged_header_is_named_with_its_row(tmp_path, read):
    image = saved(Image.fromarray(WIDE), tmp_path / "a.webp", exif=exif(6))
    image.path.write_bytes(image.path.read_bytes().replace(b"MM\0*", b"xM\0*"))
    with pytest.raises(InputError, match="rows.json, row 7: expected a whole picture, but .*a.webp is damaged"):
        getattr(image, read)()


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(InputError, match="row 7: expected a picture, but .* can't be read as one"):
        FileImage(tmp_path, "row 7").open()


def test_a_path_that_no_system_can_hold_is_named_with_its_row(tmp_path):
    with pytest.raises(InputError, match="row 7: expected a picture, but .* can't be read as one"):
        FileImage(tmp_path / "a\0.png", "row 7").size()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "junk", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff\xff\xff"], ids=str
)
def test_broken_exif_does_not_spoil_a_good_picture(tmp_path, junk):
    image = saved(Image.fromarray(WIDE), tmp_path / "a.jpg", exif=junk)
    assert image.size() == image.open().size == (30, 20)


def test_workers_decode_pictures_ahead(tmp_path):
    Image.new("RGB", (8, 6), "red").save(tmp_path / "a.png")
    (tmp_path / "rows.json").write_text(json.dumps([{"image": "a.png", "problem": "?", "answer": 1}]))
    for num_workers, kind in ((0, FileImage), (1, DecodedImage)):
        task = Counting(ReasonJSON(str(tmp_path / "rows.json")), style="answer", num_workers=num_workers)
        (sample,) = next(iter(task.loader(task.datasets("train")["train"], train=True)))
        assert type(sample.images[0]) is kind
        assert sample.images[0].open().getpixel((0, 0)) == (255, 0, 0)


def test_a_picture_that_fails_in_a_worker_fails_with_its_own_message_where_it_is_needed(tmp_path):
    missing = decoded(FileImage(tmp_path / "none.png", "row 3"))
    with pytest.raises(InputError, match="row 3: expected a picture at"):
        missing.open()
