"""The CPU's ladders: `verify` and drawn shapes enter every row, and it is right there; forcing a row runs that row, alone and
replayed, or raises; without forcing, a launch takes the row that suits and pays.

What was entered is seen from the loops that ran: a spy stands where pipelines are called. That a row was chosen proves nothing.
"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DTYPES, normal
from tinygan_kernels import KERNELS, ContractError, Launch, Version, ladder, load
from tinygan_kernels.cpu import backend as cpu
from tinygan_kernels.cpu import ladder as ladders
from tinygan_kernels.cpu.conv import choice as conv_choice
from tinygan_kernels.cpu.matmul import choice as matmul_choice
from tinygan_kernels.cpu.matmul.jobs import JOB
from tinygan_kernels.cpu.runtime import simd
from tinygan_kernels.cpu.runtime.stages import Pipeline
from tinygan_kernels.shapes import conv_size
from tinygan_kernels.verification import bounds, verify
from tinygan_kernels.verification.cases import cases

ROWS = ladder("cpu")
CONVOLUTIONS = ("conv2d", "conv2d_dx", "conv2d_dw")
NARROW = simd.register_bytes() < 32  # where zeros are not left out

PRODUCT_LOOPS = {"scale_rows", "scale_columns", "dots", "run_job", "add_terms", "leave_out_zeros"}
LISTS = "leave_out_zeros did all of its jobs"


class Entered(Counter):
    """How often each loop ran, by name; LISTS where the zeros' stage did its jobs and did not leave them to the tiles."""

    def watch(self, pipeline):
        for stage in pipeline.stages:
            self[stage.loop.function.__name__] += stage.parts > 0
            if stage.loop.function.__name__ == "leave_out_zeros":
                (jobs,) = (a for a in stage.alive if isinstance(a, np.ndarray) and a.dtype == JOB)
                self[LISTS] += bool((jobs["done_to"] > jobs["left"]).all())

    def row(self, kernel):
        """The number of the row whose loops these are; None where they are those of no row, or of several."""
        ran = set(+self)
        if kernel == "matmul":
            zeros = {"leave_out_zeros", "run_job", LISTS}
            loops = {1: {"scale_rows", "scale_columns", "dots"}, 2: {"run_job"}, 3: zeros, 4: {"add_terms"}}
            found = [number for number, own in loops.items() if ran and ran <= own and (number != 3 or LISTS in ran)]
        else:
            marks = {1: {"im2col", "col2im"}, 2: {"_pad", "_fold"}, 3: {"to_tiles", "from_tiles", "from_outputs", "to_outputs"}}
            found = [number for number, own in marks.items() if ran & own]
            found += [4] if ran and ran <= PRODUCT_LOOPS | {LISTS} else []
        return found[0] if len(found) == 1 else None


@pytest.fixture
def entered(monkeypatch):
    """Return a record of the loops that run during the test, kept by a spy where pipelines are called."""
    seen, real = Entered(), Pipeline.__call__

    def spied(pipeline):
        real(pipeline)
        seen.watch(pipeline)

    monkeypatch.setattr(Pipeline, "__call__", spied)
    return seen


def skip_where_no_shape_suits(row):
    if NARROW and (row.kernel, row.number) == ("matmul", 3):
        pytest.skip("lists are not used where registers are as narrow as here")


# ---- every row, by `verify` and by drawn shapes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kernel}-{row.number}")
def test_verify_enters_every_row_in_every_case_that_suits_it(row, dtype, entered):
    skip_where_no_shape_suits(row)
    backend = load("cpu", versions={row.kernel: row.number})
    real, wrong = backend.implementations[row.kernel], []

    def watched(*arrays, **params):
        entered.clear()
        real(*arrays, **params)
        if min(a.size for a in arrays) and entered.row(row.kernel) != row.number:
            wrong.append((dict(entered), [a.shape for a in arrays]))

    backend.implementations = {**backend.implementations, row.kernel: watched}
    report = verify.verify_version(backend, row, dtype, cases(row.kernel, dtype, (16,), large=True), emulate=False)
    assert report.ok and report.cases >= 2, str(report)
    assert not wrong


