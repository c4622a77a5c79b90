"""What other libraries call things, and what to write here: the sentences of errors about names that do not exist.

PyTorch, NumPy, JAX and micrograd have names that people type out of habit. Where one of them is asked for, the error says what
does the same here, and otherwise it names the nearest name that there is. In the tables x and y are tensors, G is a layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

_TAKES_ANY = 0x08  # the flag of code with a **keywords parameter

# names of a tensor's: what to write; a test runs every row but those that begin with "nothing"
TENSOR = {
    "detach": "stop(x)", "detach_": "stop(x)", "data": "x.array", "value": "x.numpy()", "no_grad": "stop(x)",
    "requires_grad_": "Tensor(x.numpy(), requires_grad=True)",
    "zero_grad": "nothing: backward() replaces .grad and never adds to it", "grad_fn": "x.parents", "is_leaf": "not x.parents",
    "clone": "copy.deepcopy(x)", "copy": "copy.deepcopy(x)", "copy_": "x.array[...] = y.array", "cpu": "Tensor(x.numpy(), 'cpu')",
    "cuda": "Tensor(x.numpy(), 'cpu')", "to": "Tensor(x.numpy(), 'cpu')", "to_device": "Tensor(x.numpy(), 'cpu')",
    "device": "x.backend", "is_cuda": "x.backend", "get_device": "x.backend", "float": "Tensor(x.numpy(), dtype=np.float64)",
    "double": "Tensor(x.numpy(), dtype=np.float64)", "half": "nothing: tensors are float32 or float64",
    "type": "Tensor(x.numpy(), dtype=np.float64)", "type_as": "Tensor(x.numpy(), dtype=np.float64)",
    "astype": "Tensor(x.numpy(), dtype=np.float64)", "int": "x.numpy().astype(int)", "long": "x.numpy().astype(int)",
    "short": "x.numpy().astype(int)", "bool": "x != 0", "dim": "x.ndim", "ndimension": "x.ndim", "numel": "x.size",
    "nelement": "x.size", "nbytes": "x.array.nbytes", "element_size": "x.array.itemsize", "itemsize": "x.array.itemsize",
    "view": "x.reshape(-1, 1)", "view_as": "x.reshape(y.shape)", "reshape_as": "x.reshape(y.shape)", "flatten": "x.reshape(-1)",
    "ravel": "x.reshape(-1)", "unflatten": "x.reshape(-1, 1)", "resize": "x.reshape(-1, 1)", "resize_": "x.reshape(-1, 1)",
    "squeeze": "x.reshape(-1)", "unsqueeze": "x[None]", "permute": "x.transpose(1, 0)", "t": "x.T", "mT": "x.T", "H": "x.T",
    "mH": "x.T", "adjoint": "x.T", "swapaxes": "x.transpose(1, 0)", "swapdims": "x.transpose(1, 0)",
    "movedim": "x.transpose(1, 0)", "moveaxis": "x.transpose(1, 0)", "expand": "ops.broadcast_to(x, (3, 2, 2))",
    "expand_as": "ops.broadcast_to(x, y.shape)", "broadcast_to": "ops.broadcast_to(x, (3, 2, 2))",
    "repeat": "ops.concat([x, x], 0)", "tile": "ops.concat([x, x], 0)", "contiguous": "ops.contiguous(x)",
    "chunk": "x[:n], x[n:]", "split": "x[:n], x[n:]", "unbind": "list(x)", "narrow": "x[0:1]", "select": "x[0]", "add": "x + y",
    "sub": "x - y", "subtract": "x - y", "mul": "x * y", "multiply": "x * y", "div": "x / y", "divide": "x / y",
    "true_divide": "x / y", "neg": "-x", "negative": "-x", "pow": "x ** 2", "float_power": "x ** 2",
    "reciprocal": "1 / x", "rsqrt": "x ** -0.5", "absolute": "abs(x)", "matmul": "x @ y", "mm": "x @ y",
    "mv": "(x * y).sum(1)", "dot": "(x * y).sum()", "vdot": "(x * y).sum()", "inner": "(x * y).sum()", "addmm": "x @ y + 1",
    "maximum": "ops.maximum(x, y)", "minimum": "ops.minimum(x, y)", "fmin": "ops.minimum(x, y)",
    "fmax": "ops.maximum(x, y)", "relu_": "x.relu()",
    "sigmoid_": "x.sigmoid()", "tanh_": "x.tanh()", "logsigmoid": "x.log_sigmoid()", "amax": "x.max(0)", "amin": "x.min(0)",
    "std": "x.var(0) ** 0.5", "sign": "ops.sign(x)", "sgn": "ops.sign(x)",
    "clamp": "x.clip(-1, 1)", "where": "ops.where(x > 0, x, y)", "masked_fill": "ops.where(x > 0, 1, x)",
    "gather": "x[[0, 1], [1, 0]]", "index_select": "x.take([0, 1], 0)", "take_along_dim": "x[[0, 1], [1, 0]]",
    "clamp_min": "ops.maximum(x, 0)", "clamp_max": "ops.minimum(x, 1)", "eq": "x == y", "ne": "x != y", "lt": "x < y",
    "le": "x <= y", "gt": "x > y", "ge": "x >= y", "greater": "x > y", "less": "x < y", "not_equal": "x != y",
    "greater_equal": "x >= y", "less_equal": "x <= y", "equal": "(x == y).all()", "allclose": "np.allclose(x.numpy(), y.numpy())",
    "isclose": "np.isclose(x.numpy(), y.numpy())", "all": "(x > 0).all()", "any": "(x > 0).any()", "stride": "x.array.strides",
    "strides": "x.array.strides", "storage": "x.array", "data_ptr": "x.array", "flags": "x.array.flags",
    "tobytes": "x.numpy().tobytes()", "pin_memory": "nothing: the memory is that of x.array",
    "share_memory_": "nothing: the memory is that of x.array", "layout": "x.array.flags",
    "is_contiguous": "x.array.flags.c_contiguous", "new_zeros": "Tensor(np.zeros((2, 2)))", "new_ones": "Tensor(np.ones((2, 2)))",
    "new_full": "Tensor(np.full((2, 2), 3.0))", "new_tensor": "Tensor([1.0, 2.0])",
    "block_until_ready": "nothing: a result is there at once", "retain_grad": "x.requires_grad = True",
    "argmax": "x.numpy().argmax(1)", "argmin": "x.numpy().argmin(1)", "argsort": "x.numpy().argsort(1)",
    "sort": "x[range(2), np.argsort(x.numpy(), 1)[:, 0]]", "topk": "np.sort(x.numpy())[:, -n:]", "median": "np.median(x.numpy())",
    "unique": "np.unique(x.numpy())", "nonzero": "np.nonzero(x)", "isnan": "np.isnan(x)", "isinf": "np.isinf(x)",
    "isfinite": "np.isfinite(x)", "floor": "np.floor(x.numpy())", "ceil": "np.ceil(x.numpy())", "round": "np.round(x.numpy())",
    "cumsum": "np.tril(np.ones((2, 2))) @ x", "values": "nothing: x.max(1) is the values alone", "log1p": "ops.log(1 + abs(x))",
    "expm1": "ops.exp(x) - 1", "log2": "ops.log(abs(x)) / np.log(2)", "log10": "ops.log(abs(x)) / np.log(10)",
    "tan": "x.sin() / x.cos()", "sinh": "(x.exp() - (-x).exp()) / 2", "cosh": "(x.exp() + (-x).exp()) / 2",
    "outer": "x.reshape(-1, 1) * y.reshape(1, -1)", "flip": "x[::-1]", "roll": "ops.concat([x[-1:], x[:-1]])",
    "diff": "x[1:] - x[:-1]", "diag": "x[range(2), range(2)]", "diagonal": "x[range(2), range(2)]",
    "trace": "x[range(2), range(2)].sum()", "silu": "x * x.sigmoid()", "gelu": "x * (1.702 * x).sigmoid()",
    "elu": "ops.where(x > 0, x, x.clip(high=0).exp() - 1)", "lerp": "x + 0.5 * (y - x)",
    "normalize": "x / x.norm(axis=1, keepdims=True)",
}

# names of a layer's
LAYER = {
    "forward": "G(x)", "to": "backend='cpu' or another name where the layer is made",
    "cuda": "backend='cupy' where the layer is made", "cpu": "backend='cpu' where the layer is made",
    "zero_grad": "nothing: backward() replaces .grad and never adds to it", "state_dict": "{**G.parameters(), **G.buffers()}",
    "load_state_dict": "p.array[...] = values for each of G.parameters().values()", "named_parameters": "G.parameters().items()",
    "named_buffers": "G.buffers().items()", "modules": "G.inner_layers()", "children": "G.inner_layers()",
    "named_modules": "G.inner_layers()", "named_children": "G.inner_layers()",
    "requires_grad_": "p.requires_grad = False for each of G.parameters().values()",
    "double": "dtype=np.float64 where the layer is made", "float": "dtype=np.float32 where the layer is made",
    "half": "dtype=np.float32 where the layer is made", "weight": "layer.w", "bias": "layer.b", "kernel": "layer.w",
    "running_mean": "layer.mean", "running_var": "layer.var", "add_module": "an attribute: G.name = layer",
    "register_module": "an attribute: G.name = layer", "register_buffer": "an attribute that holds a Tensor",
    "register_parameter": "an attribute that holds a Tensor with requires_grad=True", "append": "Sequential(*G, layer)",
    "extend": "Sequential(*G, *layers)", "insert": "Sequential(*layers)", "compile": "Replayed(step, backend), of tinygan.engine",
    "num_params": "count_parameters(G)", "summary": "nn.summary(G, shape)", "predict": "G.eval()(x)",
    "in_features": "layer.w.shape[0]", "out_features": "layer.w.shape[1]", "n_in": "layer.w.shape[0]", "k": "layer.w.shape[0]",
    "kernel_size": "layer.w.shape[0]", "c_in": "layer.w.shape[2]", "c_out": "layer.w.shape[3]", "in_channels": "layer.w.shape[2]",
    "out_channels": "layer.w.shape[3]", "channels": "layer.gamma.size", "num_features": "layer.gamma.size",
    "dtype": "layer.w.dtype", "device": "layer.w.backend", "backend": "layer.w.backend",
}

# names of an optimiser's
OPTIMISER = {
    "step": "optimiser.descend(gradients(loss, optimiser.parameters)), or ascend",
    "minimize": "optimiser.descend(gradients(loss, optimiser.parameters))",
    "zero_grad": "nothing: gradients(loss, optimiser.parameters) returns new ones each time", "lr": "optimiser.rate",
    "learning_rate": "optimiser.rate", "param_groups": "one optimiser for each group; its rate is optimiser.rate",
    "state_dict": "optimiser.states", "load_state_dict": "optimiser.states", "update": "optimiser.descend(gradients)",
    "apply_gradients": "optimiser.descend(gradients)", "init": "the optimiser itself: its states are made with it",
}

# names of a game's
_STEP = "game.ascend_d(x, z) and game.descend_g(z), or game.alternating_step(batch, noise)"
GAME = {
    "step": _STEP, "train_step": _STEP, "update": _STEP, "d_step": "game.ascend_d(x, z)", "g_step": "game.descend_g(z)",
    "train": "fit(G, D, data), of tinygan", "fit": "fit(G, D, data), of tinygan", "discriminator": "game.D", "generator": "game.G",
    "sample": "game.G(z)", "generate": "game.G(z)", "loss": "the losses that game.play(x, z_d, z_g) returns",
}

# names of functions, classes and modules
MODULE = {
    "no_grad": "stop(x); a computation on constants is never recorded", "enable_grad": "Tensor(values, requires_grad=True)",
    "inference_mode": "stop(x); a computation on constants is never recorded", "set_grad_enabled": "stop(x)", "detach": "stop(x)",
    "stop_gradient": "stop(x)", "tensor": "Tensor(values)", "as_tensor": "Tensor(values)", "from_numpy": "Tensor(array)",
    "array": "Tensor(values)", "asarray": "Tensor(values)", "Parameter": "Tensor(values, requires_grad=True)",
    "Value": "Tensor(value, requires_grad=True)", "Variable": "Tensor(values, requires_grad=True)",
    "zeros": "Tensor(np.zeros(shape))", "ones": "Tensor(np.ones(shape))", "arange": "Tensor(np.arange(n))",
    "eye": "Tensor(np.eye(n))", "linspace": "Tensor(np.linspace(a, b, n))", "randn": "Tensor(rng.standard_normal(shape))",
    "rand": "Tensor(rng.random(shape))", "normal": "Tensor(rng.standard_normal(shape))",
    "manual_seed": "rng = np.random.default_rng(seed)", "seed": "rng = np.random.default_rng(seed)",
    "value_and_grad": "y = f(x); gradients(y, [x])", "jit": "tinygan.engine.Replayed", "compile": "tinygan.engine.Replayed",
    "vmap": "a batch along the first axis", "float32": "np.float32", "float64": "np.float64", "Module": "nn.Layer",
    "Dense": "nn.Linear(n_in, n_out)", "Conv": "nn.Conv2d", "ConvTranspose": "nn.ConvTranspose2d",
    "BatchNorm1d": "nn.BatchNorm(channels)", "BatchNorm2d": "nn.BatchNorm(channels)",
    "BCEWithLogitsLoss": "ops.bce_logits(logits, labels)", "BCELoss": "ops.bce_logits(logits, labels)",
    "MSELoss": "((y - target) ** 2).mean()", "binary_cross_entropy_with_logits": "ops.bce_logits(logits, labels)",
    "mse_loss": "((y - target) ** 2).mean()", "functional": "ops", "ModuleList": "a list", "ModuleDict": "a dict",
    "Identity": "Sequential()", "LazyLinear": "nn.Linear(n_in, n_out)", "Upsample": "nn.ConvTranspose2d",
    "spectral_norm": "nn.SpectralNorm(layer, rng)", "LeakyRelu": "nn.LeakyReLU(slope)", "Dropout2d": "nn.Dropout",
    "subtract": "ops.sub", "multiply": "ops.mul", "divide": "ops.div", "negative": "ops.neg", "pow": "ops.power",
    "mm": "ops.matmul", "dot": "ops.matmul", "absolute": "ops.abs", "cat": "ops.concat",
    "concatenate": "ops.concat", "permute": "ops.transpose", "clamp": "ops.clip",
    "gather": "ops.take", "index_select": "ops.take", "amin": "ops.min",
    "cross_entropy": "-ops.log_softmax(logits)[range(n), labels].mean()", "nll_loss": "-log_p[range(n), labels].mean()",
    "std": "ops.var(x) ** 0.5",
    "lrelu": "ops.leaky_relu", "logsigmoid": "ops.log_sigmoid", "conv_transpose": "ops.conv_transpose2d", "AdamW": "optim.Adam",
    "Optimizer": "optim.Optimiser", "RMSprop": "optim.Adam", "adam": "optim.Adam", "sgd": "optim.SGD",
    "lr_scheduler": "optimiser.rate = ..., between steps", "swish": "x * ops.sigmoid(x)", "one_hot": "np.eye(n)[labels]",
    "einsum": "ops.matmul, ops.transpose and ops.sum", "dropout": "nn.Dropout(p, rng)",
    "Softmax": "ops.softmax, in a Sequential too",
    "LogSoftmax": "ops.log_softmax, in a Sequential too", "Softplus": "ops.softplus, in a Sequential too",
    "CrossEntropyLoss": "-ops.log_softmax(logits)[range(n), labels].mean()",
    "GELU": "a function: lambda x: x * ops.sigmoid(1.702 * x)",
    "SiLU": "a function: lambda x: x * ops.sigmoid(x)",
    "ELU": "a function: lambda x: ops.where(x > 0, x, x.clip(high=0).exp() - 1)",
    "LayerNorm": "a class of your own, class LayerNorm(nn.Layer)", "GroupNorm": "a class of your own, class GroupNorm(nn.Layer)",
    "InstanceNorm2d": "a class of your own, class InstanceNorm2d(nn.Layer)", "Embedding": "w[labels], of a Tensor w",
    "MaxPool2d": "nn.Conv2d(c, c, 4, stride=2, pad=1, rng=rng)", "AvgPool2d": "nn.Conv2d(c, c, 4, stride=2, pad=1, rng=rng)",
    "max_pool2d": "nn.Conv2d(c, c, 4, stride=2, pad=1, rng=rng)", "Dropout1d": "nn.Dropout", "cuda": "load('cupy')",
    "device": "load('cpu')", "save": "fit(...).save(folder), or pickle.dump(G, file)",
    "clip_grad_norm_": "g * min(1, limit / ops.norm(g)) for each gradient g", "autograd": "gradients",
}

# names of arguments: ours where they are one word; a phrase where there is none
KEYWORD = {
    "dim": "axis", "dims": "axis", "axes": "axis", "keepdim": "keepdims", "lr": "rate", "learning_rate": "rate",
    "step_size": "rate", "params": "parameters", "betas": "beta1 and beta2", "b1": "beta1", "b2": "beta2", "epsilon": "eps",
    "momentum": "mu", "decay": "mu", "weight_decay": "no weight decay; add it to the loss", "in_features": "n_in",
    "out_features": "n_out", "in_channels": "c_in", "out_channels": "c_out", "kernel_size": "k", "padding": "pad",
    "features": "n_out", "units": "n_out", "num_features": "channels", "activation": "act", "nonlinearity": "act",
    "negative_slope": "slope", "alpha": "slope", "device": "backend", "seed": "rng", "generator": "rng", "key": "rng",
    "rngs": "rng", "weight": "w", "input": "x", "use_bias": "bias", "strides": "stride", "kernel_init": "init", "gain": "init",
    "input_shape": "the number of inputs, first", "rate": "p",
    "retain_graph": "nothing: the graph is there as long as its results are",
    "create_graph": "gradients(loss, wrt, create_graph=True)", "gradient": "cotangent", "inputs": "gradients(loss, wrt)",
    "correction": "no correction: var is the biased variance", "unbiased": "no correction: var is the biased variance",
    "ddof": "no correction: var is the biased variance",
    "argnums": "argnum", "allow_unused": "unused", "materialize_grads": "unused", "grad_outputs": "cotangent", "outputs": "output",
    "tangents": "cotangent", "is_grads_batched": "one call for each cotangent", "only_inputs": "nothing: only wrt counts",
    "has_aux": "f so that it returns the loss alone; what else it makes, compute outside", "variables": "wrt", "loss": "output",
    "children": "nothing: a tensor that is computed knows what from", "label": "nothing: a tensor has no name",
    "copy": "nothing: a tensor is a copy of its data", "order": "nothing: an array keeps its order", "ndmin": "x[None]",
    "pin_memory": "nothing: the memory is the backend's", "force": "nothing: x.numpy() always gives the values",
    "foreach": "nothing: one launch updates all parameters", "fused": "nothing: one launch updates all parameters",
    "maximize": "optimiser.ascend(gradients)", "inplace": "nothing: a tensor does not change in place",
    "padding_mode": "nothing: convolutions pad with zeros", "affine": "nothing: BatchNorm always scales and shifts",
    "track_running_stats": "nothing: BatchNorm always keeps them",
    "func": "f", "fun": "f", "fn": "f", "values": "data", "object": "data", "x": "data", "value": "data",
}

# what to write where the argument that does the same is not there either
KEYWORD_ELSE = {"momentum": "optim.Momentum(parameters, rate, mu)"}


def missing_attribute(owner: str, name: str, known: Iterable[str], table: dict[str, str] = TENSOR) -> str:
    """Return the sentence for an attribute that `owner` does not have: what to write instead, or the nearest name of `known`."""
    said = f"{owner} has no attribute {name!r}"
    if name.startswith("__"):
        return said
    if name in table:
        return f"{said}; {_advice(table[name])}"
    near = nearest(name, known)
    if near:
        return f"{said}; did you mean {near!r}?"
    if owner == "Tensor" and name.endswith("_"):
        return f"{said}: a tensor does not change in place; write y = x + 1 and the like, or x.array for the memory itself"
    if owner == "Tensor":
        return f"{said}, and no op of this name; x.numpy() gives the values, for NumPy's functions, without a gradient"
    return said


def unknown_keyword(owner: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence for a keyword argument that `owner` does not take, with what it takes instead."""
    known = tuple(known)
    here = KEYWORD.get(name)
    if here is not None and not (here in known or " " in here or "." in here):
        here = KEYWORD_ELSE.get(name)
    if here is not None:
        return f"{owner} takes no {name}; {_advice(here).replace('write nothing', 'leave it out')}"
    near = nearest(name, known)
    return f"{owner} takes no {name}; {f'did you mean {near}?' if near else f'it takes {_listed(known)}'}"


