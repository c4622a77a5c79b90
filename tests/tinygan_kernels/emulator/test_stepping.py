"""Time travel: a trace says of each line what the source computes, forward and back; other launches are as they were."""

import numpy as np
import pytest
from tinygan_kernels import emulator

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.emulator.stepping.debug_information import variables
from tinygan_kernels.emulator.stepping.launches import recording, trace_of
from tinygan_kernels.emulator.stepping.session import CommandError, Session

# Sums of rows: thread t of block b takes every 64th number of row b, and a tree in shared memory adds what the threads have.
SOURCE = """extern "C" __global__ void row_sums(const float* x, float* y, int columns) {
    __shared__ float part[64];
    int t = threadIdx.x, row = blockIdx.x;
    float sum = 0;
    for (int c = t; c < columns; c += 64)
        sum += x[row * columns + c];
    part[t] = sum;
    __syncthreads();
    for (int half = 32; half > 0; half /= 2) {
        if (t < half)
            part[t] += part[t + half];
        __syncthreads();
    }
    if (t == 0) y[row] = part[0];
}
"""
ROWS, COLUMNS = 3, 100
X = np.arange(ROWS * COLUMNS, dtype=np.float32).reshape(ROWS, COLUMNS)


def kernel(options=("-G",), source=SOURCE, name="row_sums"):
    return emulator.RawModule(code=source, options=options, filename="sums.cu").get_function(name)


def traced(**options):
    y = np.zeros(ROWS, np.float32)
    trace = emulator.trace(kernel(options.pop("compiled", ("-G",))), ROWS, 64, (X, y, np.int32(COLUMNS)), **options)
    assert (y == X.sum(axis=1)).all(), "a traced launch computes what any launch does"
    return trace


def test_variables_have_the_values_of_the_source_at_every_turn_of_a_loop():
    trace = traced(thread_block=2, warp=1)
    assert trace.thread_block == (2, 0, 0) and trace.warps == 2 and trace.line == 1
    assert trace.to_line(4) and trace.text == "float sum = 0;"
    t = trace.value("t").values
    assert (t == np.arange(32, 64)).all() and (trace.value("row").values == 2).all()
    assert trace.to_line(6) and trace.mask.all() and (trace.value("c").values == t).all() and (trace.value("sum").values == 0).all()
    assert trace.to_line(6), "the second turn"
    assert (trace.mask == (t + 64 < COLUMNS)).all(), "only lanes whose column is there"
    assert (trace.value("sum").values == X[2, t]).all()
    assert trace.to_line(7)
    expected = X[2, t] + np.where(t + 64 < COLUMNS, X[2, (t + 64) % COLUMNS], 0)
    assert (trace.value("sum").values == expected).all() and trace.mask.all()
    with pytest.raises(KeyError, match="no variable or register 'c' is known here; known are x, y, columns, t, row, sum"):
        trace.value("c")


def test_a_variable_keeps_its_type():
    values = {v.name: v for v in at_end(traced()).variables()}
    assert values["sum"].values.dtype == np.float32 and values["columns"].values.dtype == np.int32
    assert values["x"].pointer and not values["t"].pointer


def at_end(trace):
    trace.move(len(trace))
    return trace


def test_shared_memory_is_that_before_the_line_and_changes_with_it():
    trace = traced()
    assert trace.to_line(7)
    assert list(trace.shared()) == ["part"] and not trace.shared()["part"].any()
    trace.next()
    part = [X[0, t] + (X[0, t + 64] if t + 64 < COLUMNS else 0) for t in range(64)]
    assert trace.line == 8 and trace.shared_changed and (trace.shared()["part"] == part).all(), "of both warps of the block"
    (touch,) = trace.touches
    assert (touch.operation, touch.size, touch.where) == ("st", 4, "shared") and (touch.offsets == 4 * np.arange(32)).all()
    at_end(trace)
    assert trace.shared()["part"][0] == X[0].sum() and trace.line is None and not trace.mask.any()


def test_back_gives_every_state_again():
    trace = traced(warp=0)

    def state():
        values = [(v.name, v.values.tobytes(), v.changed) for v in (*trace.variables(), *trace.registers())]
        return trace.line, trace.mask.tobytes(), values, trace.shared()["part"].tobytes(), trace.shared_changed

    forward = [state()]
    while trace.next():
        forward.append(state())
    forward.append(state())
    assert len(forward) == len(trace) + 1 > 30 and len({s[3] for s in forward}) > 6
    backward = [state()]
    while trace.back():
        backward.append(state())
    assert backward[::-1] == forward
    for position in np.random.default_rng(1).permutation(len(forward)).tolist():
        trace.move(position)
        assert state() == forward[position]
    trace.move(0)
    assert not trace.back() and trace.position == 0


