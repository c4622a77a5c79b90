"""A layer as plain data, of JSON's types: what it is built of, without the values of its tensors and without any code.

A checkpoint keeps the blueprint of a network that a user built, so that the network can be built again. Only names of classes
are kept. Those of `tinygan.nn` are known; a class of the user's own has to be handed over by whoever builds it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from tinygan_kernels import Backend

from tinygan.engine import ops
from tinygan.engine.randomness import Draws
from tinygan.engine.tensor import Tensor
from tinygan.options import plain

from . import gan_layers, layers, tree
from .tree import Layer, Sequential, all_layers

DTYPES = ("float32", "float64")


class BlueprintError(ValueError):
    """A layer cannot be described as plain data, or not be built from such a description. The message is one line."""


def code_of_others(layer: Layer) -> list[Any]:
    """Return what a layer runs that is not tinygan's own: classes of layers, and functions that stand in a Sequential.

    Each comes once, in the order of the walk; for an object that is called, its class.
    """
    found: dict[Any, None] = {}
    for one in all_layers(layer):
        found |= {} if type(one) in _known().values() else {type(one): None}
        for held in one.layers if isinstance(one, Sequential) else ():
            if not isinstance(held, Layer) and _op_name(held) is None:
                found |= {held if isinstance(held, FunctionType) else type(held): None}
    return list(found)


def _op_name(value: Any) -> str | None:
    """Return the name of an op of tinygan's; None for anything else."""
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) and not name.startswith("_") and getattr(ops, name, None) is value else None


def describe(layer: Layer) -> dict[str, Any]:
    """Return the blueprint of a layer. Raises BlueprintError for an attribute that plain data cannot hold, such as a function."""
    return _described(layer, type(layer).__name__, {})


def _described(value: Any, path: str, seen: dict[int, int]) -> Any:
    value = plain(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if id(value) in seen:
        return {"same": seen[id(value)]}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_described(v, f"{path}[{i}]", seen) for i, v in enumerate(value)]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _described(v, f"{path}[{key!r}]", seen) for key, v in value.items()}}
    if isinstance(value, Tensor) and not value.parents:
        seen[id(value)] = len(seen)
        return {"tensor": list(value.shape), "dtype": value.dtype.name, "learnt": value.requires_grad}
    if isinstance(value, Draws):
        seen[id(value)] = len(seen)
        return {"draws": True}
    if isinstance(value, Backend):
        return {"backend": True}
    if isinstance(value, FunctionType) and (name := _op_name(value)):
        return {"op": name}
    if isinstance(value, Layer):
        seen[id(value)] = len(seen)
        state = {name: _described(inner, f"{path}.{name}", seen) for name, inner in vars(value).items()}
        return {"layer": type(value).__qualname__, "known": type(value) in _known().values(), "state": state}
    raise BlueprintError(f"{path} is a {type(value).__name__}, which a checkpoint does not describe")


def check_blueprint(blueprint: Any) -> int:
    """Return how many numbers the tensors of a blueprint hold. Raises BlueprintError for what has not the form of one.

    Whether the layers that it names can be built of it, and compute anything, is seen where they are built and called.
    """
    if not (isinstance(blueprint, dict) and "layer" in blueprint):
        raise BlueprintError("the description of the network is damaged: it describes no layer")
    return _numbers_in(blueprint)


def _numbers_in(value: Any) -> int:
    if value is None or isinstance(value, (bool, int, float, str)):
        return 0
    if not isinstance(value, dict):
        raise BlueprintError(f"the description of the network is damaged: it holds a {type(value).__name__}")
    for keys, fits, inside in _FORMS:
        if set(value) == keys:
            if not fits(value):
                break
            return math.prod(value["tensor"]) if "tensor" in keys else sum(map(_numbers_in, inside(value)))
    raise BlueprintError(f"the description of the network is damaged: a part has {', '.join(map(repr, sorted(value)[:4]))}")


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and all(type(side) is int and side >= 0 for side in value)


# The forms that a part of a blueprint has: its keys, whether their values are of their types, and the parts inside it.
_FORMS: tuple[tuple[set[str], Callable[[Any], bool], Callable[[Any], Iterable[Any]]], ...] = (
    ({"same"}, lambda v: type(v["same"]) is int and v["same"] >= 0, lambda v: ()),
    ({"list"}, lambda v: isinstance(v["list"], list), lambda v: v["list"]),
    ({"tuple"}, lambda v: isinstance(v["tuple"], list), lambda v: v["tuple"]),
    ({"dict"}, lambda v: isinstance(v["dict"], dict), lambda v: v["dict"].values()),
    ({"draws"}, lambda v: v["draws"] is True, lambda v: ()),
    ({"backend"}, lambda v: v["backend"] is True, lambda v: ()),
    ({"op"}, lambda v: isinstance(v["op"], str), lambda v: ()),
    ({"tensor", "dtype", "learnt"},
     lambda v: _is_shape(v["tensor"]) and v["dtype"] in DTYPES and isinstance(v["learnt"], bool), lambda v: ()),
    ({"layer", "known", "state"},
     lambda v: isinstance(v["layer"], str) and isinstance(v["known"], bool) and isinstance(v["state"], dict),
     lambda v: v["state"].values()),
)


@dataclass(frozen=True)
class Difference:
    """Where two blueprints differ. known: in a layer of tinygan's, or in which layers there are."""

    path: str
    saved: Any
    now: Any
    known: bool

    def __str__(self) -> str:
        return f"{self.path} is {_in_words(self.now)} here and {_in_words(self.saved)} in the checkpoint"


