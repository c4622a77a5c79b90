"""What a Numba program asks of its kernels on the emulator: their PTX and LLVM IR, what they are linked to, their registers."""

import copy
import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import cuda, float64
from tinygan_kernels import emulator
from tinygan_kernels.emulator.host import nvjitlink
from tinygan_kernels.emulator.host.numba_context import numba_is_replaceable
from tinygan_kernels.emulator.host.numba_lines import ir_without_lines

OTHER = "this numba-cuda has other internals than those that emulator.numba() replaces"
pytestmark = pytest.mark.skipif(not numba_is_replaceable(), reason=OTHER)
LINES_OF_PTX = re.compile(r"^\s*\.(loc|file)\b", re.MULTILINE)


@pytest.fixture(autouse=True)
def on_the_emulator():
    with emulator.numba():
        yield


def beyond(x):
    x[x.size] = 1


@pytest.mark.parametrize("asked", [False, True])
def test_source_lines_are_in_findings_always_and_in_ptx_and_ir_where_they_are_asked_for(asked):
    kernel = cuda.jit("void(int32[::1])", lineinfo=asked)(beyond)
    for text, lines in ((kernel.inspect_asm(), LINES_OF_PTX), (kernel.inspect_llvm(), re.compile("!dbg|!DI|Debug Info"))):
        (one,) = text.values()
        assert (lines.search(one) is not None) == asked, one
        assert "st.global" in one or "store" in one
    (compiled,) = kernel.overloads.values()
    assert compiled.lineinfo is asked
    with emulator.sanitize() as findings:
        kernel[1, 1](np.zeros(1, "i4"))
    assert findings[0].source.startswith("test_numba_inspection.py:")


def test_link_time_optimisation_takes_in_linked_source_and_the_kernel_still_names_its_lines():
    """A linker that is given lines on one side alone refuses. The linked function is gone from the PTX that it makes."""
    source = cuda.CUSource('extern "C" __device__ int thrice(int* result, int x) { *result = 3 * x; return 0; }')
    thrice = cuda.declare_device("thrice", "int32(int32)", link=source)

    @cuda.jit("void(int32[::1])", lto=True)
    def linked(x):
        x[x.size - 1] = thrice(x[0])

    (asm,), (optimised,) = linked.inspect_asm().values(), linked.inspect_lto_ptx().values()
    assert re.search(r"call(.|\n)*thrice", asm) and not LINES_OF_PTX.search(asm)
    assert "st.global" in optimised and "call" not in optimised
    linked[1, 1](x := np.array([14], "i4"))
    assert x[0] == 42
    with emulator.sanitize() as findings:
        linked[1, 1](np.zeros(0, "i4"))
    assert findings[0].source.startswith("test_numba_inspection.py:")


IR = """define i32 @f(i32 %x) !dbg !4 {
  %y = add i32 %x, 1, !dbg !6
  br label %end, !dbg !6, !prof !7
end:
  ret i32 %y, !dbg !6
}
!llvm.dbg.cu = !{ !1 }
!llvm.module.flags = !{ !8, !9, !10 }
!kept = !{ !7 }
!0 = !DIFile(directory: "/", filename: "f.py")
!1 = distinct !DICompileUnit(emissionKind: LineTablesOnly, file: !0, isOptimized: true, language: DW_LANG_C_plus_plus)
!2 = !{ !11 }
!3 = !DISubroutineType(types: !2)
!4 = distinct !DISubprogram(file: !0, line: 3, name: "f", scope: !0, spFlags: DISPFlagDefinition, type: !3, unit: !1)
!5 = !{ !2, !2 }
!6 = !DILocation(column: 1, line: 4, scope: !4)
!7 = !{ !"branch_weights", i32 1 }
!8 = !{ i32 2, !"Dwarf Version", i32 4 }
!9 = !{ i32 2, !"Debug Info Version", i32 3 }
!10 = !{ i32 1, !"other", i32 5 }
!11 = !DIBasicType(encoding: DW_ATE_signed, name: "i32", size: 32)
"""


def test_ir_without_lines_is_valid_and_keeps_all_else():
    llvm.parse_assembly(IR).verify()
    text = ir_without_lines(IR)
    llvm.parse_assembly(text).verify()
    assert text.split("\n") == [
        "define i32 @f(i32 %x) {", "  %y = add i32 %x, 1", "  br label %end, !prof !7", "end:", "  ret i32 %y", "}",
        "!llvm.module.flags = !{ !10 }", "!kept = !{ !7 }", '!7 = !{ !"branch_weights", i32 1 }',
        '!10 = !{ i32 1, !"other", i32 5 }', "",
    ]  # fmt: skip
    assert ir_without_lines(text) == text


def many_values(out, a, b, c, d):
    e, f, g, h = a * b, c * d, a + d, b - c
    for i in range(out.size):
        out[i] = e * f + g * h + a * i
        e, f, g, h = f + out[i], g * a + b, h * b + c, e * c + d
        a, b, c, d = b + e, c + f, d + g, a + h


def test_registers_are_what_the_linker_allots_and_at_most_what_the_program_allows():
    signature = (float64[::1], float64, float64, float64, float64)
    free, bound = cuda.jit(signature)(many_values), cuda.jit(signature, max_registers=24)(many_values)
    taken = free.get_regs_per_thread()
    assert 24 < taken <= 255 and bound.get_regs_per_thread() <= 24
    (code,) = free.inspect_asm().values()
    (entry,) = re.findall(r"\.entry ([\w$]+)", code)
    assert nvjitlink.resources_in(nvjitlink.link(code, "sm_80")[1])[entry]["registers"] == taken


def test_what_the_compiler_warns_of_in_linked_source_is_a_warning(tmp_path):
    (tmp_path / "warns.cu").write_text('extern "C" __device__ int f(int* r, int x) { int never; *r = x; return 0; }')

    @cuda.jit(link=[str(tmp_path / "warns.cu")])
    def kernel(x):
        x[0] = 1

    with pytest.warns(UserWarning, match=r"(?s)NVRTC log messages: .*never.*declared but never referenced"):
        kernel[1, 1](np.zeros(1))


def test_a_kernel_with_its_grid_and_stream_is_copied():
    """By its state, which is also what pickle writes: a stream is a number there."""
    @cuda.jit
    def add(x):
        x[cuda.grid(1)] += 1

    stream = cuda.stream()
    again = copy.copy(add[2, 8])
    assert (again.griddim, again.blockdim) == ((2, 1, 1), (8, 1, 1))
    x = cuda.to_device(np.zeros(16, "f4"))
    again(x)
    add[2, 8, stream](x)
    found = x.copy_to_host(stream=stream)
    stream.synchronize()
    assert (found == 2).all()
    assert int(add[2, 8, stream].stream.handle) == int(stream.handle) != 0 == int(again.stream.handle)
    with pytest.raises(TypeError, match=r"stream is one of Numba's.*not str"):
        add[2, 8, "fast"]


