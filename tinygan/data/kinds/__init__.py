"""The kinds of data, one class each, and the list that makes them known to everything else."""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from ..reading import ReadingOptions
from ..units import Codec, DataError
from .columns import Points, Table
from .images import Images
from .sound import Sound

__all__ = ["KINDS", "DataOptions", "Images", "Points", "Sound", "Table", "codec_from_json"]

KINDS: tuple[type[Codec], ...] = (Images, Points, Table, Sound)  # every kind of data: the list to which a new one is added


@dataclass(frozen=True, kw_only=True)
class DataOptions(*dict.fromkeys(kind.options for kind in KINDS if kind.options), ReadingOptions):
    """The options with which data are read: those of all kinds together, and those of any reading."""

    title = "Data"


def codec_from_json(record: dict) -> Codec:
    """Return the codec whose `to_json` gave `record`; a field that was added since has its default.

    Raises DataError for a record of any other form.
    """
    name = record.get("kind") if isinstance(record, dict) else None
    kind = next((kind for kind in KINDS if kind.kind == name), None)
    known = {"kind": True, "bounded": True, **{field.name: field.default is MISSING for field in fields(kind or Codec)}}
    required = {name for name, is_required in known.items() if is_required}
    if not isinstance(record, dict) or not required <= set(record) <= set(known):
        raise DataError(f"codec: expected the fields {', '.join(sorted(known))}")
    if kind is None:
        raise DataError(f"codec: unknown kind {name!r}; known: {', '.join(kind.kind for kind in KINDS)}")
    if record["bounded"] is not kind.bounded:
        raise DataError(f"codec: bounded is {record['bounded']!r}, which {kind.kind} are not")
    stored = {name: value for name, value in record.items() if name not in ("kind", "bounded")}
    return kind(**{name: _tuples_for_lists(value) for name, value in stored.items()})


def _tuples_for_lists(value: Any) -> Any:
    return tuple(map(_tuples_for_lists, value)) if isinstance(value, list) else value
