"""CUDA C++ programs whole: what their host code computes, prints and may touch, and how they end."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tinygan_kernels.emulator import EmulatorError, KernelAssertion, SanitizerError, checks
from tinygan_kernels.emulator.program.process import HostFault
from tinygan_kernels.emulator.program.program import Program

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")
PROGRAMS = Path(__file__).parent


@pytest.fixture(scope="module")
def faults() -> Program:
    return Program(PROGRAMS / "faults.cu")


def program(tmp_path: Path, main: str, head: str = "") -> Program:
    """Return a program with this main."""
    path = tmp_path / "p.cu"
    path.write_text(f"#include <stdio.h>\n{head}\nint main(int argc, char** argv) {{ {main} }}\n")
    return Program(path)


def test_host_code_computes_and_prints_what_it_does_as_a_program_of_a_c_compiler(capsys):
    assert Program(PROGRAMS / "library.cu").run(["foo"]) == 3
    got = capsys.readouterr()
    assert got.out == (PROGRAMS / "library.txt").read_text()
    assert got.err == "to stderr 3\n"


def test_a_whole_program_with_streams_templates_managed_memory_and_an_include(capsys):
    whole = Program(PROGRAMS / "whole.cu", ("-DFACTOR=3",))
    assert whole.run(["x"]) == 1, "a clause takes what is thrown"
    got = capsys.readouterr()
    assert got.out == "1111\n1.099609 3.099609 1\n1498500 2997\n"
    assert got.err.endswith("\ninvalid argument\n")


RIGHT = {3: "6.000000\n", 10: "40.000000\n", 17: "10.000000\n", 18: "2.000000 3.000000\n", 23: "1.000000\n", 29: "8.000000\n",
         19: "tinygan emulator 8.0 32 49152 64\n"}  # fmt: skip


def test_right_code(faults, capsys):
    assert faults.run([*map(str, RIGHT)]) == 0
    got = capsys.readouterr()
    assert (got.out, got.err) == ("".join(RIGHT.values()), "")


def test_what_programs_often_have(tmp_path, capsys, monkeypatch):
    """The numbers of the distributions are those that g++ 12 prints; -use_fast_math changes nothing on the host."""
    made = Program(PROGRAMS / "idioms.cu", ("-use_fast_math",))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"12 5\n\nhex ff\n")))
    assert made.run([str(tmp_path / "numbers")]) == 0
    third = np.float32(12) / np.float32(7)
    assert capsys.readouterr().out.splitlines() == [
        "12 2", "beta 9 30 20", "alpha 16 20 30", f"1 {third:.9g} {np.sqrt(third):.9g}", "5 1099511627776", "5 7 0", "2500 1",
        "5 949301202893 1 891913176713 1 55093158503 5 900710476460 4 3",
        "1 3 -1: 12 5 hex ff", "3 [a] [b c] x 8", "1 -1", "1999000 -1",
    ]  # fmt: skip


WRONG = {
    0: "host code reads 4 bytes of device memory: 16 bytes of cudaMalloc at faults.cu:17",
    2: "cudaMallocManaged at faults.cu:17, which kernel twice (launched at faults.cu:23) writes: the host has not waited",
    4: "host code writes 4 bytes outside of all memory: 0 bytes after the end of 16 bytes that the host allocated at faults.cu:16",
    5: "writes 4 bytes of freed memory: 16 bytes that the host allocated at faults.cu:16, freed at faults.cu:26",
    6: "the address that host code frees was freed before, at faults.cu:27",
    7: "is 16 bytes of cudaMalloc at faults.cu:17: that is what cudaFree",
    11: "host code reads 4 bytes of device memory: the __device__ variable table",
    14: "the stack is used up",
    15: "a whole number is divided by zero",
    32: "the quotient of the least whole number and -1 is too large for its type",
    20: "initcheck: cudaMemcpy reads device memory that nothing has written: 16 bytes of cudaMalloc at faults.cu:41",
    21: "writes 4 bytes through a null pointer",
    22: "cudaMallocHost at faults.cu:17, which the cudaMemcpyAsync at faults.cu:43 writes: the host has not waited for it",
    33: "racecheck: kernel twice (launched at faults.cu:54) reads 16 bytes of cudaMalloc at faults.cu:17, which kernel twice "
        "(launched at faults.cu:54) writes in another stream, with nothing that orders the two",
    34: "kernel copy (launched at faults.cu:55) reads 16 bytes of cudaMalloc at faults.cu:17, which kernel twice",
    35: "the cudaMemcpyAsync at faults.cu:56 reads 16 bytes of cudaMalloc at faults.cu:17, which kernel twice (launched",
    36: "kernel twice (launched at faults.cu:57) reads 16 bytes of cudaMalloc",
    37: "reads 4 bytes of 16 bytes of cudaMallocHost at faults.cu:17, which the cudaMemcpyAsync at faults.cu:58 writes",
    38: "reads 4 bytes of 16 bytes of cudaMallocHost at faults.cu:17, which the cudaMemcpyAsync at faults.cu:59 writes",
    39: "writes 4 bytes of 16 bytes of cudaMallocHost at faults.cu:17, which the cudaMemcpyAsync at faults.cu:60 reads",
    40: "writes 4 bytes of 16 bytes of cudaMallocManaged at faults.cu:17, which kernel copy (launched at faults.cu:61) reads",
    41: "kernel twice (launched at faults.cu:62) reads 16 bytes of cudaMalloc",
    42: "the cudaFreeAsync at faults.cu:63 writes 16 bytes of cudaMallocAsync at faults.cu:63, which the cudaMemset at",
    43: "the cudaMemset at faults.cu:64 writes 16 bytes of cudaMalloc at faults.cu:17, which the cudaMemcpy2DAsync at",
}


@pytest.mark.parametrize("number", WRONG)
def test_a_wrong_access_of_the_host_ends_the_program_with_its_line(faults, number):
    with pytest.raises(HostFault) as caught:
        faults.run([str(number)])
    assert WRONG[number] in str(caught.value)
    wanted = "int deep(" if number == 14 else f"case {number}:"
    line = next(i for i, text in enumerate(faults.source.splitlines(), 1) if wanted in text)
    assert str(caught.value).endswith(f"; faults.cu:{line}")


def test_work_that_streams_events_and_the_host_order_is_no_race(faults, capsys):
    """Events, the default stream, waits of the host, copies that only return when they are done, and bytes that are apart."""
    assert faults.run(["44", "45", "46"]) == 0
    assert capsys.readouterr().out.split() == ["16.000000", "0.000000", "1.000000"]


IN_KERNELS = {
    1: r"out-of-bounds read .*; this is memory of the host: 16 bytes that the host allocated at faults.cu:16 .* twice, faults.cu:8",
    12: r"out-of-bounds read .*; this is memory of the host: the variable hostcount .* usehost, faults.cu:10",
    24: r"out-of-bounds read .*; 0 bytes after the end of 16 bytes of cudaMalloc at faults.cu:17 .* of block \(1, 0, 0\)",
    27: r"this is freed memory: 16 bytes of cudaMalloc at faults.cu:17, freed at faults.cu:48 .* in twice",
}


@pytest.mark.parametrize("number", IN_KERNELS)
def test_a_wrong_access_of_a_kernel_says_what_the_address_is(faults, number):
    with pytest.raises(SanitizerError) as caught:
        faults.run([str(number)])
    assert re.search(IN_KERNELS[number], str(caught.value.findings[0]))


ERRORS = {
    8: ("1\n", "faults.cu:29: cudaMemcpy: invalid argument: the source should be memory of the host, it is 16 bytes of cudaMalloc"),
    9: ("invalid argument\n", "faults.cu:30: cudaMemcpy: invalid argument: 32 bytes are wanted, 16 are left there: the source"),
    13: ("invalid configuration argument\ncudaSuccess\n", "a block has 1 to 1024 threads (64 in z), not 2000"),
    26: ("cudaErrorInvalidValue\n", "faults.cu:47: cudaFree: invalid argument: what is to be freed was freed at faults.cu:47"),
    28: ("invalid argument\n", "49152 bytes of dynamic shared memory are possible"),
    47: ("cudaErrorInvalidResourceHandle\n", "faults.cu:71: cudaMallocAsync: invalid resource handle: 0x40 is no stream"),
}


def test_an_error_of_the_runtime_is_returned_and_told(faults, capsys):
    assert faults.run([*map(str, ERRORS)]) == 0
    got = capsys.readouterr()
    assert got.out == "".join(out for out, _ in ERRORS.values())
    lines = got.err.splitlines()
    assert len(lines) == len(ERRORS)
    assert all(told in line for (_, told), line in zip(ERRORS.values(), lines, strict=True))


def test_ends_of_programs(faults, capsys):
    assert faults.run(["25"]) == 7
    assert faults.run(["16"]) == 134
    assert "faults.cu:37: int main(int, char **): Assertion `argc == 7' failed." in capsys.readouterr().err
    with checks(False):
        assert faults.run(["3"]) == 0


def test_integers_half_precision_and_calls_through_pointers(tmp_path, capsys):
    """Instructions that ordinary programs seldom have, against Python's whole numbers."""
    main = """
    unsigned a = 0x89abcdefu, b = 12; long long c = -77777777777LL; unsigned __int128 w = (unsigned __int128)c * 99999999999LL;
    printf("%u %u %d %d %d\\n", __brev(a), __funnelshift_l(a, 0x1234567, b), __popc(a), __clz(b), __ffs(b));
    printf("%u %u %lld ", __byte_perm(a, 0x01020304, 0x5140), a >> b | a << (32 - b), c / 1000);
    printf("%llu %llu\\n", (unsigned long long)(w >> 64), (unsigned long long)(w / 1000000007));
    unsigned hole = a; hole = (hole & ~(0x3ffu << 5)) | ((b & 0x3ff) << 5); printf("%u %u\\n", hole, (a >> 7) & 0x1ff);
    int (*f)(int) = argc > 5 ? twice : square; printf("%d\\n", f(9));
    float values[] = {65504.f, 65520.f, 1e-8f, 5.97e-8f, 0.333333343f, -2049.f, 6.1e-5f};
    for (float v : values) printf("%04x %.9g ", *(unsigned short*)&(const __half&)__float2half(v), __half2float(__float2half(v)));
    for (float v : values) printf("%.9g ", __bfloat162float(__float2bfloat16(v)));
    printf("%d %d\\n", (int)1e20, (int)-2.7f);
    return 0;"""
    head = "#include <cuda_fp16.h>\n#include <cuda_bf16.h>\nint twice(int x) { return 2 * x; } int square(int x) { return x * x; }"
    assert program(tmp_path, main, head).run() == 0
    lines = capsys.readouterr().out.splitlines()
    a, b, c = 0x89ABCDEF, 12, -77777777777
    w = c * 99999999999 % (1 << 128)
    brev = int(f"{a:032b}"[::-1], 2)
    funnel = ((0x1234567 << 32 | a) << b >> 32) & 0xFFFFFFFF
    assert lines[0] == f"{brev} {funnel} {a.bit_count()} 28 3"
    both = (0x01020304 << 32 | a).to_bytes(8, "little")
    permuted = int.from_bytes(bytes(both[i] for i in (0, 4, 1, 5)), "little")
    rotated = a >> b | (a << (32 - b) & 0xFFFFFFFF)
    assert lines[1] == f"{permuted} {rotated} {-(77777777777 // 1000)} {w >> 64} {w // 1000000007 % (1 << 64)}"
    assert lines[2] == f"{(a & ~(0x3FF << 5)) | b << 5} {a >> 7 & 0x1FF}"
    assert lines[3] == "81"
    values = np.array([65504, 65520, 1e-8, 5.97e-8, 0.333333343, -2049, 6.1e-5], np.float32)
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    told = "".join(f"{h.view(np.uint16):04x} {float(h):.9g} " for h in halves)
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    assert lines[4] == told + "".join(f"{float(v):.9g} " for v in rounded) + "2147483647 -2"


