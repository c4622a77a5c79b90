"""Launches that hand objects to kernels by value: copied on the host, handed over as bytes, destroyed after the launch."""

from __future__ import annotations

from pathlib import Path

import pytest
from tinygan_kernels.emulator import CompilationError
from tinygan_kernels.emulator.program.by_value import refused_launches, with_launches_by_value
from tinygan_kernels.emulator.program.program import Program

pytest.importorskip("cuda.bindings", reason="needs NVRTC, of the extra [emulator]")
LOG = """p.cu(3): error: cannot pass an argument with a user-provided copy-constructor to a device-side kernel launch
      k<<<1, 1>>>(c);
p.cu(9): error: cannot pass an argument with a user-provided destructor to a device-side kernel launch
q.cuh(4): error: cannot pass an argument with a user-provided destructor to a device-side kernel launch
p.cu(7): error: expected a ";"
"""


def test_objects_are_copied_before_a_launch_and_destroyed_after_it(capsys):
    assert Program(Path(__file__).parent / "by_value.cu").run() == 0
    assert capsys.readouterr().out == "made\ncopied\ngone\ncopied\ngone\n1 10 10 5\ngone\n45 1\n"


def test_the_lines_that_a_compiler_refuses():
    assert refused_launches(LOG, "p.cu") == {3, 9}


@pytest.mark.parametrize(
    ("source", "lines", "expected"),
    [
        ("k<<<1, n>>>(c);", {1}, "host_launching(k, 1, n)(c);"),
        ("k<<<1, n>>>(c);", {2}, "k<<<1, n>>>(c);"),
        ("a::k<T, f(2, 3)> <<<g(1), 2,\n 0>>>\n(c,\n d);", {4}, "host_launching(a::k<T, f(2, 3)> , g(1), 2,\n 0)\n(c,\n d);"),
        ("k<<<1, 1>>>(a); k<<<2, 2>>>(b);\nk<<<3, 3>>>(c);", {1},
         "host_launching(k, 1, 1)(a); host_launching(k, 2, 2)(b);\nk<<<3, 3>>>(c);"),
        ('f("<<<1>>>("); // x<<<1>>>(c)\nk<<<1, 1>>>(")", c);', {1, 2},
         'f("<<<1>>>("); // x<<<1>>>(c)\nhost_launching(k, 1, 1)(")", c);'),
        ("x = a <<< b", {1}, "x = a <<< b"),
    ],
)  # fmt: skip
def test_the_launches_at_these_lines_are_changed_and_no_others(source, lines, expected):
    assert with_launches_by_value(source, lines) == expected


def test_what_cannot_be_changed_is_refused_as_the_compiler_refuses_it(tmp_path):
    """Which kernel of a template is meant is told by its arguments alone; a pointer to it tells nothing."""
    (tmp_path / "p.cu").write_text(
        "struct S { S() {} S(const S&) {} };\ntemplate <class T> __global__ void k(T t) {}\nint main() { S s;\nk<<<1, 1>>>(s); }\n"
    )
    with pytest.raises(CompilationError, match=r"p\.cu\(4\): error: cannot pass an argument with a user-provided copy-constructor"):
        Program(tmp_path / "p.cu")
