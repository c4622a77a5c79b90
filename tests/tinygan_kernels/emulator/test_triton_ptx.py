"""What of Triton's context needs no Triton: lines of its PTX, and what it says where Triton is missing."""

from __future__ import annotations

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator.host import triton_context

PTX = """\
.loc 1 13 9
// begin inline asm
.loc 1 13 9
mov.u32 %r1, 0x0;
.loc 1 14 9
ld.global.b32 %r1, [%rd1];
// end inline asm
.loc 1 14 5
// begin inline asm
st.global.b32 [%rd1], %r1;
// end inline asm
.loc 1 15 1
"""


def test_inline_assembly_is_on_the_line_of_the_kernel():
    assert triton_context.located(PTX) == PTX.replace(".loc 1 14 9\n", "\n")


def test_without_triton_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(triton_context, "find_spec", lambda name: None)
    with pytest.raises(EmulatorError, match=r"needs Triton: pip install -e '.\[triton\]'"), emulator.triton():
        pass


POINTERS = """\
.version 8.0
.target sm_80
.address_size 64
.visible .entry put(
  .param .f32 value, .param .u64 .ptr .global .align 1 out, .param .u32 by, .param .u64 .ptr .global .align 1 more)
{
  .reg .b64 %rd<3>; .reg .f32 %f1; .reg .b32 %r1;
  ld.param.f32 %f1, [value]; ld.param.u64 %rd1, [out]; ld.param.u32 %r1, [by]; ld.param.u64 %rd2, [more];
  st.global.f32 [%rd1], %f1; st.global.u32 [%rd2], %r1;
  ret;
}
"""


def test_a_pointer_behind_a_number_lies_at_a_multiple_of_8_whatever_it_points_to():
    """As Triton declares pointers: `.align 1` is of what they point to."""
    out, more = np.zeros(1, np.float32), np.zeros(1, np.int32)
    emulator.RawModule(code=POINTERS).get_function("put")((1,), (1,), (np.float32(2.5), out, np.int32(7), more))
    assert (out[0], more[0]) == (2.5, 7)
