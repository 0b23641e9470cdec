from __future__ import annotations

import io
import json
import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vrft_pl.data import Counting, ReasonJSON
from vrft_pl.data.boxes import image_size
from vrft_pl.data.images import BytesImage, DecodedImage, FileImage, below, decoded, stored_images
from vrft_pl.types import InputError

WIDE = np.zeros((20, 30, 3), dtype=np.uint8)
WIDE[:, :15] = (255, 0, 0)


def saved(image, path, **kwargs):
    image.save(path, **kwargs)
    return FileImage(path, "rows.json, row 7")


def encoded(image, format, **kwargs):
    """The same picture in memory and nowhere else."""
    content = io.BytesIO()
    image.save(content, format, **kwargs)
    return BytesImage(content.getvalue(), "rows.parquet, row 7")


def grid(*rows, dtype=np.uint8):
    return np.array(rows, dtype=dtype)


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
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_picture_stands_upright_and_its_header_agrees(tmp_path, name, orientation, size, red_corner):
    image = saved(Image.fromarray(WIDE), tmp_path / name, exif=exif(orientation))
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


COLOURS = grid([(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 0), (255, 255, 255), (128, 64, 200)])
GREYS = grid([0, 77, 255], [128, 1, 200])


def three(grey):
    return np.stack([grey] * 3, axis=-1)


def with_palette():
    image = Image.fromarray(grid([0, 1, 2], [3, 4, 5])).convert("P")
    image.putpalette(COLOURS.flatten().tolist() + [9] * 750)
    return image


CMYK = grid([(0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0)], [(0, 0, 0, 255), (0, 0, 0, 0), (51, 102, 0, 127)])
CMYK_AS_RGB = grid([(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 0), (255, 255, 255), (102, 77, 128)])


@pytest.mark.parametrize(
    ("image", "format", "expected"),
    [
        pytest.param(Image.fromarray(COLOURS), "PNG", COLOURS, id="rgb"),
        pytest.param(with_palette(), "PNG", COLOURS, id="palette-png"),
        pytest.param(with_palette(), "GIF", COLOURS, id="palette-gif"),
        pytest.param(Image.fromarray(GREYS), "PNG", three(GREYS), id="grey"),
        pytest.param(
            Image.fromarray(grid([(77, 255), (77, 0), (77, 102)])).convert("LA"),
            "PNG",
            grid([(77,) * 3, (255,) * 3, (184,) * 3]),  # 184 = 255 + (77 - 255) * 102 / 255
            id="grey-alpha",
        ),
        pytest.param(
            Image.fromarray(grid([(10, 20, 30, 255), (10, 20, 30, 0), (0, 50, 100, 51)])),
            "WEBP",
            grid([(10, 20, 30), (255, 255, 255), (204, 214, 224)]),  # a fifth of the colour, four fifths of white
            id="rgba",
        ),
        pytest.param(Image.fromarray(GREYS > 100), "PNG", three(255 * (GREYS > 100)), id="bilevel"),
        pytest.param(
            Image.fromarray(grid([0, 255, 256], [0x8040, 0xFEFF, 0xFFFF], dtype=np.uint16)),
            "PNG",
            three(grid([0, 0, 1], [128, 254, 255])),
            id="16-bit",
        ),
        pytest.param(
            Image.fromarray(grid([0, 255, 256], [0x8040, 0xFEFF, 0xFFFF], dtype=np.int32)),
            "TIFF",
            three(grid([0, 0, 1], [128, 254, 255])),
            id="16-bit-in-32",
        ),
        pytest.param(
            Image.fromarray(grid([-5, 0, 1000], [50_000, 150_000, 200_000], dtype=np.int32)),
            "TIFF",
            three(grid([0, 0, 1], [64, 191, 255])),
            id="32-bit",
        ),
        pytest.param(
            Image.fromarray(grid([0, 0.5, 1], [-3, 0.2, np.nan], dtype=np.float32)),
            "TIFF",
            three(grid([0, 128, 255], [0, 51, 0])),
            id="fractions",
        ),
        pytest.param(
            Image.fromarray(grid([0, 77, 254], [128, 1.4, -np.inf], dtype=np.float32)),
            "TIFF",
            three(grid([0, 77, 254], [128, 1, 0])),
            id="float-of-8-bits",
        ),
        pytest.param(
            Image.fromarray(grid([0, 65535, 256], [0x8040, 300, 0], dtype=np.float32)),
            "TIFF",
            three(grid([0, 255, 1], [128, 1, 0])),
            id="float-of-16-bits",
        ),
        pytest.param(
            Image.fromarray(grid([0, 1e6, 4e5], [np.inf, 2e5, 0], dtype=np.float32)),
            "TIFF",
            three(grid([0, 255, 102], [255, 51, 0])),
            id="wide-float",
        ),
        pytest.param(Image.fromarray(CMYK, mode="CMYK"), "TIFF", CMYK_AS_RGB, id="cmyk-tiff"),
    ],
)
@pytest.mark.filterwarnings("error:invalid value encountered in cast:RuntimeWarning")
def test_every_pixel_of_every_mode_is_right(image, format, expected):
    lossless = {"lossless": True} if format == "WEBP" else {}
    opened = encoded(image, format, **lossless).open()
    assert opened.mode == "RGB"
    assert np.array_equal(np.asarray(opened), expected)


