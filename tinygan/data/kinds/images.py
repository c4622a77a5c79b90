"""Images: NHWC, uint8 for users and [-1, 1] for networks; from idx files, folders of pictures and arrays."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tinygan.options import Options, option

from .. import readers
from ..batches import Dataset
from ..comparison import Comparison
from ..reading import require_memory, require_networks
from ..units import Codec, DataError, is_count, is_finite

if TYPE_CHECKING:
    from matplotlib.figure import Figure


SMALL = 127  # whole numbers that go no higher fill less than half of 8 bits, so their largest is taken for white
RESIZED = 12  # bytes of memory a number of resized images: float32, and the copies made on the way
OVERSHOOT = 1e-3  # how far rounding and resampling may have brought floats out of their range
FAR = 1.25  # encoded pixels from here on are in other units than a run's, rather than a little brighter


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """The options with which images are read."""

    title = "Data"

    size: int | None = option(None, help="Resize images to this many pixels a side. Default: none are resized.",
                              at_least=2, at_most=4096)


@dataclass(frozen=True)
class Images(Codec):
    """Images (n, H, W, C). User units are whole numbers in [0, white], encoded is user / (white / 2) - 1.

    white: 255 for pictures and floats; for arrays of whole numbers that go no higher than 127, or higher than 255, their largest.
    Up to 255 the numbers are uint8, above uint16. Pictures that are written or drawn always have 8 bits.

    stored: the numbers of the file, or of the array, that black and white were there: (0, 1) for bools, (0, 1) or (-1, 1) for
    floats, (0, white) for whole numbers. It is () where single pictures were scaled in several ways, and None where nobody knows,
    as in checkpoints of earlier versions. It decides nothing but how other data are brought to this scale.

    The option `size` crops each image to its central square and resizes that to size x size pixels.
    """

    white: int = 255
    stored: tuple[float, ...] | None = field(default=None, compare=False)

    kind, rank, bounded = "images", 3, True
    formats = ("idx (.gz)", "a folder of pictures", *readers.ARRAY_SUFFIXES)
    suffixes = (".idx", ".gz", *readers.IMAGE_SUFFIXES)
    in_folders = readers.IMAGE_SUFFIXES
    arrays = "(n, H, W) or (n, H, W, C) with C from 1 to 4 for images"
    options = ImageOptions
    writes = (".png",)
    defaults: ClassVar = {"steps": 20_000, "batch": 64, "hidden": (256, 512), "z": 64, "r1": 1.0, "decay": 0.5}

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return True for idx files by their name, as in train-images-idx3-ubyte, as MNIST is distributed."""
        return path.is_file() and "idx" in path.name.lower()

    @classmethod
    def read(cls, path: Path, size: int | None = None) -> Dataset:
        """Return the pictures in and below a folder, or the images of an idx file. Raises DataError."""
        if path.is_dir():
            pictures = readers.read_folder(path, size)
            dataset = cls.of_pixels(path.absolute().name, pictures.pixels, notes=pictures.notes, whites=pictures.whites)
            return dataset if pictures.size is None else replace(dataset, chosen={"size": pictures.size})
        if path.suffix.lower() in readers.IMAGE_SUFFIXES:
            if readers.has_further_pages(path):
                raise DataError(f"{path}: pages or frames of one file are not read; save each as a picture in a folder, or all of "
                                f"them as an array (n, H, W) in .npy")
            raise DataError(f"{path}: one picture is not a data set; give the folder with all of them")
        return cls.of_pixels(path.name, readers.read_idx(path, size)[..., None], size)

    @classmethod
    def takes_array(cls, shape: tuple[int, ...]) -> bool:
        """Return True for (n, H, W), (n, H, W, C) with C from 1 to 4, and for (n, C, H, W), which `from_array` explains."""
        return len(shape) == 3 or (len(shape) == 4 and (1 <= shape[3] <= 4 or 1 <= shape[1] <= 4))

    @classmethod
    def from_array(cls, path: Path, array: np.ndarray, size: int | None = None) -> Dataset:
        """Return images from an array (n, H, W) or (n, H, W, C). Raises DataError."""
        if array.ndim == 4 and not 1 <= array.shape[3] <= 4:
            raise DataError(f"{path}: shape {array.shape} looks like channels first; save x.transpose(0, 2, 3, 1)")
        shape = (size or array.shape[1], size or array.shape[2], array.shape[3] if array.ndim == 4 else 1)
        require_networks(path, shape, "give --size 64, which makes them smaller")
        narrow = array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) > 4
        read_as = f"{len(array):,} grey images of {array.shape[1]}x{array.shape[2]}"
        notes = (f"an array {array.shape} is read as {read_as}; one picture in colour would be no data set",) if narrow else ()
        return cls.of_pixels(path.name, array[..., None] if array.ndim == 3 else array, size, notes=notes)

    @classmethod
    def of_pixels(
        cls, name: str, images: np.ndarray, size: int | None = None, labels=None, notes=(), whites: tuple[int, ...] = (255,),
    ) -> Dataset:
        """Return a set of images (n, H, W, C): whole numbers in [0, 65535], bool, or floats in [0, 1] or [-1, 1].

        whites: the numbers of the files that 255 stands for here, where they had other depths. Raises DataError.
        """
        if min(images.shape) < 1 or len(images) < 2:
            raise DataError(f"{name}: holds {len(images)} image(s) of shape {images.shape[1:]}; at least 2 are needed, "
                            f"of at least 1 pixel. {' '.join(notes)}")
        x, white, stored, scaled = _to_unit(name, images)
        if size is not None and x.shape[1:3] != (size, size):
            shape = (size, size, x.shape[3])
            needed, smaller = RESIZED * len(x) * math.prod(shape), "give a smaller --size"
            require_networks(name, shape, smaller)
            require_memory(name, needed, f"its {len(x):,} images of {size}x{size}", smaller)
            x = _resized(x, size)
        labels = None if labels is None else np.asarray(labels, np.int64)
        of_files = stored if whites == (255,) else (0.0, stored[1] * whites[0] / 255) if len(whites) == 1 else ()
        codec = cls(x.shape[1:], white=white, stored=of_files)
        return Dataset(name, codec, np.ascontiguousarray(x), labels=labels, notes=(*notes, *scaled))

    def rate_problem(self) -> str | None:
        problem = super().rate_problem()
        if problem is None and not (is_count(self.white) and self.white <= 0xFFFF):
            problem = f"white is {self.white!r}; images need a whole number from 1 to 65535"
        return problem or self._stored_problem()

    def _stored_problem(self) -> str | None:
        """Return what is wrong with `stored`, or None. It may come from a damaged or foreign file."""
        known = self.stored in (None, ()) or (
            isinstance(self.stored, tuple) and len(self.stored) == 2 and all(map(is_finite, self.stored))
            and self.stored[0] < self.stored[1])
        return None if known else f"stored is {self.stored!r}; images need two numbers, that of black below that of white"

    def brought(self, name: str, theirs: Codec, x: np.ndarray | None) -> tuple[np.ndarray | None, tuple[str, ...]]:
        """Return images at this scale: by the numbers of the files, whatever white was told from each."""
        found, notes = super().brought(name, theirs, x)
        if x is None or not isinstance(theirs, Images):
            return found, notes
        if self.stored is None or theirs.stored is None:  # an earlier version's run: by the numbers in which samples come back
            own, other = (0.0, float(self.white)), (0.0, float(theirs.white))
        elif self.stored and theirs.stored:
            own, other = self.stored, theirs.stored
            if own == other:
                return x, notes
        else:
            raise DataError(f"{name}: cannot be brought to the scale of the run's data, as the pictures of "
                            f"{'the run' if not self.stored else 'this folder'} are of several depths, each scaled in its own way; "
                            f"give pictures of one depth")
        numbers = other[0] + (x.astype(np.float64) + 1) * ((other[1] - other[0]) / 2)
        found = ((numbers - own[0]) / ((own[1] - own[0]) / 2) - 1).astype(np.float32)
        span, scale = f"pixels go from {numbers.min():.6g} to {numbers.max():.6g}", f"black is {own[0]:g} and white {own[1]:g}"
        if np.abs(found).max() > FAR or other[1] <= 1 < own[1]:
            raise DataError(f"{name}: its {span}, and in the run's data {scale}; give data in the same units")
        odd = ", so they are dark" if found.max() <= 0 else ", so they are bright" if found.min() >= 0 else ""
        return found, (*notes, f"{span}, and are measured at the scale of the run's data: {scale}{odd}")

    def to_network(self, user: np.ndarray) -> np.ndarray:
        return user / (self.white / 2) - 1.0

    def to_user(self, x: np.ndarray) -> np.ndarray:
        whole = np.clip(np.rint((x + 1.0) * (self.white / 2)), 0, self.white)
        return whole.astype(np.uint8 if self.white <= 255 else np.uint16)

    def eight_bits(self, user: np.ndarray) -> np.ndarray:
        """Return images in user units as uint8 with white at 255, as pictures are written and drawn."""
        return user if self.white == 255 else np.rint(user * (255 / self.white)).astype(np.uint8)

    def described(self, n: int | None) -> str:
        height, width, channels = self.shape
        colours = {1: "grey", 2: "grey with transparency", 3: "in colour", 4: "in colour with transparency"}
        return f"{n:,} images of {width}x{height} pixels, {colours.get(channels, f'{channels} channels')}"

    def file_bytes(self, suffix: str, user: np.ndarray) -> bytes:
        """Return a PNG with all samples on one near-square sheet (see `contact_sheet`)."""
        return _png(contact_sheet(self.eight_bits(user)))

    def draw(self, pair: Comparison) -> Figure:
        figure, left, right = pair.two_panels()
        for axes, images in ((left, pair.real), (right, pair.fake)):
            sheet = contact_sheet(self.eight_bits(images))
            axes.imshow(sheet[..., 0] if sheet.shape[2] in (1, 2) else sheet, cmap="gray", vmin=0, vmax=255,
                        interpolation="nearest")
            axes.set_axis_off()
        return figure


