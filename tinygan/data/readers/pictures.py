"""A folder of pictures, read by Pillow into one array."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..reading import progress, require_memory, require_networks
from ..units import DataError
from .decoding import decoding
from .folders import MADE_HERE, list_folder, named

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
DEFAULT_SIZE = 64  # pixels a side
NEEDED = 14  # bytes of memory a number: uint8 twice, and float32 with the copies made on the way
GREY_MODES = ("1", "L", "LA", "La")


class Pictures(NamedTuple):
    """The pictures of a folder, (n, S, S, C) uint8, and notes on what was left out or changed.

    size: S where it was chosen here, as the pictures have no common one; else None. whites: the numbers of the files that became
    255: that of each depth.
    """

    pixels: np.ndarray
    notes: tuple[str, ...]
    size: int | None = None
    whites: tuple[int, ...] = (255,)


class _Head(NamedTuple):
    """What the header of a picture tells."""

    path: Path
    size: tuple[int, int]  # width, height
    mode: str
    further: bool  # pages or frames behind the first
    made_here: bool

    @property
    def deep(self) -> bool:
        """Whether its greys have 16 or 32 bits."""
        return self.mode.startswith("I")


def read_folder(folder: Path, size: int | None) -> Pictures:
    """Return every picture in `folder` and below, sorted by path.

    C is 1 if all pictures are grey, stored as such or as three equal channels, otherwise 3. Transparency is laid over white, greys
    of 16 or 32 bits are scaled to 8, EXIF rotation is applied, further pages and frames are left out. Each picture is cropped to
    its central square and resized to S = `size`; without a `size`, S is the common side if all are squares of one size, otherwise
    64. Headers come first: a folder that is too large is refused before a pixel is read. Raises DataError.
    """
    paths, left_out = list_folder(folder, IMAGE_SUFFIXES)
    pictures = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES]
    if not pictures:
        raise DataError(f"{folder}: no pictures in this folder; it needs at least 2 of {' '.join(IMAGE_SUFFIXES)}. "
                        f"{' '.join(left_out)}")
    failures: list[str] = []
    found = [head for path in pictures if (head := _tried(_read_head, path, failures))]
    heads = [head for head in found if not head.made_here]
    common = _common_side(heads)
    side = size or common or DEFAULT_SIZE
    _require_memory(folder, heads, side)
    white = _white(folder, heads, failures)
    arrays: list[np.ndarray] = []
    for i, head in enumerate(heads):
        progress(folder, i, "pictures", len(heads))
        array = _tried(lambda path: _read_picture(path, side, white), head.path, failures)
        if array is not None:
            arrays.append(array)
    own = tuple(str(head.path.relative_to(folder)) for head in found if head.made_here)
    notes = (*_left_out(len(paths) - len(pictures), failures), *left_out, *_made_here(own))
    if not arrays:
        first = f"; first: {min(failures)}" if failures else ""
        raise DataError(f"{folder}: none of its {len(pictures)} pictures can be read{first}. {' '.join(notes[bool(failures):])}")
    pixels, mixed = _stack(arrays)
    chosen = () if size or common else _sizes_note(heads, side)
    whites = tuple({255} if white is None else {white} if all(head.deep for head in heads) else {255, white})
    notes = (*notes, *mixed, *chosen, *_pages_note(folder, heads), *_white_note(white))
    return Pictures(pixels, notes, side if chosen else None, whites)


def _tried(read: Callable[[Path], Any], path: Path, failures: list[str]) -> Any:
    """Return what `read` makes of a picture, or None, with its reason among the failures."""
    try:
        return read(path)
    except DataError as error:
        failures.append(str(error))
        return None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a picture as Pillow's image. Raises DataError for every failure inside."""
    from PIL import Image, UnidentifiedImageError

    logger = logging.getLogger("PIL")  # without a handler Python prints to stderr what a decoder logs before it raises
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    with decoding(path, "picture"):
        try:
            image = Image.open(path)
        except UnidentifiedImageError:
            raise DataError(f"{path}: its content is no picture that Pillow knows") from None
        except Image.DecompressionBombError as error:
            raise DataError(f"{path}: {str(error).split(',')[0]}: that many pixels are not decoded; make it smaller") from None
        with image:
            yield image


def _read_head(path: Path) -> _Head:
    """Read a picture's header. Raises DataError."""
    with _opened(path) as image:
        further = False
        with suppress(Exception):  # a damaged second page is none of the first one's business
            further = bool(getattr(image, "is_animated", False))
        software, comment = image.info.get("Software", ""), image.info.get("comment", b"")
        made_here = str(software) == MADE_HERE or comment == MADE_HERE.encode()
        return _Head(path, image.size, image.mode, further, made_here)


def has_further_pages(path: Path) -> bool:
    """Return whether a file of pictures has pages or frames behind the first. Raises DataError for one that is no picture."""
    return _read_head(path).further


def _common_side(heads: Sequence[_Head]) -> int | None:
    """Return the side of the pictures if all are squares of one size, else None."""
    sizes = {head.size for head in heads}
    width, height = sizes.pop() if len(sizes) == 1 else (0, 1)
    return width if width == height else None


