"""Options: dataclass fields that carry their help text, their range, and how an older checkpoint is read.

    class Remedies(Options):
        noise: float = option(0.0, help="Instance noise: std at the start, falling to 0.", at_least=0, neutral=0.0)

The field is the only place where the option is declared. From it come the flag --noise and its help (cli/train.py), the check of
its range and the message, its place in config.json and in checkpoints, and whether `--resume` accepts another value.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

METADATA = "option"
KINDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text", tuple: "a tuple of whole numbers"}


class NamesOptions(Exception):
    """The base of errors whose messages name options. They are written with the flags of the command line, such as --lr-d.

    `str(error)` names them as Python does, by the arguments (lr_d); `error.with_flags` is what the command line says.
    names: the arguments of those flags that are not made of them.
    """

    def __init__(self, message: str, names: Mapping[str, str] | None = None) -> None:
        super().__init__(as_arguments(message, names))
        self.with_flags = str(message)


def as_arguments(message: str, names: Mapping[str, str] | None = None) -> str:
    """Return a message with each flag, such as --lr-d, as the argument that it is in Python: lr_d.

    A command that is quoted, such as "tinygan train DATA --resume", stays as it is. names: as in `NamesOptions`.
    """
    of_flag = names or {}
    return re.sub(r"(tinygan [a-z]+ [^;]*)|(?<![\w/.-])(--[a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?![\w-])",
                  lambda found: found[1] or of_flag.get(found[2], found[2][2:].replace("-", "_")), str(message))


class OptionError(NamesOptions, ValueError):
    """An option has a value outside its range, or one that does not fit the other options or the run. The message is one line."""


class _Nothing:
    """The class of NOTHING, which stands for "no such value", as None is a value that some options take."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()
O = TypeVar("O", bound="Options")


