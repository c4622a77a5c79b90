"""Matrix products and convolutions: a closed family, in which each one's derivatives are the others."""

from __future__ import annotations

from tinygan.engine.conversion import whole_number
from tinygan.engine.tensor import Tensor, record

from .door import launch
from .shapes import contiguous, reshape, transpose


def _row_major(x: Tensor, trans: bool) -> tuple[Tensor, bool]:
    """Return (x, trans) with x C-contiguous: a transposed view is turned back and the flag flipped, any other view is copied."""
    if x.ndim == 2 and not x.array.flags.c_contiguous and x.array.T.flags.c_contiguous:
        return transpose(x), not trans
    return contiguous(x), trans


def matmul(a: Tensor, b: Tensor, trans_a: bool = False, trans_b: bool = False) -> Tensor:
    """C = A B        A (M, K)   B (K, N)   C (M, N), either operand transposed on request
    given g = dL/dC:   dA = g B^T (M, K)     dB = A^T g (K, N)

    A vector is a row on the left and a column on the right, and its side is left out of C: (K,) (K, N) -> (N,), (K,) (K,) -> ().
    """
    if a.ndim == 1 or b.ndim == 1:
        return _with_vectors(a, b, trans_a, trans_b)
    (a, trans_a), (b, trans_b) = _row_major(a, trans_a), _row_major(b, trans_b)
    return record(launch("matmul", a, b, trans_a=trans_a, trans_b=trans_b), (a, b), (
        # with A^T in the product, what is wanted is (g B^T)^T = B g^T; likewise for B
        lambda g, c, a, b: matmul(b, g, trans_b, True) if trans_a else matmul(g, b, False, not trans_b),
        lambda g, c, a, b: matmul(g, a, True, trans_a) if trans_b else matmul(a, g, not trans_a, False),
    ))


def _with_vectors(a: Tensor, b: Tensor, trans_a: bool, trans_b: bool) -> Tensor:
    """Return the product of matrices of which at least one is given as a vector, to which transposing does nothing."""
    left = (reshape(a, (1, a.size)), False) if a.ndim == 1 else (a, trans_a)
    right = (reshape(b, (b.size, 1)), False) if b.ndim == 1 else (b, trans_b)
    c = matmul(left[0], right[0], left[1], right[1])
    return reshape(c, c.shape[a.ndim == 1 : 1 if b.ndim == 1 else 2])


def conv2d(x: Tensor, w: Tensor, stride: int = 1, pad: int = 0) -> Tensor:
    """y = x * w        x (N, H, W, C_in)   w (KH, KW, C_in, C_out)   y (N, OH, OW, C_out), OH = (H + 2 pad - KH) // stride + 1
    given g = dL/dy:   dx = conv2d_dx(g, w)     dw = conv2d_dw(x, g)
    """
    x, w = contiguous(x), contiguous(w)
    return record(launch("conv2d", x, w, stride=stride, pad=pad), (x, w), (
        lambda g, y, x, w: conv2d_dx(g, w, stride, pad, *x.shape[1:3]),
        lambda g, y, x, w: conv2d_dw(x, g, stride, pad, *w.shape[:2]),
    ))


def conv2d_dx(u: Tensor, w: Tensor, stride: int, pad: int, height: int, width: int) -> Tensor:
    """The adjoint of conv2d in x: <conv2d(x, w), u> = <x, conv2d_dx(u, w)>.    u (N, OH, OW, C_out) -> (N, height, width, C_in)
    given g:   du = conv2d(g, w)     dw = conv2d_dw(g, u)
    """
    u, w = contiguous(u), contiguous(w)
    return record(launch("conv2d_dx", u, w, stride=stride, pad=pad, height=height, width=width), (u, w), (
        lambda g, y, u, w: conv2d(g, w, stride, pad),
        lambda g, y, u, w: conv2d_dw(g, u, stride, pad, *w.shape[:2]),
    ))


def conv2d_dw(x: Tensor, u: Tensor, stride: int, pad: int, kh: int, kw: int) -> Tensor:
    """The adjoint of conv2d in w: <conv2d(x, w), u> = <w, conv2d_dw(x, u)>.    -> (kh, kw, C_in, C_out)
    given g:   dx = conv2d_dx(u, g)     du = conv2d(x, g)
    """
    x, u = contiguous(x), contiguous(u)
    return record(launch("conv2d_dw", x, u, stride=stride, pad=pad, kh=kh, kw=kw), (x, u), (
        lambda g, y, x, u: conv2d_dx(u, g, stride, pad, *x.shape[1:3]),
        lambda g, y, x, u: conv2d(x, g, stride, pad),
    ))


def conv_transpose2d(x: Tensor, w: Tensor, stride: int = 1, pad: int = 0) -> Tensor:
    """conv2d_dx as a layer: grows an image.    x (N, H, W, C_in)   w (KH, KW, C_out, C_in): that of the convolution it undoes
    y (N, (H - 1) stride - 2 pad + KH, ..., C_out)
    """
    if x.ndim != 4 or w.ndim != 4:
        raise ValueError(f"conv_transpose2d: x {x.shape} and w {w.shape} have to have four dimensions")
    # Python's numbers: with an int8 for a stride, NumPy 2 counts the pixels in int8, too
    stride, pad = whole_number(stride, "conv_transpose2d: stride", 1), whole_number(pad, "conv_transpose2d: pad", 0)
    height, width = ((n - 1) * stride - 2 * pad + k for n, k in zip(x.shape[1:3], w.shape[:2], strict=True))
    return conv2d_dx(x, w, stride, pad, height, width)
