"""conv2d and its two adjoints in Numba CUDA: direct, then as matrix products whose left operand is never written down.

NHWC: x (N, H, W, C_in), w (KH, KW, C_in, C_out), y and g (N, OH, OW, C_out). Every kernel gathers, so no two threads write to one
place and the result does not depend on their order. The formulas are those of `reference`; in GEMM terms (Chellapilla 2006; Chetlur
et al. 2014, section 3.2, for building the patches on the fly):

    conv2d     y  (N OH OW, C_out)       = patches of x (N OH OW, KH KW C_in)    @ w (KH KW C_in, C_out)
    conv2d_dx  dx (N H W, C_in)          = spread of g  (N H W, KH KW C_out)     @ w, its last two axes swapped (KH KW C_out, C_in)
    conv2d_dw  dw (KH KW C_in, C_out)    = patches of x, transposed              @ g (N OH OW, C_out)
"""

from __future__ import annotations

from numba import cuda

TILE = 16  # side of version 2's tiles

device_function = cuda.jit(device=True)


# ---- version 1 ----------------------------------------------------------------------------------------------------------------


@cuda.jit
def direct_kernel(x, w, y, stride, pad):
    """conv2d, version 1, direct: one thread for each output number, numbered along the channels.

    What still hurts: all C_out threads of a pixel fetch the same patch, and all pixels the same filters, from global memory:
    two loads for one multiply-add, as in the naive matrix product (those of w and the stores are coalesced).
    """
    cell = cuda.grid(1)
    if cell >= y.size:
        return
    (_, oh, ow, c_out), (kh, kw, c_in, _) = y.shape, w.shape
    pixel, o = cell // c_out, cell % c_out
    n, i, j = pixel // (oh * ow), pixel // ow % oh, pixel % ow
    total = y.dtype.type(0)
    for u in range(kh):
        row = i * stride + u - pad
        if row < 0 or row >= x.shape[1]:
            continue
        for v in range(kw):
            column = j * stride + v - pad
            if column < 0 or column >= x.shape[2]:
                continue
            for c in range(c_in):
                total += x[n, row, column, c] * w[u, v, c, o]
    y[n, i, j, o] = total