@dataclass(frozen=True)
class Option:
    """The metadata of a field, and the field's own name, type, default and class once `options_of` has read them.

    help        one sentence for `tinygan train --help`
    at_least, at_most, above, below   the range of a number, and of every number in a tuple; floats have to be finite too
    longest     the most numbers in a tuple
    choices     the texts that are allowed; empty where any is
    neutral     the value with which a run does what runs did before this option existed: a checkpoint that lacks the option gets
                it. Left out only for the options of the first checkpoints, which no checkpoint lacks.
    may_change  a run may be resumed with another value
    only_with   the options without which this one has no effect: names of options of which one has to be on, that is neither 0
                nor empty, such as "fourier", or have the value that is named, as in "arch=dcgan"
    flag        the name on the command line, where it is not made of the field's name
    """

    help: str
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    longest: int | None = None
    choices: tuple[str, ...] = ()
    neutral: Any = NOTHING
    may_change: bool = False
    only_with: tuple[str, ...] = ()
    flag: str = ""
    name: str = ""
    default: Any = NOTHING
    type: Any = None  # as annotated, such as `int | None`
    owner: type | None = None  # the class that declares it

    @cached_property
    def may_be_none(self) -> bool:
        return type(None) in typing.get_args(self.type)

    @cached_property
    def kind(self) -> type:
        """bool, int, float, str, or tuple: the annotated type without `None` and without a tuple's elements."""
        return typing.get_origin(self._type_of_value) or self._type_of_value

    @property
    def elements(self) -> tuple[Any, ...]:
        """The types of a tuple's elements: (int, ...)."""
        return typing.get_args(self._type_of_value)

    @property
    def _type_of_value(self) -> Any:
        """The annotated type without `None`."""
        if not self.may_be_none:
            return self.type
        found = [t for t in typing.get_args(self.type) if t is not type(None)]
        return found[0] if len(found) == 1 else typing.Union[tuple(found)]  # noqa: UP007  made of a list

    def check(self, value: Any) -> None:
        """Raise OptionError unless `value` has this option's type and lies in its range."""
        if value is None and self.may_be_none:
            return
        parts = value if self.kind is tuple and isinstance(value, tuple) else (value,)
        if not self._has_kind(value):
            self._refuse(value, KINDS[self.kind])
        if self.longest is not None and len(value) > self.longest:
            raise OptionError(f"{self.flag} has {len(value):,} numbers, at most {self.longest} are allowed", {self.flag: self.name})
        if not all(self._in_range(part) for part in parts):
            self._refuse(value, KINDS[float] if self.kind is float and not self._is_finite(value) else self._range())

    def _refuse(self, value: Any, wanted: str) -> None:
        raise OptionError(f"{self.flag} is {_shown(value)}, it has to be {wanted}", {self.flag: self.name})

    def _has_kind(self, value: Any) -> bool:
        """Return whether a value has this option's type: a float may be a whole number, and no number may be a bool."""
        if self.kind is tuple:
            return isinstance(value, tuple) and all(_is_whole(part) for part in value)
        if self.kind is int:
            return _is_whole(value)
        if self.kind is float:
            return isinstance(value, Real) and not isinstance(value, bool)
        return isinstance(value, self.kind)

    def _in_range(self, value: Any) -> bool:
        """Check one number, text or bool. Comparisons are written so that NaN fails them."""
        if self.choices:
            return value in self.choices
        if isinstance(value, (str, bool)):
            return True
        return (
            self._is_finite(value)
            and (self.at_least is None or value >= self.at_least) and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most) and (self.below is None or value < self.below)
        )

    def _is_finite(self, value: Any) -> bool:
        """Return whether a number is finite; a whole number may be too large for a float where none is wanted."""
        try:
            return math.isfinite(value)
        except OverflowError:
            return self.kind is not float

    def _range(self) -> str:
        """Return the range in the words that follow "it has to be"."""
        if self.choices:
            named = [choice for choice in self.choices if choice]
            return " or ".join(named) if len(named) < 3 else f"one of {', '.join(named)}"
        if (self.above, self.at_most, self.below) == (0, None, None):
            return "a positive number"
        if None not in (self.at_least, self.at_most):
            return f"between {_bound(self.at_least)} and {_bound(self.at_most)}"
        bounds = {"at least": self.at_least, "above": self.above, "at most": self.at_most, "below": self.below}
        named = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
        return " and ".join(named) or KINDS[self.kind]

    def from_json(self, value: Any) -> Any:
        """Return the value that was written to JSON, where tuples are lists."""
        return tuple(value) if self.kind is tuple and isinstance(value, list) else value


def _bound(number: float | None) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, and not at length."""
    if _is_whole(value) and abs(value) >= 10**40:
        return f"{'-' if value < 0 else ''}a whole number of more than 40 digits"
    shown = repr(value) if isinstance(value, (str, tuple, list, dict)) else str(value)
    return shown if len(shown) <= 80 else f"{shown[:76]} ..."


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """Return Python's own number, bool or text for a NumPy scalar, also inside a tuple; anything else as it is. JSON needs it."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def option(default: Any = NOTHING, **metadata: Any) -> Any:
    """Declare a dataclass field as an option. metadata: the fields of `Option`, of which `help` is required."""
    given = {} if default is NOTHING else {"default": default}
    return field(**given, metadata={METADATA: Option(**metadata)})


