"""WAV files: RIFF, big-endian RIFX and RF64, of plain integers and floats.

SciPy and Python's own `wave` module trust the sizes in the header. Programs that stream leave these at 0 or at their largest, so
the chunks are walked here; what is left to do after that is one np.frombuffer.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..reading import progress, require_memory
from ..units import DataError
from .decoding import decoding
from .folders import MADE_HERE, list_folder, named

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
COMPRESSED = {2: "Microsoft ADPCM", 6: "A-law", 7: "mu-law", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3"}
UNKNOWN_SIZES = 0x7FFFF000  # a size from here on that passes the file's end was written by a program that could not know it
NEEDED = 16  # bytes of memory a value besides the file's own: float64, float32 and the windows, which overlap by half


class Recording(NamedTuple):
    """Mono sound (length,), float32 in [-1, 1], its rate in Hz, and notes on what was changed."""

    sound: np.ndarray
    rate: int
    notes: tuple[str, ...]


class _Layout(NamedTuple):
    """How a WAV file lies on the disk: where its samples are and how they are stored."""

    rate: int
    channels: int
    width: int  # bytes a value
    is_float: bool
    order: str  # "<" or ">"
    start: int
    length: int  # bytes of sound
    streamed: bool  # the header does not say how long the sound is
    made_here: bool

    @property
    def memory(self) -> int:
        """About how many bytes reading it takes."""
        return self.length + NEEDED * (self.length // self.width)


def read_wav(path: Path) -> Recording:
    """Return the sound of a WAV file. Raises DataError.

    The file may hold 8-bit unsigned, 16-, 24- or 32-bit integers, or floats; its channels are averaged. Floats that pass 1 are
    scaled so that their peak is 1, and a note says so. Where the header does not say how long the sound is, it goes
    to the file's end.
    """
    with decoding(path, "WAV file"), open(path, "rb") as file:
        layout = _layout(path, file, path.stat().st_size)
        require_memory(path, layout.memory, f"its {layout.length:,} bytes of sound")
        file.seek(layout.start)
        values = _unit_scale(file.read(layout.length), layout)
    mono = values.reshape(-1, layout.channels).mean(axis=1) if layout.channels > 1 else values
    if not np.isfinite(mono).all():
        raise DataError(f"{path}: sound with NaN or infinity in it cannot be used; cut these samples out or set them to 0")
    streamed = "its header does not say how long it is, as of a program that streams; it was read to the file's end"
    notes = (streamed,) if layout.streamed else ()
    if layout.channels > 1:
        notes += (f"its {layout.channels} channels were averaged to one",)
    peak = float(np.abs(mono).max(initial=0.0))
    if peak == 0 and len(mono):
        notes += ("it is silent throughout",)
    if peak > 1:
        return Recording((mono / peak).astype(np.float32), layout.rate, (*notes, f"its peak of {peak:.3g} was scaled to 1"))
    return Recording(mono.astype(np.float32), layout.rate, notes)


class Recordings(NamedTuple):
    """The recordings in a folder, all of one rate in Hz, and notes on what was left out or changed."""

    sounds: list[np.ndarray]
    rate: int
    notes: tuple[str, ...]


def read_wav_folder(folder: Path) -> Recordings:
    """Return every WAV file in `folder` and below, sorted by path: those of the commonest rate.

    Headers come first: a folder that is too large is refused before any sound is read. Raises DataError.
    """
    paths, left_out = list_folder(folder, (".wav",))
    waves = [path for path in paths if path.suffix.lower() == ".wav"]
    notes = [f"{len(paths) - len(waves)} file(s) that are no sound were skipped"] if len(waves) < len(paths) else []
    failures: list[str] = []
    found = _layouts(waves, failures)
    layouts = {path: layout for path, layout in found.items() if not layout.made_here}
    rate = _commonest([layout.rate for layout in layouts.values()])
    same = [path for path, layout in layouts.items() if layout.rate == rate]
    require_memory(folder, sum(layouts[path].memory for path in same), f"its {len(same):,} files of sound")
    recordings = _recordings(folder, same, failures)
    own = [str(path.relative_to(folder)) for path, layout in found.items() if layout.made_here]
    others = [f"{path.relative_to(folder)} ({layout.rate:,} Hz)" for path, layout in layouts.items() if layout.rate != rate]
    changed = _told_together([(str(path.relative_to(folder)), note) for path, one in recordings.items() for note in one.notes])
    notes += [f"{len(failures)} unreadable file(s) of sound were skipped; first: {min(failures)}"] if failures else []
    notes += [f"{named(own)}: made by tinygan, left out"] if own else []
    notes += [f"{named(others)}: another rate than the {rate:,} Hz of most, left out"] if others else []
    notes += changed
    if not recordings:
        raise DataError(f"{folder}: none of its {len(waves)} files of sound can be read. {'. '.join((*notes, *left_out))}")
    return Recordings([one.sound for one in recordings.values()], rate, (*notes, *left_out))


def _told_together(changed: list[tuple[str, str]]) -> list[str]:
    """Return a note for each kind of change, from pairs of a file and a note on it: that of its first file, and how many more."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for name, note in changed:
        kinds.setdefault(re.sub(r"\d\S*", "", note), []).append((name, note))
    return [f"{found[0][0]}: {found[0][1]}" + (f"; {len(found) - 1:,} more file(s) likewise" if len(found) > 1 else "")
            for found in kinds.values()]