def test_files_are_read_and_written(tmp_path, capsys):
    main = """
    FILE* f = fopen(argv[1], "wb"); int x[3] = {7, 8, 9}; fwrite(x, 4, 3, f); fclose(f);
    f = fopen(argv[1], "rb"); int y[3]; size_t n = fread(y, 4, 3, f); fseek(f, 0, SEEK_END);
    printf("%zu %d %ld\\n", n, y[2], ftell(f));
    fclose(f); f = fopen(argv[1], "w"); fprintf(f, "%d and %s\\n", 5, "six"); fclose(f);
    f = fopen(argv[1], "r"); char line[20]; fgets(line, 20, f); printf("%s", line); fclose(f);
    f = fopen("/no/such/file", "r"); printf("%d\\n", f == NULL); fread(y, 4, 1, f); return 0;"""
    with pytest.raises(HostFault, match=r"uses a FILE\* that is null; p.cu:\d+"):
        program(tmp_path, main).run([str(tmp_path / "data")])
    assert capsys.readouterr().out == "3 9 12\n5 and six\n1\n"


def test_a_cooperative_launch_synchronises_its_grid(tmp_path, capsys):
    head = """#include <cooperative_groups.h>
    __global__ void both(int* x) {
        x[blockIdx.x] = blockIdx.x + 1;
        cooperative_groups::this_grid().sync();
        if (threadIdx.x == 0) x[2 + blockIdx.x] = 10 * x[1 - blockIdx.x];
    }"""
    main = """int* x; cudaMallocManaged(&x, 16); void* arguments[] = {&x};
    cudaLaunchCooperativeKernel((void*)both, dim3(2), dim3(1), arguments, 0, 0);
    cudaDeviceSynchronize(); printf("%d %d\\n", x[2], x[3]); return cudaGetLastError();"""
    assert program(tmp_path, main, head).run() == 0
    assert capsys.readouterr().out == "20 10\n"


