"""A set of answers as a backend: in a training step the learner's own kernels run where the contract's would, each launch judged.

    answers = read_answers("mine/")                      # mine/bias_act.cu, mine/sum.py, ...
    backend, record = backend_of(answers, load("cpu"))   # kernels that nobody has written stay the CPU's
    ...                                                  # anything that computes with a backend, in float32
    print(record)

Products use three puzzles: A B is matmul-async, A B^T is matmul-tiled after transpose, A^T B is matmul-registers after transpose.
The gradient of a bias is the sum of a column: by `sum` where there is one column, else by a product with a row of ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinygan_kernels import emulator
from tinygan_kernels.backend import Backend
from tinygan_kernels.contract import Version
from tinygan_kernels.own.host import OwnHost
from tinygan_kernels.shapes import ContractError
from tinygan_kernels.verification.bounds import share
from tinygan_kernels.verification.cases import Case

from .judge import answer, finding_sentences, outcome
from .table import PUZZLES
from .updates import settings

Implementation = Callable[..., None]
Arrays = tuple[np.ndarray, ...]


class WrongAnswer(Exception):
    """A launch of a learner's kernel gave numbers outside of their bound, or the sanitizer found something in it."""


@dataclass
class Record:
    """What the launches of each puzzle came to, by puzzle: how many, and the largest error as a share of its bound."""

    launches: dict[str, int] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        width = max(map(len, self.launches), default=0)
        return "\n".join(f"{name.ljust(width)}  {count:4d} launches, at most {self.worst[name]:.2f} of the bound"
                         for name, count in self.launches.items())  # fmt: skip


def read_answers(folder: str | Path) -> dict[str, OwnHost]:
    """Return the answers in a folder, by puzzle. Python files are executed. Raises what `answer_files` and `check` raise."""
    return {name: answer(PUZZLES[name], file) for name, file in answer_files(folder).items()}


def answer_files(folder: str | Path) -> dict[str, Path]:
    """Return the files of answers in a folder, by puzzle: NAME.cu or NAME.py, as `start` calls them, with _ or with - in the name.

    Raises ContractError where the folder has no answer and where a puzzle has two; OSError where it is no folder.
    """
    there = {path.name: path for path in Path(folder).iterdir()}
    found: dict[str, Path] = {}
    for name in PUZZLES:
        names = [f"{stem}{suffix}" for stem in (name.replace("-", "_"), name) for suffix in (".cu", ".py")]
        files = [there[file] for file in dict.fromkeys(names) if file in there]
        if len(files) > 1:
            raise ContractError(f"{folder}: {' and '.join(file.name for file in files)} both answer {name}; keep one of them")
        if files:
            found[name] = files[0]
    if not found:
        raise ContractError(f"{folder}: there is no answer in it; `tinygan puzzles start bias-act {folder}/bias_act.cu` begins one")
    return found


def backend_of(answers: Mapping[str, OwnHost], rest: Backend) -> tuple[Backend, Record]:
    """Return a backend in which these answers run, and the record that its launches are written into.

    rest: a backend on NumPy arrays that has the other kernels, and all of those in float64. A launch raises WrongAnswer where its
    numbers are outside of their bound or the sanitizer finds something, ContractError where it does not end.
    """
    record = Record()
    using = _Using(answers, rest, record)
    own: dict[str, Implementation] = {
        "bias_act": using.bias_act, "bias_act_grad": using.bias_act_grad, "leaky_relu_grad": using.leaky_relu_grad,
        "bce_logits": using.bce_logits, "sum": using.sum, "batch_norm": using.batch_norm, "matmul": using.matmul,
        "conv2d": using.conv2d, "adam": using.adam,
    }  # fmt: skip
    implementations = {name: _in_float32(own[name], f) if name in own else f for name, f in rest.implementations.items()}
    versions = [Version(name, 1, "answers to puzzles, the rest elsewhere") for name in implementations]
    return Backend("puzzles", implementations, versions=versions), record


def _in_float32(own: Implementation, other: Implementation) -> Implementation:
    """Return an implementation that is `own` for arrays of float32, and `other` for those of float64."""
    return lambda *arrays, **params: (own if arrays[0].dtype == np.float32 else other)(*arrays, **params)


def _flat(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1)


def _by_channels(array: np.ndarray) -> np.ndarray:
    """Return an array as rows and channels."""
    return np.ascontiguousarray(array).reshape(-1, array.shape[-1])