def test_rows_of_verify_are_the_rows_of_the_ladder():
    found = [(row.kernel, row.version) for row in verify.verdicts("cpu", kernels=["matmul"], dtypes=["float32"], tiles=(16,))]
    assert found == [("matmul", row.number) for row in ROWS if row.kernel == "matmul"]


def drawn_product(draw, number, dtype):
    """(inputs, parameters) that suit a row of matmul."""
    lanes = simd.lanes(np.dtype(dtype).itemsize)
    m, n, k = (draw(st.sampled_from((1, 2, 15, 16, 17, 33, 48))) for _ in range(3))
    if number == 2:
        n = draw(st.sampled_from((2 * lanes, 3 * lanes + 1, 5 * lanes - 1)))
    elif number == 3:
        m, n, k = draw(st.integers(1, 40)), 4 * 64 // np.dtype(dtype).itemsize + draw(st.integers(0, 90)), draw(st.integers(1, 70))
    elif number == 4:
        n, k = lanes + draw(st.integers(0, 40)), draw(st.integers(1, 4))
    flags = {"trans_a": draw(st.booleans()), "trans_b": draw(st.booleans())}
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    a, b = normal(rng, (k, m) if flags["trans_a"] else (m, k), dtype), normal(rng, (n, k) if flags["trans_b"] else (k, n), dtype)
    a[rng.random(a.shape) < draw(st.sampled_from((0.0, 0.7, 1.0)))] = 0
    return (a, b), flags


def drawn_convolution(draw, kernel, number, dtype):
    lanes = simd.lanes(np.dtype(dtype).itemsize)
    n, c_in, c_out = draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 5, 17))), draw(st.sampled_from((1, 16, 33)))
    kh, kw, stride, pad = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 2))
    height, width = (draw(st.integers(k, 12)) for k in (kh, kw))
    if number == 2:
        c_out = draw(st.sampled_from((2 * lanes, 3 * lanes + 1)))
    elif number == 3:
        kh, kw, stride = 4, 4, 2
        height, width = draw(st.integers(4, 13)), draw(st.integers(4, 13))
        c_in, c_out = (lanes + draw(st.integers(0, 9)) for _ in range(2))
    elif number == 4:
        height, width, pad = kh, kw, 0
    x, w = (n, height, width, c_in), (kh, kw, c_in, c_out)
    g = (n, conv_size(height, kh, stride, pad), conv_size(width, kw, stride, pad), c_out)
    shapes, extra = {
        "conv2d": ((x, w), {}),
        "conv2d_dx": ((g, w), {"height": height, "width": width}),
        "conv2d_dw": ((x, g), {"kh": kh, "kw": kw}),
    }[kernel]
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return tuple(normal(rng, shape, dtype) for shape in shapes), {"stride": stride, "pad": pad, **extra}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kernel}-{row.number}")
def test_drawn_shapes_enter_every_row_and_stay_inside_its_bound(row, dtype, entered):
    skip_where_no_shape_suits(row)
    backend, suited = load("cpu", versions={row.kernel: row.number}), []

    @settings(max_examples=15, deadline=None)
    @given(data=st.data())
    def drawn(data):
        draw = data.draw
        inputs, params = drawn_product(draw, row.number, dtype) if row.kernel == "matmul" else drawn_convolution(
            draw, row.kernel, row.number, dtype
        )
        shapes = [a.shape for a in inputs]

        def launched(*arrays, **params):
            backend.launch(row.kernel, arrays[:2], out=arrays[2], **params)

        if not row.suits(shapes, params, dtype):
            with pytest.raises(ContractError, match=f"version {row.number} "):
                bounds.verify(launched, row.kernel, inputs, rule=row.rule, **params)
            return
        suited.append(shapes)
        entered.clear()
        assert bounds.verify(launched, row.kernel, inputs, rule=row.rule, **params) <= 1
        assert entered.row(row.kernel) == row.number

    drawn()
    assert suited