def _to_unit(name: str, images: np.ndarray) -> tuple[np.ndarray, int, tuple[float, float], tuple[str, ...]]:
    """Return pixels as float32 in [-1, 1], what white is in user units, what black and white were, and notes.

    Floats without a negative value count as [0, 1]. Floats that are all whole numbers, and pass 1, count as whole numbers.
    """
    if images.dtype == bool:
        return images.astype(np.float32) * 2 - 1, 255, (0.0, 1.0), ()
    low, high = float(images.min()), float(images.max())
    floats = images.dtype.kind == "f"
    if floats and not (math.isfinite(low) and math.isfinite(high)):
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(images))[0])
        raise DataError(f"{name}: pixel {list(place)} is {images[place]}; images need finite numbers: replace it, or leave the "
                        f"image out")
    whole = not floats or (high > 1 + OVERSHOOT and bool((images % 1 == 0).all()))
    if whole and low >= 0 and high <= 0xFFFF:
        white = 255 if SMALL < high <= 255 or high == 0 else int(high)
        scaled = () if white == 255 else (f"pixels are whole numbers from {low:g} to {high:g}; {white:,} is taken for white",)
        return images.astype(np.float32) / np.float32(white / 2) - 1, white, (0.0, float(white)), scaled
    for least in (0.0, -1.0):
        if floats and low >= least - OVERSHOOT and high <= 1 + OVERSHOOT:
            over = low < least or high > 1
            clipped = (f"pixels from {low:.9g} to {high:.9g} were clipped to [{least:g}, 1]",) if over else ()
            unit = (np.clip(images, least, 1) if over else images).astype(np.float32)
            return unit * 2 - 1 if least == 0 else unit, 255, (least, 1.0), clipped
    cure = "x / 255" if floats and low >= 0 and 1 < high <= 255 else "(x - x.min()) / (x.max() - x.min())"
    raise DataError(f"{name}: pixels of dtype {images.dtype} from {low:g} to {high:g}; images need whole numbers in "
                    f"[0, 65535], or floats in [0, 1] or [-1, 1], such as {cure}")