@cuda.jit
def direct_dx_kernel(g, w, dx, stride, pad):
    """conv2d_dx, version 1, direct: one thread for each pixel and channel of the image gathers from the outputs that saw it.

    What still hurts: as in direct_kernel; and neighbouring lanes (channels c) read w[u, v, c, o] c_out numbers apart.
    """
    cell = cuda.grid(1)
    if cell >= dx.size:
        return
    (_, height, width, c_in), (kh, kw, _, c_out) = dx.shape, w.shape
    pixel, c = cell // c_in, cell % c_in
    n, row, column = pixel // (height * width), pixel // width % height, pixel % width
    total = dx.dtype.type(0)
    for u in range(kh):
        down = row + pad - u
        if down < 0 or down % stride or down // stride >= g.shape[1]:
            continue
        for v in range(kw):
            right = column + pad - v
            if right < 0 or right % stride or right // stride >= g.shape[2]:
                continue
            for o in range(c_out):
                total += g[n, down // stride, right // stride, o] * w[u, v, c, o]
    dx[n, row, column, c] = total


@cuda.jit
def direct_dw_kernel(x, g, dw, stride, pad):
    """conv2d_dw, version 1, direct: one thread for each number of the filter sums over all images and positions.

    What still hurts: as in direct_kernel; and a filter has few numbers: most of the GPU idles while few threads sum for long.
    """
    cell = cuda.grid(1)
    if cell >= dw.size:
        return
    (_, kw, c_in, c_out), (images, oh, ow, _) = dw.shape, g.shape
    tap, c, o = cell // (c_in * c_out), cell // c_out % c_in, cell % c_out
    u, v = tap // kw, tap % kw
    total = dw.dtype.type(0)
    for n in range(images):
        for i in range(oh):
            row = i * stride + u - pad
            if row < 0 or row >= x.shape[1]:
                continue
            for j in range(ow):
                column = j * stride + v - pad
                if column >= 0 and column < x.shape[2]:
                    total += x[n, row, column, c] * g[n, i, j, o]
    dw[u, v, c, o] = total


# ---- version 2: the elements of the products ----------------------------------------------------------------------------------


@device_function
def patch(x, w, y, row, k, stride, pad):
    """Return an element of conv2d's left factor, at row (n, i, j), k (u, v, c). Neighbours along k are neighbours in memory."""
    (_, oh, ow, _), (_, kw, c_in, _) = y.shape, w.shape
    down = row // ow % oh * stride + k // (kw * c_in) - pad
    right = row % ow * stride + k // c_in % kw - pad
    if down < 0 or down >= x.shape[1] or right < 0 or right >= x.shape[2]:
        return x.dtype.type(0)
    return x[row // (oh * ow), down, right, k % c_in]


@device_function
def filter_row(x, w, y, k, column):
    """Return an element of conv2d's right factor, w, at k (u, v, c), column o."""
    (_, kw, c_in, _) = w.shape
    return w[k // (kw * c_in), k // c_in % kw, k % c_in, column]


@device_function
def spread(g, w, dx, row, k, stride, pad):
    """Return an element of conv2d_dx's left factor, at row (n, y, x), k (u, v, o): 0 if no output puts tap (u, v) on the pixel."""
    (_, height, width, _), (_, kw, _, c_out) = dx.shape, w.shape
    down = row // width % height + pad - k // (kw * c_out)
    right = row % width + pad - k // c_out % kw
    if down < 0 or right < 0 or down % stride or right % stride:
        return g.dtype.type(0)
    if down // stride >= g.shape[1] or right // stride >= g.shape[2]:
        return g.dtype.type(0)
    return g[row // (height * width), down // stride, right // stride, k % c_out]


@device_function
def filter_transposed(g, w, dx, k, column):
    """Return an element of conv2d_dx's right factor, w with its last two axes swapped, at k (u, v, o), column c."""
    (_, kw, _, c_out) = w.shape
    return w[k // (kw * c_out), k // c_out % kw, column, k % c_out]


@device_function
def patch_transposed(x, g, dw, row, k, stride, pad):
    """Return an element of conv2d_dw's left factor, at row (u, v, c), k (n, i, j). Neighbours along rows are so in memory."""
    (_, kw, c_in, _), (_, oh, ow, _) = dw.shape, g.shape
    down = k // ow % oh * stride + row // (kw * c_in) - pad
    right = k % ow * stride + row // c_in % kw - pad
    if down < 0 or down >= x.shape[1] or right < 0 or right >= x.shape[2]:
        return x.dtype.type(0)
    return x[k // (oh * ow), down, right, row % c_in]


@device_function
def pixel_row(x, g, dw, k, column):
    """Return an element of conv2d_dw's right factor, g, at k (n, i, j), column o."""
    (_, oh, ow, _) = g.shape
    return g[k // (oh * ow), k // ow % oh, k % ow, column]


# ---- version 2: the product ---------------------------------------------------------------------------------------------------


def implicit_gemm(left, right, left_down_columns, right_down_columns):
    """Return a kernel for out[row, column] = sum over k of left(row, k) right(k, column), whose factors are gathered as needed.

    left_down_columns, right_down_columns: that factor is contiguous in memory from row to row, so neighbouring lanes load a
    column of it, which becomes a row of its tile. Lanes then read the right tile down a column, 16 numbers apart: the exclusive or
    shuffles each row by its own number, so that 16 lanes meet 16 banks. The flags are known when the kernel is compiled.
    """

    def implicit_gemm_kernel(a, b, out, matrix, depth, stride, pad):
        """Version 2 of conv2d, conv2d_dx and conv2d_dw: implicit GEMM, the matrix product of 16 x 16 tiles in shared memory.

        What changed: a block computes 16 x 16 numbers of `matrix` (the memory of `out`, last axis across) and builds tiles of both
        factors in shared memory as it walks along k, straight from the arrays.
        Why: a number that was fetched once is used 16 times; and the unrolled patches, KH KW times the image, are never stored.
        What still hurts: a chain of divisions to find each element, two shared loads for one multiply-add, no register tile.
        A filter gradient has few outputs and a long k, so it fills few blocks. Channels under 8 break up the requests.
        """
        a_tile = cuda.shared.array((TILE, TILE), out.dtype)
        b_tile = cuda.shared.array((TILE, TILE), out.dtype)
        zero, (rows, columns) = out.dtype.type(0), matrix.shape
        slow, fast = cuda.threadIdx.x // TILE, cuda.threadIdx.x % TILE
        across = (columns + TILE - 1) // TILE
        top, start_column = cuda.blockIdx.x // across * TILE, cuda.blockIdx.x % across * TILE
        total = zero
        for start in range(0, depth, TILE):
            i, k = (fast, slow) if left_down_columns else (slow, fast)
            inside = top + i < rows and start + k < depth
            a_tile[slow, fast] = left(a, b, out, top + i, start + k, stride, pad) if inside else zero
            k, j = (fast, slow) if right_down_columns else (slow, fast)
            inside = start + k < depth and start_column + j < columns
            place = fast ^ slow if right_down_columns else fast
            b_tile[slow, place] = right(a, b, out, start + k, start_column + j) if inside else zero
            cuda.syncthreads()
            for k in range(TILE):
                from_left = a_tile[k, slow] if left_down_columns else a_tile[slow, k]
                total += from_left * (b_tile[fast, k ^ fast] if right_down_columns else b_tile[k, fast])
            cuda.syncthreads()
        row, column = top + slow, start_column + fast
        if row < rows and column < columns:
            matrix[row, column] = total

    return cuda.jit(implicit_gemm_kernel)


gemm_kernel = implicit_gemm(patch, filter_row, False, False)
gemm_dx_kernel = implicit_gemm(spread, filter_transposed, False, True)
gemm_dw_kernel = implicit_gemm(patch_transposed, pixel_row, True, False)