class _Using:
    """The contract's kernels, made of answers. A method takes inputs, then outputs; it leaves to `rest` what no answer is for."""

    def __init__(self, answers: Mapping[str, OwnHost], rest: Backend, record: Record) -> None:
        self.answers, self.rest, self.record = answers, rest, record

    def launch(self, name: str, inputs: Arrays, states: Arrays = (), **params: Any) -> list[np.ndarray]:
        """Launch the answer to a puzzle and return its outputs, once they are known to be right. Raises WrongAnswer."""
        puzzle, host = PUZZLES[name], self.answers[name]
        label = " and ".join(f"{n} {a.shape}" for n, a in zip(puzzle.kernel.inputs, inputs, strict=True))
        case = Case(puzzle.kernel.name, label, inputs, states, params)
        try:
            found = outcome(puzzle, host, case)
        except emulator.KernelAssertion as error:
            raise WrongAnswer(f"{host.own.title}, launched as {name} on {label}: {' '.join(str(error).split())}") from None
        worst = max(share(o, r, a) for o, r, a in zip(found.outputs, found.right, found.allowed, strict=True))
        if worst > 1 or found.findings:
            said = finding_sentences(found.findings, host) or [f"an error of {worst:.3g} times its bound"]
            more = f"tinygan puzzles check {name} FILE says more"
            raise WrongAnswer(f"{host.own.title}, launched as {name} on {label}: {said[0]}; {more}")
        self.record.launches[name] = self.record.launches.get(name, 0) + 1
        self.record.worst[name] = max(self.record.worst.get(name, 0.0), worst)
        return found.outputs

    def _elsewhere(self, kernel: str, *arrays: np.ndarray, **params: Any) -> None:
        self.rest.implementations[kernel](*arrays, **params)

    # ---- elementwise ------------------------------------------------------------------------------------------------------------

    def bias_act(self, x: np.ndarray, b: np.ndarray, y: np.ndarray, act: str, slope: float = 0.0) -> None:
        """Linear layers take it with a slope of 1, which leaves all as it is."""
        if "bias-act" not in self.answers or act not in ("linear", "leaky_relu"):
            return self._elsewhere("bias_act", x, b, y, act=act, slope=slope)
        y[...] = self.launch("bias-act", (_by_channels(x), b), act="leaky_relu",
                             slope=slope if act == "leaky_relu" else 1.0)[0].reshape(y.shape)  # fmt: skip
        return None

    def leaky_relu_grad(self, g: np.ndarray, x: np.ndarray, y: np.ndarray, slope: float) -> None:
        if "leaky-grad" not in self.answers or g.shape != x.shape:
            return self._elsewhere("leaky_relu_grad", g, x, y, slope=slope)
        y[...] = self.launch("leaky-grad", (_flat(g), _flat(x)), slope=slope)[0].reshape(y.shape)
        return None

    def bias_act_grad(self, g: np.ndarray, y: np.ndarray, dx: np.ndarray, db: np.ndarray, act: str, slope: float = 0.0) -> None:
        """dx is leaky-grad's; db is the sum of each of its columns."""
        summing = "sum" if g.shape[-1] == 1 else "matmul-tiled"
        usable = {"leaky-grad", summing} & set(self.answers) if act in ("linear", "leaky_relu") else set()
        if len(usable) < 2:
            self._elsewhere("bias_act_grad", g, y, dx, db, act=act, slope=slope)
        if "leaky-grad" in usable:
            self.leaky_relu_grad(g, y, dx, slope if act == "leaky_relu" else 1.0)
        if "sum" in usable:
            db[...] = self.launch("sum", (_flat(dx),), axes=(0,))[0]
        elif summing in usable:
            columns = _by_channels(dx)
            db[...] = self.launch(summing, (np.ones((1, len(columns)), np.float32), columns))[0][0]

    def adam(
        self, g: np.ndarray, rate: np.ndarray, theta: np.ndarray, m: np.ndarray, v: np.ndarray, t: np.ndarray, *, sign: int,
        beta1: float, beta2: float, eps: float,
    ) -> None:  # fmt: skip
        """The host counts the steps, and computes what is the same for all parameters."""
        if "adam" not in self.answers:
            return self._elsewhere("adam", g, rate, theta, m, v, t, sign=sign, beta1=beta1, beta2=beta2, eps=eps)
        t += 1
        given = settings(sign * float(rate), beta1, beta2, eps, int(t))
        found = self.launch("adam", (_flat(g),), (_flat(theta), _flat(m), _flat(v)), **given)
        for array, new in zip((theta, m, v), found, strict=True):
            array[...] = new.reshape(array.shape)
        return None

    # ---- sums -------------------------------------------------------------------------------------------------------------------

    def sum(self, x: np.ndarray, y: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> None:
        if "sum" not in self.answers or y.size != 1:
            return self._elsewhere("sum", x, y, axes=axes, keepdims=keepdims)
        y[...] = self.launch("sum", (_flat(x),), axes=(0,))[0]
        return None

    def bce_logits(self, s: np.ndarray, t: np.ndarray, loss: np.ndarray, ds: np.ndarray) -> None:
        usable = {"bce-forward", "bce-backward"} & set(self.answers) if s.size else set()
        if len(usable) < 2:
            self._elsewhere("bce_logits", s, t, loss, ds)
        if "bce-forward" in usable:
            loss[...] = self.launch("bce-forward", (_flat(s), _flat(t)))[0]
        if "bce-backward" in usable:
            ds[...] = self.launch("bce-backward", (_flat(s), _flat(t)))[0].reshape(ds.shape)

    def batch_norm(
        self, x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, y: np.ndarray, mean: np.ndarray, inv_std: np.ndarray, eps: float
    ) -> None:
        if "batch-norm" not in self.answers or not x.size:
            return self._elsewhere("batch_norm", x, gamma, beta, y, mean, inv_std, eps=eps)
        found = self.launch("batch-norm", (_by_channels(x), gamma, beta), eps=eps)
        y[...], mean[...], inv_std[...] = found[0].reshape(y.shape), found[1], found[2]
        return None

    # ---- products ---------------------------------------------------------------------------------------------------------------

    def matmul(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, trans_a: bool = False, trans_b: bool = False) -> None:
        name = "matmul-registers" if trans_a else "matmul-tiled" if trans_b else "matmul-async"
        left, right = (self._transposed(x) if turned else x for x, turned in ((a, trans_a), (b, trans_b)))
        if name in self.answers:
            c[...] = self.launch(name, (left, right))[0]
        else:
            self._elsewhere("matmul", left, right, c)

    def _transposed(self, x: np.ndarray) -> np.ndarray:
        return self.launch("transpose", (x,))[0] if "transpose" in self.answers else np.ascontiguousarray(x.T)

    def conv2d(self, x: np.ndarray, w: np.ndarray, y: np.ndarray, stride: int, pad: int) -> None:
        if "conv" not in self.answers:
            return self._elsewhere("conv2d", x, w, y, stride=stride, pad=pad)
        y[...] = self.launch("conv", (x, w), stride=stride, pad=pad)[0]
        return None
