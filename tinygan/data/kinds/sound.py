"""Sound: overlapping windows of a recording, int16 for users and [-1, 1] for networks."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tinygan.options import Options, option

from ..batches import Dataset
from ..comparison import FAKE, REAL, Comparison
from ..readers import MADE_HERE, read_wav, read_wav_folder
from ..reading import require_networks
from ..units import Codec, DataError, is_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN_WINDOWS = 6  # windows on each side of the picture
WINDOW = 1024  # samples, where no option says otherwise


@dataclass(frozen=True, kw_only=True)
class SoundOptions(Options):
    """The options with which sound is read."""

    title = "Data"

    window: int | None = option(None, help=f"Samples in a window of sound. Default: {WINDOW}.", at_least=2)


class Sound(Codec):
    """Mono sound in windows (n, window). User units are int16, encoded is user / 32768; `rate` is in Hz.

    The option `window` is the number of samples in a window (1024). A new one starts every window // 2, and a tail that fills
    no window is dropped.
    """

    kind, rank, bounded = "sound", 1, True
    overlapping = True
    formats = (".wav", "a folder of .wav")
    suffixes = in_folders = (".wav",)
    options = SoundOptions
    writes = (".wav",)
    defaults: ClassVar = {"hidden": (256, 512), "z": 64}

    @classmethod
    def read(cls, path: Path, window: int = WINDOW) -> Dataset:
        """Return the windows of a WAV file, or of those in and below a folder, no window across two files. Raises DataError."""
        require_networks(path, (window,), "give a smaller --window")
        if path.is_dir():
            sounds, rate, notes = read_wav_folder(path)
        else:
            sound, rate, notes = read_wav(path)
            sounds = [sound]
        hop = window // 2
        longest = max(map(len, sounds))
        parts = [np.lib.stride_tricks.sliding_window_view(sound, window)[::hop] for sound in sounds if len(sound) >= window]
        if sum(map(len, parts)) < 2:
            of = f"{longest} samples are too short" if len(sounds) == 1 else f"the longest of its files has {longest} samples"
            raise DataError(f"{path}: {of}; two windows of {window} need {window + hop}, so give a longer file or a smaller "
                            f"--window")
        if short := len(sounds) - len(parts):
            notes = (*notes, f"{short:,} file(s) shorter than a window of {window:,} samples were left out")
        windows = np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)
        return Dataset(path.absolute().name, cls((window,), rate=rate), windows, notes=notes, chosen={"window": window})

    def rate_problem(self) -> str | None:
        if is_count(self.rate) and self.rate < 2**31:  # a WAV file has 32 bits for the bytes of a second
            return None
        return f"rate is {self.rate!r}; sound needs a positive integer (Hz), below 2^31"

    def to_network(self, user: np.ndarray) -> np.ndarray:
        return user / 32768.0

    def to_user(self, x: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(x * 32768.0), -32768, 32767).astype(np.int16)

    def file_bytes(self, suffix: str, user: np.ndarray) -> bytes:
        """Return a WAV file of the windows one after the other, 16-bit mono."""
        from scipy.io import wavfile

        buffer = io.BytesIO()
        wavfile.write(buffer, self.rate, user.reshape(-1))
        return _marked(buffer.getvalue())

    def described(self, n: int | None) -> str:
        return f"{n:,} windows of {self.shape[0]:,} samples ({self.shape[0] / self.rate:.3g} s each) at {self.rate:,} Hz"

    def draw(self, pair: Comparison) -> Figure:
        figure, left, right = pair.two_panels()
        milliseconds = 1000 * np.arange(self.shape[0]) / self.rate
        for axes, windows, colour in ((left, pair.real, REAL), (right, pair.fake, FAKE)):
            for i, window in enumerate(windows[:DRAWN_WINDOWS]):
                axes.plot(milliseconds, window / 32768 - 2.2 * i, color=colour, linewidth=0.7)
            axes.set(xlabel="ms", yticks=[])
        return figure


def _marked(wav: bytes) -> bytes:
    """Return a WAV file that names tinygan as its software, by which a folder of data knows that it is no data."""
    text = MADE_HERE.encode() + b"\0" * (2 - len(MADE_HERE) % 2)  # ends with a zero; chunks have an even length
    info = b"INFOISFT" + struct.pack("<I", len(MADE_HERE) + 1) + text
    whole = wav + b"\0" * (len(wav) % 2) + b"LIST" + struct.pack("<I", len(info)) + info
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]