def check_keywords(cls: type, named: Iterable[str]) -> None:
    """Refuse keyword arguments that the class's `__init__` does not take, in a sentence. Raises TypeError."""
    code = getattr(cls.__init__, "__code__", None)  # type: ignore[misc]  # cls is a class, not an instance
    if code is None or code.co_flags & _TAKES_ANY:
        return
    known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    for name in named:
        if name not in known:
            raise TypeError(unknown_keyword(cls.__name__, name, known))


def answers_keywords(function: Function) -> Function:
    """Return the function with an answer to keywords that it does not take: a TypeError that says what to write."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    known = frozenset(names)

    @wraps(function)
    def called(*given: Any, **named: Any) -> Any:
        if named and not known.issuperset(named):
            raise TypeError(unknown_keyword(function.__name__, next(name for name in named if name not in known), names))
        return function(*given, **named)

    return cast(Function, called)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that is written most alike, None if there is none alike."""
    from difflib import get_close_matches  # only an error needs it

    public = {other.lower(): other for other in known if not other.startswith("_")}
    return next((public[near] for near in get_close_matches(name.lower(), public, n=1, cutoff=0.7)), None)


def _advice(written: str) -> str:
    """Return a row of the tables as half a sentence."""
    return written if written.startswith("no ") else f"write {written}"


def _listed(known: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(known[:-1]), *known[-1:]])) or "none"