def test_names_of_the_c_library_in_std(tmp_path, capsys):
    head = "#include <cstdlib>\n#include <cstring>\n#include <ctime>\n#include <cctype>\n#include <sys/time.h>\n#include <cstdio>"
    main = """
    std::printf("%d %zu %c %d\\n", std::abs(-3), std::strlen("abc"), std::toupper('a'), std::time(nullptr) > 1000000000);
    struct timeval t; gettimeofday(&t, nullptr); std::clock_t c = std::clock();
    std::printf("%d %d\\n", t.tv_sec > 1000000000, c >= 0);
    std::exit(4);"""
    assert program(tmp_path, main, head).run() == 4
    assert capsys.readouterr().out == "3 3 A 1\n1 1\n"


def test_free_memory_follows_allocations_of_the_device(tmp_path, capsys):
    main = """size_t at[5], total; int *p, *q, *pinned;
    cudaMemGetInfo(&at[0], &total);
    cudaMalloc(&p, 1 << 20); cudaMallocManaged(&q, 1 << 21);
    cudaMemGetInfo(&at[1], &total);
    cudaMallocHost(&pinned, 1 << 22);
    cudaMemGetInfo(&at[2], &total);
    cudaFree(p);
    cudaMemGetInfo(&at[3], &total);
    cudaFree(q); cudaFreeHost(pinned);
    cudaMemGetInfo(&at[4], &total);
    for (int i = 0; i < 5; i++) printf("%ld ", (long)(at[0] - at[i]));
    printf("%d", at[0] == total && total > 0);"""
    assert program(tmp_path, main).run() == 0
    assert capsys.readouterr().out == f"0 {3 << 20} {3 << 20} {2 << 20} 0 1"


