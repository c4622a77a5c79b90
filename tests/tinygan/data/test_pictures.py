"""idx files and folders of pictures, written by hand: what is read, and one line for each way they can be wrong."""

import gzip
import os
import struct

import numpy as np
import pytest
from data_files import PIXELS, error_of, idx, save, shown
from PIL import Image

from tinygan.data import load

RNG = np.random.default_rng(7)


# ---- idx ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["a.idx", "train-images-idx3-ubyte", "x.idx3-ubyte", "a.idx.gz", "a.gz", "b.idx"])
def test_idx_pixels(tmp_path, name):
    # Gzip is told by its first bytes, whatever the name: b.idx is gzipped without saying so.
    path = tmp_path / name
    path.write_bytes(gzip.compress(idx(), mtime=0) if name.endswith("gz") or name == "b.idx" else idx())
    data = load(path)
    np.testing.assert_array_equal(shown(data)[..., 0], PIXELS)
    assert data.name == name and load(str(path), size=8).codec.shape == (8, 8, 1)


@pytest.mark.parametrize(("content", "says"), [
    (b"", "too short"), (idx()[:3], "too short"), (idx()[:15], "too short"), (idx()[:-1], "promises"),
    (idx() + b"x", "promises"), (idx(magic=0x802), "expected 0x803"), (idx(magic=0xD03), "expected 0x803"),
    (struct.pack(">2I", 0x801, 3) + b"123", "labels"), (struct.pack(">4I", 0x803, *[2**32 - 1] * 3), "promises"),
    (idx(PIXELS[:1]), "at least 2"), (idx(PIXELS[:0]), "at least 2"), (idx(PIXELS[:, :0]), "at least 1 pixel"),
    (gzip.compress(idx(), mtime=0)[:-9], "gzip"), (b"\x1f\x8b\x08rubbish", "gzip"),
    (gzip.compress(idx()[:-1], mtime=0), "promises"),
])
def test_bad_idx(tmp_path, content, says):
    (tmp_path / "a.idx").write_bytes(content)
    assert says in error_of(load, tmp_path / "a.idx")


# ---- a folder -------------------------------------------------------------------------------------------------------

def test_folder_of_equal_squares_keeps_size_and_grey(tmp_path):
    squares = RNG.integers(0, 256, (3, 9, 9), dtype=np.uint8)
    for name, square in zip("cab", squares, strict=True):
        save(square, tmp_path / f"{name}.png")
    data = load(tmp_path)
    np.testing.assert_array_equal(shown(data)[..., 0], squares[[1, 2, 0]])  # sorted by name
    assert data.notes == () and data.name == tmp_path.name


def test_folder_of_mixed_modes_becomes_rgb(tmp_path):
    grey, rgb = RNG.integers(0, 256, (6, 6), dtype=np.uint8), RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    save(grey, tmp_path / "a.png")
    (tmp_path / "deeper").mkdir()
    save(rgb, tmp_path / "deeper" / "b.bmp")
    data = load(tmp_path)
    np.testing.assert_array_equal(shown(data), np.stack([grey[..., None].repeat(3, axis=2), rgb]))
    assert data.notes == ("1 of 2 pictures are grey; the others are not, so all are read in colour",)


def test_grey_stored_in_colour_is_grey(tmp_path):
    """One JPEG saved as RGB among grey pictures, as in a copy of the ORL faces, does not make a set of faces a coloured one."""
    greys = RNG.integers(0, 256, (2, 6, 6), dtype=np.uint8)
    save(greys[0], tmp_path / "a.pgm")
    save(greys[1][..., None].repeat(3, axis=2), tmp_path / "b.png")
    data = load(tmp_path)
    np.testing.assert_array_equal(shown(data), greys[..., None])
    assert data.notes == ()
    coloured = np.array(greys[1][..., None].repeat(3, axis=2))
    coloured[5, 5, 1] ^= 1
    save(coloured, tmp_path / "c.png")  # a single pixel of colour, in the last bit
    assert shown(load(tmp_path)).shape == (3, 6, 6, 3)


@pytest.mark.parametrize(("mode", "channels", "pixel", "expected"), [
    ("1", 1, 1, 255), ("L", 1, 77, 77), ("LA", 1, (10, 0), 255), ("LA", 1, (10, 255), 10), ("P", 1, 0, None),
    ("RGBA", 1, (9, 8, 7, 0), 255), ("RGBA", 3, (9, 8, 7, 255), (9, 8, 7)), ("RGB", 3, (5, 6, 7), (5, 6, 7)),
    ("I;16", 1, 257 * 200, 200),
])
def test_modes(tmp_path, mode, channels, pixel, expected):
    for name in "ab":
        Image.new(mode, (4, 4), pixel).save(tmp_path / f"{name}.png")
    pictures = shown(load(tmp_path))
    assert pictures.shape == (2, 4, 4, channels)
    assert expected is None or (pictures == expected).all()


def test_cmyk_and_palette_with_transparency(tmp_path):
    Image.new("CMYK", (4, 4), (0, 0, 0, 255)).save(tmp_path / "a.jpg")
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([200, 100, 50] * 256)
    palette.save(tmp_path / "b.png", transparency=bytes([0] * 256))
    pictures = shown(load(tmp_path))
    assert pictures[0].max() < 10 and (pictures[1] == 255).all()


@pytest.mark.parametrize(("size", "side"), [(None, 64), (12, 12)])
def test_other_shapes_are_cropped_to_the_middle_and_resized(tmp_path, size, side):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200  # the central square
    save(wide, tmp_path / "a.png")
    save(wide.T.copy(), tmp_path / "b.png")
    pictures = shown(load(tmp_path, size=size))
    assert pictures.shape == (2, side, side, 1)
    assert (pictures == 200).all()


def test_exif_rotation_is_applied(tmp_path):
    half = np.zeros((8, 8), np.uint8)
    half[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise: the white top comes to stand on the right
    for name in "ab":
        save(half, tmp_path / f"{name}.png", exif=exif)
    assert (shown(load(tmp_path))[:, :, 4:] == 255).all()


def test_what_is_no_picture_is_skipped_and_told(tmp_path):
    for name in "abc":
        save(PIXELS[0], tmp_path / f"{name}.png")
    whole = (tmp_path / "c.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden").write_text("")
    data = load(tmp_path)
    assert len(data.x) == 3
    assert data.notes[0].startswith("1 file(s) that are not pictures")
    assert data.notes[1].startswith("2 unreadable picture(s)") and "broken.png" in data.notes[1]


def test_bad_folders(tmp_path):
    assert "no pictures" in error_of(load, tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert "no pictures" in error_of(load, tmp_path)
    (tmp_path / "a.png").write_text("x")
    assert "none of its 1 pictures" in error_of(load, tmp_path)
    save(PIXELS[0], tmp_path / "b.png")
    message = error_of(load, tmp_path)
    assert "holds 1 image" in message and "1 unreadable" in message


def test_one_picture_is_not_a_set(tmp_path):
    save(PIXELS[0], tmp_path / "b.png")
    assert "give the folder" in error_of(load, tmp_path / "b.png")


def test_float_pictures_are_unreadable(tmp_path):
    for name in "ab":
        save(np.ones((4, 4), np.float32), tmp_path / f"{name}.tiff")
    assert "float" in error_of(load, tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_folder_without_permission(tmp_path):
    (tmp_path / "in").mkdir(mode=0)
    try:
        assert "Permission denied" in error_of(load, tmp_path / "in")
    finally:
        (tmp_path / "in").chmod(0o700)