def _require_memory(folder: Path, heads: Sequence[_Head], side: int) -> None:
    channels = 1 if all(head.mode in GREY_MODES or head.deep for head in heads) else 3
    largest = max((4 * head.size[0] * head.size[1] for head in heads), default=0)
    needed = NEEDED * len(heads) * side * side * channels + largest
    smaller = f"give --size {DEFAULT_SIZE}, which makes them smaller" if side > DEFAULT_SIZE else "give a smaller --size"
    require_networks(folder, (side, side, channels), smaller)
    require_memory(folder, needed, f"its {len(heads):,} pictures of {side}x{side}", f"{smaller}, or use fewer pictures")


def _white(folder: Path, heads: Sequence[_Head], failures: list[str]) -> int | None:
    """Return what white is in pictures whose greys have 16 or 32 bits: all bits set that the brightest pixel needs; None without.

    So 12 bits of 16 are read as 12 bits, and 0/1 masks as black and white.
    """
    deep = [head.path for head in heads if head.deep]
    brightest = 0
    for i, path in enumerate(deep):
        progress(folder, i, "brightest pixels of pictures", len(deep))
        with suppress(DataError), _opened(path) as image:  # reported when its pixels are read
            brightest = max(brightest, int(np.asarray(image).max()))
    return (1 << brightest.bit_length()) - 1 if brightest > 0 else 0xFFFF if deep else None


def _white_note(white: int | None) -> tuple[str, ...]:
    if white is None or white == 0xFFFF:
        return ()
    return (f"greys of 16 or 32 bits reach no higher than {white:,}, which is taken for white",)


def _read_picture(path: Path, side: int, white: int | None) -> np.ndarray:
    """Return a picture as uint8: (side, side) if it is grey, otherwise (side, side, 3). Raises DataError."""
    from PIL import ImageOps

    with _opened(path) as image:
        return np.array(resized(_opaque(path, ImageOps.exif_transpose(image), white or 0xFFFF), side))


def resized(image, side: int):
    """Return the central square of a Pillow image, resampled to side x side pixels (Lanczos; floats may overshoot)."""
    from PIL import Image

    least = min(image.size)
    left, top = (image.width - least) // 2, (image.height - least) // 2
    # Cropped first: resize(box=...) would mix in pixels from outside the box.
    square = image.crop((left, top, left + least, top + least))
    return square if least == side else square.resize((side, side), Image.Resampling.LANCZOS)


def _opaque(path: Path, image, white: int):
    """Convert a Pillow image of any mode to "L" if it is a grey one, otherwise to "RGB", its transparency laid over white."""
    from PIL import Image

    if image.mode == "F":
        raise DataError(f"{path}: pictures of 32-bit floats have no fixed white; save it as 8 or 16 bit, or all of them as .npy")
    if image.mode.startswith("I"):  # greys of 16 bits and more: convert("L") would clip them at 255
        return Image.fromarray(np.clip(np.rint(np.asarray(image) / (white / 255)), 0, 255).astype(np.uint8))
    target = "L" if image.mode in GREY_MODES else "RGB"
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(target)


def _stack(arrays: list[np.ndarray]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stack pictures to (n, S, S, C), and note where colour would surprise: a coloured one gives all of them three channels."""
    deep = [a if a.ndim == 3 else a[..., None] for a in arrays]
    grey = [bool((a == a[..., :1]).all()) for a in deep]
    if all(grey):
        return np.stack([a[..., :1] for a in deep]), ()
    note = f"{sum(grey)} of {len(grey)} pictures are grey; the others are not, so all are read in colour"
    return np.stack([a.repeat(3 // a.shape[2], axis=2) for a in deep]), (note,) if any(grey) else ()


def _sizes_note(heads: Sequence[_Head], side: int) -> tuple[str, ...]:
    sizes = sorted({head.size for head in heads}, key=lambda size: (size[0] * size[1], size))
    first, last = ("x".join(map(str, size)) for size in (sizes[0], sizes[-1]))
    of = f"pictures of {len(sizes):,} sizes, {first} to {last} pixels," if len(sizes) > 1 else f"pictures of {first} pixels"
    return (f"{of} were cropped to their central squares and resized to {side}x{side}; --size takes another side",)


def _pages_note(folder: Path, heads: Sequence[_Head]) -> tuple[str, ...]:
    further = [str(head.path.relative_to(folder)) for head in heads if head.further]
    if not further:
        return ()
    return (f"{named(further)}: of several pages or frames the first alone was read; save each as a picture to use all",)


def _made_here(own: Sequence[str]) -> tuple[str, ...]:
    return (f"{named(own)}: made by tinygan, left out",) if own else ()


def _left_out(others: int, failures: list[str]) -> tuple[str, ...]:
    """Return notes on `others`, the number of files that are no pictures, and on pictures that could not be read."""
    notes = []
    if others:
        notes.append(f"{others} file(s) that are not pictures were skipped")
    if failures:
        notes.append(f"{len(failures)} unreadable picture(s) were skipped; first: {min(failures)}")
    return tuple(notes)