def test_a_kernels_assert_and_its_printf(tmp_path, capsys):
    head = "#include <cassert>\n__global__ void k(int n) { if (threadIdx.x == 1) printf(\"at %d\\n\", n); assert(n < 3); }"
    made = program(tmp_path, "k<<<1, 2>>>(argc); cudaDeviceSynchronize(); return 0;", head)
    assert made.run() == 0
    assert capsys.readouterr().out == "at 1\n"
    with pytest.raises(KernelAssertion, match="n < 3"):
        made.run(["a", "b"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("__global__ void k() {}\n", r"p.cu has no main\(\): launch its kernels from Python with emulator.RawKernel"),
        ("int main() { return nothing; }", r'p.cu\(1\): error: identifier "nothing" is undefined'),
        ("void gone(int); int main() { gone(3); return 0; }", "host code calls _Z4gonei, which nothing defines, at p.cu:1"),
        ("#include <cusolverMg.h>\nint main() { return 0; }", r'cannot open source file "cusolverMg.h"'),
        ("#include <cublas_v2.h>\nint main() { cublasHandle_t h; return 0; }", "cublasHandle_t is of a library of NVIDIA's that"),
        ("#include <regex>\nint main() { std::regex r; }", "std::regex is not there: search texts by std::string's find"),
        ("#include <filesystem>\nint main() {}", "std::filesystem is not there: open files by fopen"),
        ("#include <typeinfo>\nint main() { typeid(3).name(); }", "typeid is not there: give classes a virtual function"),
    ],
)
def test_refusals(tmp_path, text, says):
    path = tmp_path / "p.cu"
    path.write_text(text)
    with pytest.raises(EmulatorError, match=says):
        Program(path).run()


def test_options_are_those_of_nvcc(tmp_path):
    (tmp_path / "p.cu").write_text("int main() { return N; }")
    assert Program(tmp_path / "p.cu", ("-DN=5", "-arch=sm_90", "-std=c++17")).run() == 5
    with pytest.raises(EmulatorError, match="option -lcublas is none of"):
        Program(tmp_path / "p.cu", ("-lcublas",))
    with pytest.raises(EmulatorError, match=r"cannot read .*q.cu: No such file"):
        Program(tmp_path / "q.cu")


def test_the_command(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "tinygan_kernels.emulator", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    code = '#include <stdio.h>\nint main(int n, char** a) { printf("%s\\n", a[1]); return *(int*)(n * 8L); }'
    (tmp_path / "p.cu").write_text(code)
    done = run("-D", "N=1", "p.cu", "--flag")
    assert (done.returncode, done.stdout) == (1, "--flag\n")
    assert done.stderr == "memcheck: host code reads 4 bytes through a null pointer; p.cu:2\n"
    done = run("missing.cu")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2, "python -m tinygan_kernels.emulator: error: there is no script or program missing.cu"
    )  # fmt: skip