def test_diverged_lanes_are_steps_of_their_own():
    trace = traced(warp=0)
    seen = []
    while trace.to_line(11):
        seen.append(int(trace.mask.sum()))
    assert seen == [32, 16, 8, 4, 2, 1], "one step for each turn of the loop, with half the lanes"
    other = traced(warp=1)
    assert not other.to_line(11) and 11 not in other.lines() and 11 in trace.lines()


def test_without_debug_information_the_registers_are_those_of_the_ptx():
    trace = at_end(traced(compiled=()))
    assert not trace.has_names and trace.variables() == []
    names = {v.name for v in trace.registers()}
    assert any(name.startswith("%f") for name in names) and any(name.startswith("%p") for name in names)
    assert all(v.values.dtype == np.float32 for v in trace.registers() if v.name.startswith("%f"))
    values = [v.values for v in trace.registers() if v.name.startswith("%f")]
    assert any((v[0] == X[0].sum()) for v in values), "the sum is in one of them"


def test_numba_kernels_are_traced_too():
    from numba import cuda

    @cuda.jit
    def double(x, y):
        i = cuda.grid(1)
        if i < x.size:
            y[i] = 2 * x[i]

    x, y = np.arange(40, dtype=np.float32), np.zeros(40, np.float32)
    trace = emulator.trace(double, 2, 32, (x, y), thread_block=1)
    assert (y == 2 * x).all() and trace.to_line(double.py_func.__code__.co_firstlineno + 4) and "y[i] = 2 * x[i]" in trace.text
    assert trace.mask.tolist() == [True] * 8 + [False] * 24


def test_a_launch_that_is_not_traced_runs_the_translation_that_it_always_ran():
    made = kernel()
    before, constants = made.translated.bytecode, dict(made.translated.constants)
    y = np.zeros(ROWS, np.float32)
    emulator.trace(made, ROWS, 64, (X, y, np.int32(COLUMNS)))
    assert made.translated.bytecode is before and made.translated.constants == constants and "record_step" not in constants
    assert not any("record_step" in line.text for line in made.translated.lines)
    with emulator.count() as counts:
        made(ROWS, 64, (X, y, np.int32(COLUMNS)))
    assert counts["launches"] == 1


def test_limits_end_the_recording_and_not_the_launch():
    trace = traced(most_steps=5)
    assert len(trace) == 5 and trace.cut == "the recording ends at its limit of 5 steps; the launch went on to its end"
    assert traced(most_bytes=1 << 20).cut == "", "that is enough"
    trace = traced(most_bytes=10_000)
    assert 1 < len(trace) < len(traced()) and "MiB" in trace.cut
    for wrong in ({"most_steps": 0}, {"most_bytes": 0}):
        with pytest.raises(ValueError, match="have to be at least 1"):
            traced(**wrong)


def test_a_block_and_a_warp_that_are_not_there():
    for block in (3, -1, (0, 1), (0, 0, 0, 0)):
        with pytest.raises(ValueError, match=r"there is no thread block .* in the grid \(3, 1, 1\)"):
            traced(thread_block=block)
    with pytest.raises(ValueError, match="there is no warp 2; the block has warps 0 to 1"):
        traced(warp=2)
    with recording() as recorders:
        pass
    with pytest.raises(emulator.EmulatorError, match="nothing was launched"):
        trace_of(recorders)


def test_a_race_does_not_end_a_trace():
    racing = kernel(source=SOURCE.replace("    __syncthreads();\n    for", "    for"))
    y = np.zeros(ROWS, np.float32)
    trace = emulator.trace(racing, ROWS, 64, (X, y, np.int32(COLUMNS)))
    assert len(trace) > 10
    with pytest.raises(emulator.SanitizerError):
        racing(ROWS, 64, (X, y, np.int32(COLUMNS)))


def test_blocks_of_a_later_chunk_and_partial_warps():
    source = 'extern "C" __global__ void k(int* y) { int i = blockIdx.x * 33 + threadIdx.x;\n    y[i] = i;\n}'
    made = kernel(source=source, name="k")
    y = np.zeros(33 * 700, np.int32)
    trace = emulator.trace(made, 700, 33, (y,), thread_block=650, warp=1)
    assert trace.threads() == [(32, 0, 0)] and trace.to_line(2) and trace.mask.sum() == 1
    assert trace.value("i").values[0] == 650 * 33 + 32


