"""The data of `fit`: an array of one's own, or anything that the command line takes, as a Dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygan.data import KINDS, DataError, Dataset, load
from tinygan.engine.conversion import described, is_number
from tinygan.engine.tensor import Tensor

ARRAY = "an array"  # the name of data that were handed over as an array
NAME = Path("data")


def dataset_of(data: Any, standardise: bool = True) -> Dataset:
    """Return the data as a Dataset.

    data: an array (n, F) for a table, (n, H, W) or (n, H, W, C) for images; or what has `__array__`, a Tensor, nested lists; or a
    Dataset; or a name or a path that `tinygan.data.load` takes. standardise: networks see each column of a table with mean 0 and
    standard deviation 1; with False as it is. Images are always seen in [-1, 1]. Raises DataError.
    """
    if isinstance(data, (Dataset, str, os.PathLike)):
        if not standardise:
            raise DataError("standardise=False is for an array (n, F); a data set has its units already")
        return data if isinstance(data, Dataset) else load(data)
    array = _checked(data)
    kind = next((kind for kind in KINDS if kind.takes_array(array.shape)), None)
    if kind is None:
        raise DataError(f"data has shape {array.shape}; fit takes (n, F) for a table, (n, H, W) or (n, H, W, C) with C from 1 to 4 "
                        f"for images{_reshaped(array)}")
    dataset = kind.from_array(NAME, array)
    columns = _column_names(data, array)
    if columns:
        dataset = replace(dataset, codec=replace(dataset.codec, columns=columns))
    return replace(dataset, name=ARRAY) if standardise else _as_it_is(replace(dataset, name=ARRAY), array)


def _as_it_is(dataset: Dataset, array: np.ndarray) -> Dataset:
    """Return a table whose networks see the very numbers of the array."""
    if dataset.codec.rank != 1:
        raise DataError(f"standardise=False is for an array (n, F); {dataset.codec.kind} are always seen in [-1, 1]")
    width = array.shape[1]
    codec = replace(dataset.codec, mean=(0.0,) * width, std=(1.0,) * width)
    return replace(dataset, codec=codec, x=codec.encode(array))


def _checked(data: Any) -> np.ndarray:
    """Return the data as an array of finite real numbers. Raises DataError."""
    if np.ma.is_masked(data):
        raise DataError("data has masked elements; leave out their samples, or fill them first: data.filled(value)")
    if isinstance(data, (Iterator, Mapping, set, frozenset)) or data is None:
        what = "None" if data is None else f"a {type(data).__name__}"
        columns = "np.column_stack(list(data.values()))" if isinstance(data, Mapping) else "np.array(list(data))"
        raise DataError(f"data is {what}; give an array of numbers, one sample a row{f', such as {columns}' if data else ''}")
    try:
        array = np.asarray(data.numpy() if isinstance(data, Tensor) else data)
    except (ValueError, TypeError) as error:
        what = f"data is a {type(data).__name__} that is no array ({error})"
        raise DataError(f"{what}; give an array of numbers, one sample a row") from None
    if array.dtype.kind == "O":
        raise DataError(f"data {_what_is_no_number(array)}")
    if array.dtype.kind not in "fiub":
        raise DataError(f"data has dtype {array.dtype}; give real numbers: floats, integers or bools")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise DataError(f"data{list(place)} is {array[place]}; leave out samples with NaN or infinity, or replace them")
    return array


def _what_is_no_number(array: np.ndarray) -> str:
    """Say of an array of objects which of them is no number, or, where all are numbers, how to make it an array of numbers."""
    for place, value in np.ndenumerate(array):
        if not is_number(value):
            return f"holds {described(value)} at {list(map(int, place))}; leave out, or turn into numbers, what is none"
    return "holds numbers as objects, as a data frame of several types does; write data.astype(float)"


def _reshaped(array: np.ndarray) -> str:
    return "; for one number a sample write data.reshape(-1, 1)" if array.ndim == 1 else ""


def _column_names(data: Any, array: np.ndarray) -> tuple[str, ...]:
    """Return the names of the columns of a data frame; () for other data."""
    names = getattr(data, "columns", None)
    return tuple(map(str, names)) if array.ndim == 2 and names is not None and len(names) == array.shape[1] else ()
