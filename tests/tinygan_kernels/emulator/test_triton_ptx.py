"""What of Triton's context needs no Triton: lines of its PTX, and what it says where Triton is missing."""

from __future__ import annotations

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