def test_lanes_of_one_instruction_in_several_arrays_are_told_apart():
    source = """extern "C" __global__ void k(int* x, int* y) {
    int* p = threadIdx.x % 2 ? x : y;
    p[threadIdx.x] = 1;
}"""
    trace = at_end(emulator_trace(source, np.zeros(32, np.int32), np.zeros(32, np.int32)))
    while trace.back() and not any(t.operation == "st" for t in trace.touches):
        pass
    found = {t.where: t.offsets for t in trace.touches if t.operation == "st"}
    lanes = np.arange(32)
    assert found.keys() == {"argument 0", "argument 1"}
    for name, mine in (("argument 0", lanes % 2 == 1), ("argument 1", lanes % 2 == 0)):
        assert (found[name] == np.where(mine, 4 * lanes, -1)).all()


def emulator_trace(source, *arrays):
    return emulator.trace(kernel(source=source, name="k"), 1, 32, arrays)


# ---- debug information ---------------------------------------------------------------------------------------------------------


def test_ptx_says_which_registers_hold_variables_and_where():
    found = variables(kernel().module.ptx)
    by_name = {}
    for v in found:
        by_name.setdefault(v.name, []).append(v)
    assert set(by_name) >= {"x", "y", "columns", "t", "row", "sum", "c", "half"}
    lines = kernel().module.ptx.split("\n")
    for v in found:
        assert v.first < v.after <= len(lines) and any(v.register in line for line in lines), v
    assert variables(kernel(()).module.ptx) == [] == variables("")


def test_debug_information_that_is_not_understood_gives_no_names():
    ptx = kernel().module.ptx
    assert variables(ptx.replace(".b8 144", ".b8 3")) == [], "another kind of location"
    cut = ptx[: ptx.index(".section\t.debug_info") + 60] + "\n}\n"
    assert variables(cut) == []


# ---- the session ---------------------------------------------------------------------------------------------------------------


def test_commands_say_what_is_there():
    session = Session(traced(warp=1))
    assert session.shown().startswith("[0/") and "line 1:" in session.shown()
    assert "line 6: sum += x[row * columns + c];" in session.run("line 6")
    assert "  t = 32, 33 .. 63" in session.run("variables") and "  x = the start of argument 0" in session.run("v")
    assert session.run("mask") == f"  {'#' * 32}  32 lanes of 32, threads (32, 0, 0) to (63, 0, 0)"
    assert f"4 lanes of 32: {'#' * 4}{'.' * 28}" in session.run("line 6")
    assert session.run("print sum").splitlines()[1].split(":")[1].split() == [f"{x:g}" for x in X[0, 32:40]]
    assert session.run("line 9").startswith("[") and "part, 64 elements:" in session.run("shared")
    assert session.run("p part") == session.run("shared")
    before = session.trace.position
    assert session.run("n 2") and session.run("b 2") and session.trace.position == before
    assert session.run("line -6") and session.trace.position < before
    assert "->    6" in session.run("l") and "it has steps on lines 1, 3, 4" in session.run("lines")
    assert "the warp has ended" in session.run("end")
    assert session.run("start").startswith("[0/") and session.run("go 2").startswith("[2/")
    assert session.run("") and session.trace.position == 3
    assert session.run("warp 0").startswith("[0/") and session.trace.warp == 0
    assert "next [N]" in session.run("help") and not session.ended
    assert session.run("q") == "" and session.ended


@pytest.mark.parametrize(("command", "message"), [
    ("jump", "there is no command 'jump'; there are next, back, line"), ("back", "this is the beginning"),
    ("line", "line takes a whole"),
    ("line 2", "the warp has no step on line 2 after this; it has steps on lines 1, 3"), ("next x", "next takes a whole number"),
    ("go 9999", "there is no position 9999"), ("print", "print takes one name"), ("warp 2", "there is no warp 2"),
    ("print foo", "no variable or register 'foo' is known here; known are none; arrays in shared memory: part"),
])  # fmt: skip
def test_commands_that_cannot_be_carried_out(command, message):
    with pytest.raises(CommandError, match=message.replace("(", r"\(")):
        Session(traced()).run(command)