def test_a_cmyk_jpeg_in_which_adobe_stored_ink_upside_down_has_its_colours():
    image = Image.fromarray(CMYK.repeat(16, axis=0).repeat(16, axis=1), mode="CMYK")
    stored = encoded(image, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in stored.data
    pixels = np.asarray(stored.open()).astype(int)[8::16, 8::16]
    assert np.abs(pixels - CMYK_AS_RGB).max() <= 3


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_an_animation_shows_its_first_frame(format):
    first, second = Image.new("RGB", (4, 3), (255, 0, 0)), Image.new("RGB", (4, 3), (0, 0, 255))
    lossless = {"lossless": True} if format == "WEBP" else {}
    stored = encoded(first, format, save_all=True, append_images=[second], duration=50, **lossless)
    assert Image.open(io.BytesIO(stored.data)).n_frames == 2
    assert np.array_equal(np.asarray(stored.open()), np.asarray(first))
    assert stored.size() == (4, 3)


def test_a_transparent_grey_of_16_bits_is_white():
    image = Image.fromarray(grid([0, 500, 0xFFFF], dtype=np.uint16))
    content = encoded(image, "PNG").data
    chunk = b"tRNS" + (500).to_bytes(2, "big")
    at = content.index(b"IDAT") - 4
    chunk = (2).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    opened = BytesImage(content[:at] + chunk + content[at:], "row 7").open()
    assert np.array_equal(np.asarray(opened), three(grid([0, 255, 255])))


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


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>404</html>", id="html"),
        pytest.param(b"P6 60000 60000 255\n", id="decompression-bomb"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n", id="program"),
    ],
)
def test_bytes_that_are_no_picture_are_named_with_their_row(content):
    image = BytesImage(content, "rows.parquet, row 7")
    for read in (image.open, image.size):
        with pytest.raises(InputError, match="row 7: expected a picture, but its content can't be read as one"):
            read()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_bytes_that_end_too_early_are_damaged(format):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), format, exif=exif(6))
    image = BytesImage(whole.data[: len(whole.data) - 3000], "row 7")
    with pytest.raises(InputError, match="row 7: expected a (whole )?picture, but its content (is damaged|can't be)"):
        image.open()


def test_a_header_that_promises_too_much_is_refused_where_it_is_read(monkeypatch):
    image = encoded(Image.new("RGB", (100, 100)), "ICO", sizes=[(100, 100)])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="row 7: expected a (whole )?picture, but its content"):
        image.open()


def test_a_picture_in_memory_is_as_one_in_a_file(tmp_path):
    image = encoded(Image.fromarray(WIDE), "PNG", exif=exif(6))
    (tmp_path / "a.png").write_bytes(image.data)
    file = FileImage(tmp_path / "a.png", "row 7")
    assert image.size() == file.size() == image_size(image) == (20, 30)
    assert image.open().tobytes() == file.open().tobytes()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_picture_in_memory_travels_to_another_process_and_does_not_fill_a_message(kind):
    content = encoded(Image.fromarray(WIDE), "PNG").data
    image = BytesImage(kind(content), "row 7")
    assert pickle.loads(pickle.dumps(image)) == image
    assert repr(image) == "BytesImage(owner='row 7')"


PICTURE = encoded(Image.fromarray(WIDE), "PNG").data


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(PICTURE, [PICTURE], id="bytes"),
        pytest.param("a.png", ["root/a.png"], id="path"),
        pytest.param({"bytes": PICTURE, "path": "a.png"}, [PICTURE], id="bytes-before-path"),
        pytest.param({"bytes": None, "path": "a.png"}, ["root/a.png"], id="object-with-path"),
        pytest.param({"path": "a.png"}, ["root/a.png"], id="object-with-path-alone"),
        pytest.param([PICTURE, "a.png", {"bytes": PICTURE}], [PICTURE, "root/a.png", PICTURE], id="list"),
        pytest.param([], [], id="empty-list"),
    ],
)
def test_pictures_are_stored_in_several_ways(value, expected):
    images = stored_images(value, Path("root"), "row 7")
    assert [i.path.as_posix() if isinstance(i, FileImage) else i.data for i in images] == expected
    assert {image.owner for image in images} <= {"row 7"}


@pytest.mark.parametrize(
    "value", [None, "", b"", 5, {}, {"bytes": None, "path": None}, {"bytes": 5}, [[]], ["a", None]]
)
def test_what_stores_no_picture_is_named_with_its_row(value):
    with pytest.raises(InputError, match="row 7: expected `photo` to be a picture, a path, or a list of them, but got"):
        stored_images(value, Path("root"), "row 7", "photo")


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


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    assert FileImage(tmp_path / "a.png", "row 7", most_pixels=600).open().size == (30, 20)
    for read in (FileImage.open, FileImage.size):
        with pytest.raises(
            InputError, match="row 7: expected a picture of at most 599 pixels, but .* has 30 x 20. Make"
        ):
            read(FileImage(tmp_path / "a.png", "row 7", most_pixels=599))


def test_a_pipe_is_no_picture_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(InputError, match="row 7: expected a picture, but .*a.png can't be read as one"):
        FileImage(tmp_path / "a.png", "row 7").open()


@pytest.mark.parametrize("path", ["a.png", "b/../a.png", "../root/a.png", "{root}/a.png", "..a/b.png"])
def test_a_path_below_its_root_is_taken(path, tmp_path):
    path = path.format(root=tmp_path / "root")
    assert below(tmp_path / "root", path, "row 7") == tmp_path / "root" / path


@pytest.mark.parametrize("path", ["../a.png", "b/../../a.png", "/etc/hostname", "../root2/a.png", "{root}2/a.png"])
def test_a_path_that_leads_out_of_its_root_is_refused(path, tmp_path):
    path = path.format(root=tmp_path / "root")
    with pytest.raises(
        InputError, match="row 7: expected a picture in .*root, but '.*' leads out of it. Name a folder"
    ):
        below(tmp_path / "root", path, "row 7")
    assert below(Path("/"), "/etc/hostname", "row 7") == Path("/etc/hostname")