def _resized(x: np.ndarray, size: int) -> np.ndarray:
    """Resize (n, H, W, C) float32 to (n, size, size, C), from the central square, channel by channel, kept in [-1, 1]."""
    from PIL import Image

    y = np.empty((len(x), size, size, x.shape[3]), np.float32)
    for i, c in np.ndindex(len(x), x.shape[3]):
        y[i, :, :, c] = readers.resized(Image.fromarray(np.ascontiguousarray(x[i, :, :, c])), size)
    return np.clip(y, -1, 1)


def contact_sheet(images: np.ndarray, gap: int = 2, least: int = 48) -> np.ndarray:
    """Lay out (n, H, W, C) uint8 in reading order on a near-square grey grid with `gap` pixels between them: (rows, cols, C).

    Images smaller than `least` pixels grow by a whole factor, so that 8x8 digits can be seen without any smoothing.
    """
    n, height, width, channels = images.shape
    scale = max(1, math.ceil(least / max(height, width)))
    across = math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    step_y, step_x = height * scale + gap, width * scale + gap
    sheet = np.full((down * step_y + gap, across * step_x + gap, channels), 128, np.uint8)
    if channels in (2, 4):
        sheet[..., -1] = 255  # the gaps are opaque
    for i, image in enumerate(images):
        y, x = gap + i // across * step_y, gap + i % across * step_x
        sheet[y:y + height * scale, x:x + width * scale] = image
    return sheet


def _png(sheet: np.ndarray) -> bytes:
    """Return a sheet (H, W, C), uint8, as the bytes of a PNG. Raises DataError for more than 4 channels."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    if sheet.shape[2] > 4:
        raise DataError(f"a .png has 1 to 4 channels, these images have {sheet.shape[2]}; write .npy")
    buffer = io.BytesIO()
    mark = PngInfo()
    mark.add_text("Software", readers.MADE_HERE)  # by which a folder of data knows that it is no data
    Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet).save(buffer, format="PNG", pnginfo=mark)
    return buffer.getvalue()