def test_a_row_that_is_not_entered_is_noticed(entered, monkeypatch):
    """A planted row quietly computes as another row does: its numbers are right, and the spy must notice."""
    other = matmul_choice.RUNGS[1]
    monkeypatch.setattr(matmul_choice, "_bind_zeros", matmul_choice.RUNGS[2].bind)
    planted = ladders.Rung(3, "planted", matmul_choice.RUNGS[2].suits, matmul_choice.RUNGS[2].pays, other.bind)
    monkeypatch.setattr(matmul_choice, "RUNGS", (*matmul_choice.RUNGS[:2], planted, matmul_choice.RUNGS[3]))
    a, b = np.ones((130, 300), np.float32), np.ones((300, 260), np.float32)
    assert (load("cpu", versions={"matmul": 3}).launch("matmul", (a, b)) == 300).all()
    assert entered.row("matmul") == 2


def test_a_version_that_no_case_suits_is_wrong():
    row = Version("matmul", 1, "for nothing", suits=lambda shapes, params, dtype: False)
    report = verify.verify_version(load("cpu"), row, "float32", cases("matmul", "float32", (16,)), emulate=False)
    assert not report.ok and report.error == "no case suits this version"


# ---- without forcing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["matmul", *CONVOLUTIONS])
def test_the_backend_takes_rows_of_the_table_and_gives_their_bits(kernel, dtype, entered):
    """On every hard case one of the rows ran, the one that the choice names, to the bit what forcing that row gives. Between them
    the cases make the default choice enter every row, but Winograd in float64.
    """
    taken = set()
    for case in cases(kernel, dtype, (16, 64), large=True):
        entered.clear()
        made = load("cpu").launch(kernel, case.inputs, **case.params)
        if not min(made.size, *(a.size for a in case.inputs)):
            continue
        number = entered.row(kernel)
        if kernel == "matmul" and number is None:  # the zeros' stage looked at A and left it to the tiles
            assert set(+entered) == {"leave_out_zeros", "run_job"}
            number = 2
        taken.add(number)
        forced = load("cpu", versions={kernel: number}).launch(kernel, case.inputs, **case.params)
        np.testing.assert_array_equal(made, forced)
    wanted = {row.number for row in ROWS if row.kernel == kernel}
    wanted -= {3} if (kernel == "matmul" and NARROW) or (kernel != "matmul" and dtype == "float64") else set()
    assert taken == wanted


def test_the_choice_is_the_highest_row_that_suits_and_pays():
    a, b, c = np.empty((130, 300), np.float32), np.empty((300, 260), np.float32), np.empty((130, 260), np.float32)
    product = matmul_choice.Product(a, b, c)
    assert ladders.choose(matmul_choice.RUNGS, product).number == (2 if NARROW else 3)
    product.look_for_zeros = False
    assert ladders.choose(matmul_choice.RUNGS, product).number == 2
    few = matmul_choice.Product(a[:, :3].copy(), b[:3], c)
    assert ladders.choose(matmul_choice.RUNGS, few).number == 4


@pytest.mark.parametrize("rungs", [matmul_choice.RUNGS, conv_choice.RUNGS], ids=["matmul", "conv"])
def test_tables_are_numbered_in_order_and_the_first_row_takes_everything(rungs):
    assert [rung.number for rung in rungs] == list(range(1, len(rungs) + 1))
    assert rungs[0].suits(None) and rungs[0].pays(None)
    assert len({rung.title for rung in rungs}) == len(rungs)


# ---- forcing --------------------------------------------------------------------------------------------------------------------


