"""Sound: overlapping windows of a recording, int16 for users and [-1, 1] for networks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tinygan.options import Options, option

from ..batches import Dataset
from ..comparison import FAKE, REAL, Comparison
from ..readers import read_wav
from ..units import Codec, DataError, is_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN_WINDOWS = 6  # windows on each side of the picture


@dataclass(frozen=True, kw_only=True)
class SoundOptions(Options):
    """The options with which sound is read."""

    title = "Data"

    window: int | None = option(None, help="Samples in a window of sound.", at_least=2)


class Sound(Codec):
    """Mono sound in windows (n, window). User units are int16, encoded is user / 32768; `rate` is in Hz.

    The option `window` is the number of samples in a window (1024). A new one starts every window // 2, and a tail that fills
    no window is dropped.
    """

    kind, rank, bounded = "sound", 1, True
    formats = suffixes = (".wav",)
    options = SoundOptions
    writes = (".wav",)
    defaults: ClassVar = {"hidden": (256, 512), "z": 64}

    @classmethod
    def read(cls, path: Path, window: int = 1024) -> Dataset:
        """Return the windows of a WAV file. Raises DataError for one that is shorter than two windows."""
        sound, rate, notes = read_wav(path)
        hop = window // 2
        if len(sound) < window + hop:
            raise DataError(f"{path}: {len(sound)} samples are too short; two windows of {window} need {window + hop}, "
                            f"so give a longer file or a smaller --window")
        windows = np.lib.stride_tricks.sliding_window_view(sound, window)[::hop]
        return Dataset(path.name, cls((window,), rate=rate), np.ascontiguousarray(windows), notes=notes)

    def rate_problem(self) -> str | None:
        return None if is_count(self.rate) else f"rate is {self.rate!r}; sound needs a positive integer (Hz)"

    def to_network(self, user: np.ndarray) -> np.ndarray:
        return user / 32768.0

    def to_user(self, x: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(x * 32768.0), -32768, 32767).astype(np.int16)

    def file_bytes(self, suffix: str, user: np.ndarray) -> bytes:
        """Return a WAV file of the windows one after the other, 16-bit mono."""
        from scipy.io import wavfile

        buffer = io.BytesIO()
        wavfile.write(buffer, self.rate, user.reshape(-1))
        return buffer.getvalue()

    def draw(self, pair: Comparison) -> Figure:
        figure, left, right = pair.two_panels()
        milliseconds = 1000 * np.arange(self.shape[0]) / self.rate
        for axes, windows, colour in ((left, pair.real, REAL), (right, pair.fake, FAKE)):
            for i, window in enumerate(windows[:DRAWN_WINDOWS]):
                axes.plot(milliseconds, window / 32768 - 2.2 * i, color=colour, linewidth=0.7)
            axes.set(xlabel="ms", yticks=[])
        return figure
