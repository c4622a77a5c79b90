"""Flags of a command, made from the options that a class declares (see tinygan/options.py)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Annotated, Any

import typer

from tinygan.data import KINDS
from tinygan.data.named import NAMED_SETS
from tinygan.options import NOTHING, Option, Options, options_of

# The options of a run for which a kind of data, a named set or an architecture has a value of its own.
SUITED = {name for kind in KINDS for values in (kind.defaults, *kind.defaults_by_arch.values()) for name in values}
SUITED |= {name for row in NAMED_SETS for name in row.defaults}

NONE: Mapping[str, str] = MappingProxyType({})


def takes_options(cls: type[Options], defaults: Mapping[str, str] = NONE) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command a flag for each option of `cls`, except for those options that it has a parameter of its own for.

    defaults: what the help says of the defaults that the command has in the place of the options' own, a sentence each. The command
    gets the options that were given, checked one by one, as its keyword argument `given`: a dict by name. Flags stand in a panel
    for each class that declares options, in the order of the base classes.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "given"]
        flagged = {name: o for name, o in _in_panels(cls).items() if name not in {p.name for p in own}}

        @wraps(command)
        def flagged_command(**values: Any) -> int:
            given = {name: value for name in flagged if (value := values.pop(name)) is not None}
            for name, value in given.items():
                flagged[name].check(value)
            return command(given=given, **values)

        required, others = ([p for p in own if (p.default is p.empty) == first] for first in (True, False))
        parameters = [*required, *(_parameter(o, defaults.get(name, "")) for name, o in flagged.items()), *others]
        flagged_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  typer reads both
        flagged_command.__annotations__ = {p.name: p.annotation for p in parameters}
        return flagged_command

    return decorate


def _in_panels(cls: type[Options]) -> dict[str, Option]:
    """Return the options of `cls` by name, those of one panel of the help after another."""
    groups, declared = list(cls.__mro__), options_of(cls)
    return {name: declared[name] for name in sorted(declared, key=lambda name: groups.index(declared[name].owner))}


def _parameter(option: Option, default: str) -> inspect.Parameter:
    """Return the command's parameter for an option; None stands for one that was not given."""
    flag, parser = option.flag, None
    kind: Any = option.kind
    if kind is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    elif kind is tuple:
        kind, parser = str, widths
    help = f"{option.help} {default or shown_default(option)}".strip()
    declared = typer.Option(flag, help=help, rich_help_panel=option.owner.title, show_default=False, parser=parser)
    annotation = Annotated[kind | None, declared]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def shown_default(option: Option) -> str:
    """Return the sentence of the help that says an option's default; "" where there is none to say.

    A data set, or an architecture, may bring defaults of its own: of those options the help says so.
    """
    if option.default is NOTHING or option.default is None or option.default in ("", ()):
        return "Default: what suits the data." if option.name in SUITED else ""
    shown = shown_value(option.default)
    return f"Default: {shown}, or what suits the data." if option.name in SUITED else f"Default: {shown}."


def shown_value(value: Any) -> str:
    """Return a value as one would give it on the command line; "on" or "off" for a switch."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


def widths(text: str) -> tuple[int, ...]:
    """Return "256,512" as (256, 512). Raises typer.BadParameter."""
    found = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if not all(found):
        raise typer.BadParameter(f"{text!r} is no list of widths such as 256,512")
    return found
