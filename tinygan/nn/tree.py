"""Layer, and the tree that layers form: parameters, buffers and layers inside a layer are found by walking its attributes.

A layer may hold tensors and other layers in attributes of its own, and in lists, tuples and dictionaries there. Nobody lists
them by hand, so none is forgotten and silently left untrained. Layers and tensors in a set, which has no order, and in attributes
of a class, which all its instances would share, are refused. What a function encloses, or an object of another class holds, is not
searched: that belongs to somebody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import numpy as np

from tinygan.engine import ops
from tinygan.engine.conversion import described
from tinygan.engine.elsewhere import LAYER, TENSOR, check_keywords, missing_attribute
from tinygan.engine.tensor import Tensor


@dataclass(frozen=True)
class Slot:
    """A place that holds a tensor: `owner.key` of a layer, or `owner[key]` of a list or dictionary. name: the path to it, "0.w"."""

    name: str
    owner: Any
    key: Any

    @property
    def tensor(self) -> Tensor:
        return getattr(self.owner, self.key) if isinstance(self.owner, Layer) else self.owner[self.key]

    def put(self, tensor: Tensor) -> None:
        """Make the place hold another tensor. Raises TypeError for a place in a tuple, which cannot change."""
        if isinstance(self.owner, Layer):
            setattr(self.owner, self.key, tensor)
        elif isinstance(self.owner, tuple):
            raise TypeError(f"the parameter {self.name} is in a tuple, where it cannot be exchanged; hold it in a list")
        else:
            self.owner[self.key] = tensor


class Name(str):
    """The name of a tensor in a layer, such as "0.w": a text that says what to write where it is taken for the tensor itself."""

    __slots__ = ()

    def __getattr__(self, name: str) -> NoReturn:
        here = f"; write `for p in G.parameters().values()` for the tensors ({str(self)!r} is the name of one)"
        raise AttributeError(f"a name has no attribute {name!r}{here if hasattr(Tensor, name) or name in TENSOR else ''}")


class Layer:
    """The base of all layers: a callable Tensor -> Tensor. A subclass computes it in `__call__`; nothing else has to be said.

    training: True in training, False in eval; it matters to layers that behave differently there, such as dropout. inlined: the
    attributes whose names are left out of the names of parameters, so that a Sequential's are called "0.w" and not "layers.0.w".
    checks: for each setting of the class, a function (value, what) that returns what is set, and raises for what it cannot be.
    fixed: settings that stay what they were made with, as the weights have their shapes. ranges: for each buffer that cannot hold
    every number, a function (layer, array) that says what is wrong with the values in the array; None where nothing is.
    """

    training: bool = True
    inlined: ClassVar[tuple[str, ...]] = ()
    checks: ClassVar[dict[str, Callable[[Any, str], Any]]] = {}
    fixed: ClassVar[tuple[str, ...]] = ()
    ranges: ClassVar[dict[str, Callable[[Any, np.ndarray], str | None]]] = {}

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        for name, value in vars(cls).items():
            if isinstance(value, (Tensor, Layer)):
                raise TypeError(f"{cls.__name__}.{name} belongs to the class, so all instances would share it; make it in __init__")

    def __new__(cls, *given: Any, **named: Any) -> Any:
        if named:
            check_keywords(cls, named)
        return super().__new__(cls)

    def __call__(self, x: Tensor) -> Tensor:
        rename = "; rename its method forward to __call__" if callable(vars(type(self)).get("forward")) else ""
        raise NotImplementedError(f"{type(self).__name__} does not say what it computes; give it __call__(self, x){rename}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. A layer of tinygan's refuses what it would not read, such as weight, and what would fail in a call."""
        if name == "requires_grad" or (name in LAYER and _is_tinygans(self)):
            known = "requires_grad_" if name == "requires_grad" else name
            raise AttributeError(missing_attribute(type(self).__name__, known, (), LAYER))
        if name == "training" and not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"training is {described(value)}, it has to be True or False; layer.train() and layer.eval() set it")
        if name in self.fixed and name in vars(self):
            raise AttributeError(f"{name} of {type(self).__name__} stays what it was made with; make a new layer for another")
        if name in self.checks:
            value = self.checks[name](value, f"{type(self).__name__}: {name}")
        elif _is_tinygans(self):
            _check_tensor(self, name, value)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(missing_attribute(type(self).__name__, name, [*dir(type(self)), *vars(self)], LAYER))

    def __repr__(self) -> str:
        """Return the layer with its settings and shapes, and one line for each layer inside it."""
        return "\n".join(_outline(self, "", {id(self)}))

    @property
    def couples(self) -> bool:
        """True if, in training, the samples of a batch affect each other's results, here or in a layer inside.

        A layer that does so itself, as batch normalisation, says `couples = True` in its class.
        """
        _, *inside = all_layers(self, _says_whether_it_couples)
        return any(layer.couples for layer in inside if _says_whether_it_couples(layer))

    def parameters(self) -> dict[str, Tensor]:
        """Return the tensors that require a gradient, by name; the very objects, so that an optimiser can update them in place.

        A tensor that is in several places counts once, under the first of its names. Raises ValueError where two tensors have one
        name, TypeError for a layer or a tensor in a set.
        """
        return _named(self, lambda tensor: tensor.requires_grad)

    def buffers(self) -> dict[str, Tensor]:
        """Return the tensors that are kept but not learnt by gradient, by name, such as running statistics."""
        return _named(self, lambda tensor: not tensor.tracked)

    def inner_layers(self) -> Iterator[Layer]:
        """Yield the layers that this one holds, without those inside them."""
        for _, _, _, content in _contents(self):
            if isinstance(content, Layer):
                yield content

    def train(self, mode: bool = True) -> Layer:
        """Put this layer and all inside it into training mode, or with mode=False into eval mode. Returns the layer."""
        for layer in all_layers(self):
            layer.training = mode
        return self

    def eval(self) -> Layer:
        """Put this layer and all inside it into eval mode. Returns the layer."""
        return self.train(False)


