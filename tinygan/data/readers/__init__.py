"""Readers, one for each file format: from a path to plain NumPy arrays in the file's own units.

Each reader raises DataError with one line for every file that it cannot use, however damaged; none unpickles anything.
"""

from .arrays import ARRAY_SUFFIXES, read_array
from .folders import MADE_HERE, list_folder
from .idx import read_idx
from .pictures import IMAGE_SUFFIXES, has_further_pages, read_folder, resized
from .table_column import MOST_CATEGORIES, Column
from .tables import TextTable, chosen, read_csv
from .wav import read_wav, read_wav_folder

__all__ = [
    "ARRAY_SUFFIXES", "IMAGE_SUFFIXES", "MADE_HERE", "MOST_CATEGORIES", "Column", "TextTable", "chosen", "has_further_pages",
    "list_folder", "read_array", "read_csv", "read_folder", "read_idx", "read_wav", "read_wav_folder", "resized",
]
