"""Files for the tests of data, and the two promises that every load keeps: a sound set, or one line of error."""

import struct

import numpy as np
import pytest
from PIL import Image

from tinygan.data.units import DataError

PIXELS = np.random.default_rng(7).integers(0, 256, (3, 4, 5), dtype=np.uint8)


def error_of(call, *args, **kwargs) -> str:
    """Return the message of the DataError that `call` raises, checked to be one line."""
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert message and len(message.splitlines()) == 1
    return message


def refusal_of(call, *args, **kwargs) -> str:
    """Return what the command line says of the DataError that `call` raises, checked to be one line."""
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    message = caught.value.with_flags
    assert message and len(message.splitlines()) == 1
    return message


def shown(data) -> np.ndarray:
    """Check what every set promises, and return the whole set in user units."""
    assert data.x.dtype == np.float32 and data.x.flags.c_contiguous and data.x.shape[1:] == data.codec.shape
    assert np.isfinite(data.x).all() and (not data.codec.bounded or np.abs(data.x).max() <= 1)
    return data.codec.decode(data.x)


def idx(pixels=PIXELS, magic=0x803) -> bytes:
    return struct.pack(">4I", magic, *pixels.shape) + pixels.tobytes()


def save(array, path, **options):
    Image.fromarray(array).save(path, **options)


def npy(tmp_path, array, name="a.npy"):
    np.save(tmp_path / name, array)
    return tmp_path / name