def _is_tinygans(layer: Layer) -> bool:
    """Return whether the layer's class is one of tinygan.nn, of which is known what it reads."""
    return type(layer).__module__.startswith("tinygan.nn.")


def _check_tensor(layer: Layer, name: str, value: Any) -> None:
    """Raise where a tensor of one of tinygan's layers is exchanged for what is none, or for one of another shape."""
    old, what = vars(layer).get(name), f"{type(layer).__name__}.{name}"
    if isinstance(old, Tensor) and not isinstance(value, Tensor):
        raise TypeError(f"{what} is {described(value)}, it has to be a Tensor; write layer.{name}.array[...] = values")
    if isinstance(old, Tensor) and value.shape != old.shape:
        raise ValueError(f"{what} has shape {value.shape}, and had {old.shape}; make a new layer for another shape")


class Sequential(Layer):
    """Layers one after the other; their parameters are named "0.w", "0.b", "2.w", ... by position.

    layers: the layers, or one list or other iterable of them. What is called with plain data, such as a NumPy array, converts it to
    the dtype and backend of its parameters. Raises TypeError for what is no layer and no other function of a tensor.
    """

    inlined = ("layers",)
    checks: ClassVar = {"layers": lambda layers, what: _callables(layers)}

    def __init__(self, *layers: Layer | Iterable[Layer]) -> None:
        self.layers: tuple[Any, ...] = layers[0] if len(layers) == 1 and not callable(layers[0]) else layers  # type: ignore

    def __call__(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor):
            x = as_input(self, x)
        for layer in self.layers:
            x = layer(x)
        return x

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: int | slice) -> Any:
        """Return the layer at a position, or a Sequential of those in a slice, which shares them."""
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]


def _callables(layers: Any) -> tuple[Any, ...]:
    """Return the layers of a Sequential as a tuple. Raises TypeError for what is no layer and no other function of a tensor."""
    listed = _listed(layers)
    for i, layer in enumerate(listed):
        _check_callable(i, layer)
    return listed


def _listed(layers: Any) -> tuple[Any, ...]:
    """Return what is in a list or another iterable of layers. Raises TypeError."""
    if isinstance(layers, dict):
        raise TypeError("Sequential: layers is a dict; layers are named by their position here: pass list(layers.values())")
    try:
        return tuple(layers)
    except TypeError:
        raise TypeError(f"Sequential: layers is {described(layers)}, it has to be layers, or a list of them") from None


def _check_callable(i: int, layer: Any) -> None:
    if isinstance(layer, type):
        raise TypeError(f"Sequential: layer {i} is the class {layer.__name__}; make one of it: {layer.__name__}(...)")
    if not callable(layer):
        raise TypeError(f"Sequential: layer {i} is {described(layer)}, it has to be a layer or another function of a tensor")


def as_input(layer: Layer, x: Any) -> Tensor:
    """Return plain data as a constant of the dtype and backend of a layer's parameters; on `cpu` if the layer has no tensors."""
    for slot in slots(layer):
        return ops.as_tensor(x, slot.tensor)
    return x if isinstance(x, Tensor) else Tensor(x)