def differences(saved: Any, now: Any, path: str, known: bool = True) -> Iterator[Difference]:
    """Yield where the blueprint of one layer differs from that of another, but for modes and for what tensors hold.

    path: the name of the layer, such as "G". known: whether what is compared belongs to a layer of tinygan's.
    """
    kinds = [next((key for key in ("layer", "dict", "list", "tuple") if isinstance(part, dict) and key in part), None)
             for part in (saved, now)]
    if kinds[0] != kinds[1] or kinds[0] is None:
        if saved != now and not (_is_tensor(saved) and _is_tensor(now)):  # shapes are compared with the arrays themselves
            layers = "layer" in kinds
            yield Difference(path, saved, now, known or layers)
    elif kinds[0] == "layer":
        if saved["layer"] != now["layer"]:
            yield Difference(path, saved, now, True)
        else:
            was, is_now = ({key: part for key, part in one["state"].items() if key != "training"} for one in (saved, now))
            yield from _parts_differ(was, is_now, path, ".{}", bool(saved["known"]))
    elif kinds[0] == "dict":
        yield from _parts_differ(saved["dict"], now["dict"], path, "[{!r}]", known)
    else:
        kind = kinds[0]
        yield from _parts_differ(dict(enumerate(saved[kind])), dict(enumerate(now[kind])), path, "[{}]", known)


def _parts_differ(saved: dict[Any, Any], now: dict[Any, Any], path: str, form: str, known: bool) -> Iterator[Difference]:
    for key in dict.fromkeys([*saved, *now]):
        yield from differences(saved.get(key, _NONE), now.get(key, _NONE), path + form.format(key), known)


_NONE = {"nothing": True}


def _is_tensor(part: Any) -> bool:
    return isinstance(part, dict) and "tensor" in part


def _in_words(part: Any) -> str:
    """Return a part of a blueprint in a few words."""
    if not isinstance(part, dict):
        return repr(part)
    if "layer" in part or "op" in part:
        return f"a {part['layer']}" if "layer" in part else f"the op {part['op']}"
    words = {"nothing": "not there", "same": "what stands elsewhere too", "tensor": "a tensor", "draws": "a Draws",
             "backend": "a backend", "dict": "a dictionary"}
    return next((said for key, said in words.items() if key in part), "a list or tuple")


def built(blueprint: Any, backend: Backend, classes: Iterable[type[Layer]] = ()) -> Layer:
    """Return the layer that a blueprint describes, all its tensors 0, on `backend`. No code of a layer runs, nor its `__init__`.

    classes: the user's own classes of layers that it is made of. Raises BlueprintError for a class that is not among them, and for
    what is no blueprint.
    """
    own = {cls.__qualname__: cls for cls in classes}
    try:
        layer = _built(blueprint, backend, own, [])
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        if isinstance(error, BlueprintError):
            raise
        raise BlueprintError(f"the description of the network is damaged: {type(error).__name__} {error}") from error
    if not isinstance(layer, Layer):
        raise BlueprintError("the description of the network is damaged: it describes no layer")
    return layer


def _built(value: Any, backend: Backend, own: dict[str, type[Layer]], made: list[Any]) -> Any:
    if not isinstance(value, dict):
        return value
    if "same" in value:
        return made[value["same"]]
    if "list" in value or "tuple" in value:
        (kind, parts), = value.items()
        return {"list": list, "tuple": tuple}[kind](_built(part, backend, own, made) for part in parts)
    if "dict" in value:
        return {key: _built(part, backend, own, made) for key, part in value["dict"].items()}
    if "backend" in value:
        return backend
    if "op" in value:
        return _op_called(value["op"])
    if "draws" in value:
        made.append(Draws(np.random.default_rng(0)))
        return made[-1]
    if "tensor" in value:
        made.append(_zeros(value, backend))
        return made[-1]
    layer = _class_of(value, own).__new__(_class_of(value, own))
    made.append(layer)
    vars(layer).update({name: _built(part, backend, own, made) for name, part in value["state"].items()})
    return layer


def _op_called(name: Any) -> Any:
    """Return the op of this name. Raises BlueprintError for what is none."""
    if name not in ops.__all__:
        raise BlueprintError(f"the network has the op {name!r}, which this version of tinygan does not have")
    return getattr(ops, name)


def _zeros(value: dict[str, Any], backend: Backend) -> Tensor:
    if value["dtype"] not in DTYPES:
        raise BlueprintError(f"the description of the network is damaged: a tensor of {value['dtype']!r}")
    return Tensor(np.zeros(value["tensor"], value["dtype"]), backend, requires_grad=bool(value["learnt"]))


def _class_of(value: dict[str, Any], own: dict[str, type[Layer]]) -> type[Layer]:
    """Return the class of a layer that a blueprint names: tinygan's, or one of those handed over. Raises BlueprintError."""
    name = value["layer"]
    found = (_known() if value["known"] else own).get(name)
    if found is None or not (isinstance(found, type) and issubclass(found, Layer)):
        raise BlueprintError(f"the network has a layer of the class {name}, which "
                             + ("this version of tinygan does not have" if value["known"] else "has to be handed over"))
    return found


def _known() -> dict[str, type[Layer]]:
    """Return tinygan's own classes of layers by name."""
    named = {name: cls for module in (tree, layers, gan_layers) for name, cls in vars(module).items()}
    return {name: cls for name, cls in named.items()
            if isinstance(cls, type) and issubclass(cls, Layer) and cls.__module__.startswith("tinygan.nn.")}