def replayed(backend, launches):
    """Run launches as a recorded step does: bound, in pairs where that is possible, and neighbours joined."""
    for call in backend.join([call for call, _ in backend.bind_all(launches)]):
        call()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_forced_product_is_forced_in_a_recorded_step_with_its_epilogue(number, entered):
    if NARROW and number == 3:
        pytest.skip("lists are not used where registers are as narrow as here")
    rng, k = np.random.default_rng(0), 4 if number == 4 else 40
    a, b, bias = normal(rng, (30, k), np.float32), normal(rng, (k, 100), np.float32), normal(rng, (100,), np.float32)
    c = np.full((30, 100), np.nan, np.float32)
    backend = load("cpu", versions={"matmul": number})
    product = Launch(KERNELS["matmul"], backend.implementations["matmul"], (a, b), (c,), {})
    act = Launch(KERNELS["bias_act"], backend.implementations["bias_act"], (c, bias), (c,), {"act": "leaky_relu", "slope": 0.2})
    replayed(backend, [product, act])
    fused = number > 1  # plain loops have no epilogue
    assert entered.pop("bias_leaky_relu", 0) == (not fused)
    assert entered.row("matmul") == number
    shifted = a.astype(np.float64) @ b + bias
    np.testing.assert_allclose(c, np.where(shifted > 0, shifted, 0.2 * shifted), rtol=1e-4, atol=1e-4)


def test_a_row_that_does_not_suit_says_which_row_which_shape_and_which_rows_do():
    a, b = np.ones((130, 40), np.float32), np.ones((40, 5), np.float32)
    expected = r"version 4 \(.*\) does not suit matmul of a \(130, 40\) and b \(40, 5\) in float32; versions that do: 1;"
    backend = load("cpu", versions={"matmul": 4})
    with pytest.raises(ContractError, match=expected):
        backend.launch("matmul", (a, b))
    c, bias = np.empty((130, 5), np.float32), np.empty(5, np.float32)
    launch = Launch(KERNELS["matmul"], backend.implementations["matmul"], (a, b), (c,), {})
    act = Launch(KERNELS["bias_act"], backend.implementations["bias_act"], (c, bias), (c,), {"act": "linear"})
    for launches in ([launch], [launch, act]):
        with pytest.raises(ContractError, match="version 4 "):
            backend.bind_all(launches)
    x, w = np.ones((2, 9, 9, 3), np.float32), np.ones((3, 3, 3, 64), np.float32)
    with pytest.raises(ContractError, match=r"version 3 .* conv2d of x \(2, 9, 9, 3\) and w \(3, 3, 3, 64\), stride 1, pad 1"):
        load("cpu", versions={"conv2d": 3}).launch("conv2d", (x, w), stride=1, pad=1)


def test_forcing_one_kernel_leaves_the_others_their_choice(entered):
    backend = load("cpu", versions={"conv2d": 1})
    a, b = np.ones((40, 50), np.float32), np.ones((50, 64), np.float32)
    backend.launch("matmul", (a, b))
    assert entered.row("matmul") == 2


@pytest.mark.parametrize("versions, message", [
    ({"matmul": 9}, "cpu: matmul has versions 1, 2, 3, 4; 9 is not one"),
    ({"adam": 2}, "cpu: adam has versions 1; 2 is not one"),
    ({"matmull": 1}, "there is no kernel 'matmull'"),
])  # fmt: skip
def test_versions_that_do_not_exist_are_refused(versions, message):
    with pytest.raises(ContractError, match=message):
        load("cpu", versions=versions)


def test_every_row_is_listed():
    listed = [(row.kernel, row.number, row.title) for row in load("cpu").versions if row.kernel in ("matmul", *CONVOLUTIONS)]
    rows = {"matmul": matmul_choice.RUNGS, **dict.fromkeys(CONVOLUTIONS, conv_choice.RUNGS)}
    assert listed == [(kernel, rung.number, rung.title) for kernel, rungs in rows.items() for rung in rungs]
    assert cpu.check_versions(None) == {}