def count_parameters(layer: Layer) -> int:
    """Return how many numbers the layer learns."""
    return sum(t.size for t in layer.parameters().values())


def _outline(layer: Layer, indent: str, seen: set[int]) -> Iterator[str]:
    """Yield the lines of a layer's repr: its own, then those of the layers that it holds, each layer once."""
    shown = {name: value for name, value in vars(layer).items() if _is_setting(value)}
    shapes = {path: content.shape for path, _, _, content in _contents(layer) if isinstance(content, Tensor)}
    settings = [f"{name}={value!r}" for name, value in shown.items() if name not in ("training", *layer.inlined)]
    settings += [f"{path} {shape}" for path, shape in shapes.items()]
    count = count_parameters(layer)
    yield f"{type(layer).__name__}({', '.join(settings)}): {count:,} parameter{'s' * (count != 1)}"
    for path, _, _, inner in _contents(layer):
        if isinstance(inner, Layer) and id(inner) not in seen:
            seen.add(id(inner))
            first, *rest = _outline(inner, indent + "  ", seen)
            yield f"{indent}  {f'{path}: ' if path else ''}{first}"
            yield from rest


def _is_setting(value: Any) -> bool:
    """Return True for a number, a word, or several numbers."""
    several = isinstance(value, tuple) and value and all(isinstance(n, (int, float)) for n in value)
    return isinstance(value, (bool, int, float, str)) or bool(several)


# ---- the walk -----------------------------------------------------------------------------------------------------------------


def slots(layer: Layer) -> Iterator[Slot]:
    """Yield every place in a layer, and in the layers inside it, that holds a tensor, in the order of the attributes.

    A layer that is held twice is entered once. A tensor that is held twice is in two slots.
    """
    return _slots(layer, "", set())


def _slots(layer: Layer, prefix: str, entered: set[int]) -> Iterator[Slot]:
    entered.add(id(layer))
    for path, owner, key, content in _contents(layer):
        if isinstance(content, Tensor):
            yield Slot(prefix + path, owner, key)
        elif id(content) not in entered:
            yield from _slots(content, f"{prefix}{path}." if path else prefix, entered)


def all_layers(layer: Layer, closed: Callable[[Layer], bool] = lambda layer: False) -> list[Layer]:
    """Return the layer and all layers inside it, each once, as layers may hold one another in a circle.

    The insides of a layer that is `closed` are left out, but for those of the first.
    """
    found = {id(layer): layer}
    waiting = [layer]
    while waiting:
        new = {id(inner): inner for inner in waiting.pop().inner_layers() if id(inner) not in found}
        found |= new
        waiting += [inner for inner in new.values() if not closed(inner)]
    return list(found.values())


def _says_whether_it_couples(layer: Layer) -> bool:
    return type(layer).couples is not Layer.couples


def _contents(layer: Layer) -> Iterator[tuple[str, Any, Any, Tensor | Layer]]:
    """Yield (path, owner, key, content) for each tensor and layer that a layer holds itself."""
    for name, value in vars(layer).items():
        yield from _inside("" if name in layer.inlined else name, layer, name, value)


def _inside(path: str, owner: Any, key: Any, value: Any) -> Iterator[tuple[str, Any, Any, Tensor | Layer]]:
    """Yield (path, owner, key, content) for a value that is a tensor or a layer, or for each one in a container."""
    if isinstance(value, (Tensor, Layer)):
        yield path, owner, key, value
    elif isinstance(value, (list, tuple, dict)):
        for inner_key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _inside(f"{path}.{inner_key}" if path else str(inner_key), value, inner_key, inner)
    elif isinstance(value, (set, frozenset)) and any(isinstance(inner, (Tensor, Layer)) for inner in value):
        raise TypeError(f"{path or key} is a set that holds a layer or a tensor; a set has no order: hold them in a list")


def _named(layer: Layer, wanted: Callable[[Tensor], bool]) -> dict[str, Tensor]:
    """Return the wanted tensors of a layer by name. Raises ValueError where two tensors, wanted or not, have the same name."""
    names: dict[int, str] = {}  # of each tensor's id: the first of its names
    tensors: dict[str, Tensor] = {}
    for slot in slots(layer):
        if names.setdefault(id(slot.tensor), slot.name) == slot.name:
            if tensors.get(slot.name, slot.tensor) is not slot.tensor:
                raise ValueError(f"two tensors of the layer have the name {slot.name!r}; rename an attribute")
            tensors[Name(slot.name)] = slot.tensor
    return {name: tensor for name, tensor in tensors.items() if wanted(tensor)}