class Options:
    """The base of frozen dataclasses of options. An instance has been checked: every range, and what `conflicts` yields.

    Groups of options combine by inheritance, each checked by its own `conflicts`. Raises OptionError when an instance is made, and
    TypeError when a class would inherit one option from two classes, of which Python would silently take the first, or gives an
    option the name of something that every class of options has, such as `title`. NumPy scalars become Python's own numbers.
    """

    title = ""  # of the group's panel in `tinygan train --help`

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        for name, value in vars(cls).items():
            if isinstance(value, dataclasses.Field) and hasattr(Options, name):
                raise TypeError(f"{cls.__name__} declares an option {name}, which would hide Options.{name}; give it another name")
        declared: dict[str, type] = {}
        for owner in cls.__mro__:
            for name in inspect.get_annotations(owner):
                if declared.setdefault(name, owner) is not owner:
                    raise TypeError(f"{declared[name].__name__} and {owner.__name__} both declare the option {name}")

    def __post_init__(self) -> None:
        for name, declared in options_of(type(self)).items():
            value = plain(getattr(self, name))
            declared.check(value)
            value = float(value) if declared.kind is float and value is not None else value  # 0 and 0.0 are one value, and one text
            object.__setattr__(self, name, value)  # the dataclass is frozen
        for owner in reversed(type(self).__mro__):
            for message in vars(owner).get("conflicts", lambda self: ())(self):
                raise OptionError(message)

    def conflicts(self) -> Iterator[str]:
        """Yield one line for each combination of this class's options that makes no sense."""
        yield from ()

    def values(self, group: type[Options]) -> dict[str, Any]:
        """Return this instance's values of the options that `group` has, by name."""
        return {name: getattr(self, name) for name in options_of(group)}

    def part(self, group: type[O]) -> O:
        """Return the `group` whose options this instance has among its own."""
        return group(**self.values(group))


@cache
def options_of(cls: type) -> dict[str, Option]:
    """Return the options of a dataclass by name, in the order of its fields, each with all that its field says of it."""
    hints = typing.get_type_hints(cls)
    return {f.name: _completed(cls, f, hints[f.name]) for f in fields(cls) if METADATA in f.metadata}


def _completed(cls: type, f: dataclasses.Field[Any], hint: Any) -> Option:
    """Return the option that a field declares. Raises TypeError for a type that options cannot have."""
    declared = f.metadata[METADATA]
    owner = next(c for c in cls.__mro__ if f.name in inspect.get_annotations(c))
    default = NOTHING if f.default is dataclasses.MISSING else f.default
    flag = declared.flag or f"--{f.name.replace('_', '-')}"
    completed = dataclasses.replace(declared, name=f.name, default=default, type=hint, owner=owner, flag=flag)
    if completed.kind not in KINDS or (completed.kind is tuple and completed.elements != (int, ...)):
        raise TypeError(f"the option {f.name} of {owner.__name__} is a {hint}; options are bool, int, float, str or "
                        f"tuple[int, ...], each also with `| None`")
    return completed


def require_effect(options: Options, given: Iterable[str]) -> None:
    """Raise OptionError where one of the options that a user has given, named in `given`, has no effect beside the others."""
    declared = options_of(type(options))
    for name in given:
        needed = declared[name].only_with
        if needed and not any(_is_on(options, condition) for condition in needed):
            wanted = [" ".join((declared[n].flag, *value)) for n, *value in (condition.split("=") for condition in needed)]
            raise OptionError(f"{declared[name].flag} has no effect without {' or '.join(wanted)}; leave it out")


def _is_on(options: Options, condition: str) -> bool:
    """Return whether options fulfil a condition such as "fourier" (on) or "arch=dcgan" (of that value)."""
    name, _, value = condition.partition("=")
    found = getattr(options, name)
    return found == value if value else bool(found)


def from_record(cls: type[O], record: Mapping[str, Any]) -> O:
    """Return the options that a checkpoint recorded. One that the checkpoint is too old to have gets its neutral value.

    Raises OptionError for an option that this version does not know, for one that is missing and has no neutral value, and for
    a value out of range.
    """
    known = options_of(cls)
    for name in record:
        if name not in known:
            raise OptionError(f"the checkpoint has the option {name!r}, which is unknown here; another version of tinygan wrote it")
    for name, declared in known.items():
        if name not in record and declared.neutral is NOTHING:
            raise OptionError(f"the checkpoint lacks the option {name!r}; another version of tinygan wrote it")
    return cls(**{n: o.from_json(record[n]) if n in record else o.neutral for n, o in known.items()})