def _layouts(waves: list[Path], failures: list[str]) -> dict[Path, _Layout]:
    """Return the layouts of those WAV files whose headers can be read; the reasons of the others go to `failures`."""
    found = {}
    for path in waves:
        try:
            with decoding(path, "WAV file"), open(path, "rb") as file:
                found[path] = _layout(path, file, path.stat().st_size)
        except DataError as error:
            failures.append(str(error))
    return found


def _recordings(folder: Path, paths: list[Path], failures: list[str]) -> dict[Path, Recording]:
    """Return the sound of those WAV files that can be read; the reasons of the others go to `failures`."""
    found = {}
    for i, path in enumerate(paths):
        progress(folder, i, "files of sound", len(paths))
        try:
            found[path] = read_wav(path)
        except DataError as error:
            failures.append(str(error))
    return found


def _commonest(rates: list[int]) -> int:
    """Return the rate that most files have, the higher one of two that equally many have."""
    return max(Counter(rates).items(), key=lambda item: (item[1], item[0]), default=(0, 0))[0]


def _layout(path: Path, file: BinaryIO, length: int) -> _Layout:
    """Walk over the chunks of an open file of `length` bytes. Raises DataError."""
    head = file.read(12)
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64") or head[8:] != b"WAVE":
        raise DataError(f"{path}: does not begin as a WAV file does; convert it to WAV with 16-bit integers")
    order = ">" if head[:4] == b"RIFX" else "<"
    riff_end = 8 + struct.unpack(f"{order}I", head[4:8])[0]
    form: dict[str, Any] | None = None
    data: tuple[int, int, bool] | None = None
    long_size, made_here, at = None, False, 12
    while (chunk := file.read(8)) and len(chunk) == 8:
        name, size = chunk[:4], struct.unpack(f"{order}I", chunk[4:])[0]
        at += 8
        if name == b"ds64":
            long_size = struct.unpack("<Q", file.read(16)[8:])[0]  # behind the size of the whole file
        elif name == b"fmt ":
            form = _form(path, file.read(min(size, 40)), order)
        elif name == b"LIST" and size < 1000:
            made_here = made_here or b"ISFT" + struct.pack("<I", len(MADE_HERE) + 1) + MADE_HERE.encode() in file.read(size)
        elif name == b"data" and data is None:
            if size == 0xFFFFFFFF and long_size:
                size = long_size
            empty = size == 0 and (riff_end <= at < length or riff_end > 2**32)  # nothing is promised behind the header, or all
            unknown = empty or (at + size > length and size >= UNKNOWN_SIZES)
            if at + size > length and not unknown:
                raise DataError(f"{path}: its WAV header promises {size:,} bytes of sound, and {length - at:,} are there: it is "
                                f"cut short; fetch or export it again")
            size = length - at if unknown else size
            data = (at, size, unknown)
        at += size + size % 2
        if at >= length:
            break
        file.seek(at)
    if form is None or data is None:
        lacks = "description of its format" if form is None else "sound"
        raise DataError(f"{path}: a WAV file without a {lacks}; export it again")
    start, size, streamed = data
    size -= size % (form["width"] * form["channels"])
    return _Layout(**form, order=order, start=start, length=size, streamed=streamed, made_here=made_here)


def _form(path: Path, chunk: bytes, order: str) -> dict[str, Any]:
    """Return rate, channels, width and is_float from a "fmt " chunk. Raises DataError."""
    if len(chunk) < 16:
        raise DataError(f"{path}: the description of its format has {len(chunk)} bytes, a WAV file needs 16; export it again")
    tag, channels, rate, _, block, bits = struct.unpack(f"{order}HHIIHH", chunk[:16])
    if tag == EXTENSIBLE and len(chunk) >= 26:
        tag = struct.unpack(f"{order}H", chunk[24:26])[0]
    if tag not in (PCM, FLOAT):
        known = f", {COMPRESSED[tag]}" if tag in COMPRESSED else ""
        raise DataError(f"{path}: its sound is stored in WAV format {tag:#x}{known}; convert it to plain integers or floats: "
                        f"ffmpeg -i in.wav -c:a pcm_s16le out.wav")
    if rate == 0 or channels == 0:
        raise DataError(f"{path}: a rate of {rate} Hz and {channels} channel(s) cannot be; export it again")
    width = block // channels
    if block % channels or width not in ((4, 8) if tag == FLOAT else (1, 2, 3, 4, 8)) or not 8 * (width - 1) < bits <= 8 * width:
        what = "floats" if tag == FLOAT else "integers"
        raise DataError(f"{path}: {bits}-bit {what} in {block} bytes for {channels} channel(s) are not read; export it with 16-bit "
                        f"integers")
    return {"rate": rate, "channels": channels, "width": width, "is_float": tag == FLOAT}


def _unit_scale(raw: bytes, layout: _Layout) -> np.ndarray:
    """Return stored values as float64, integers scaled to [-1, 1). 8-bit WAV is unsigned around 128."""
    width, order = layout.width, layout.order
    if layout.is_float:
        return np.frombuffer(raw, f"{order}f{width}").astype(np.float64)
    if width == 1:
        return (np.frombuffer(raw, np.uint8) - 128.0) / 128.0
    if width == 3:  # as the high bytes of 32-bit integers
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, slice(1, 4) if order == "<" else slice(0, 3)] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return wide.view(f"{order}i4")[:, 0] / 2.0**31
    return np.frombuffer(raw, f"{order}i{width}") / 2.0 ** (8 * width - 1)
