"""Grid synchronisation for kernels of Numba: the two functions that `cuda.cg.this_grid().sync()` calls.

Numba links them from libcudadevrt, which is machine code. This is the same barrier in PTX, as cooperative_groups.h has it for CUDA
C++: the workspace of a cooperative launch holds a word in which one thread of each block counts. Block 0 adds 2^31 - (blocks - 1),
all others 1, so that the sign flips when the last has come.
"""

from __future__ import annotations

from .ptx_linking import joined

HANDLE, SYNCHRONIZE = "cudaCGGetIntrinsicHandle", "cudaCGSynchronize"
_BARRIER = """.version 6.0
.target sm_60
.address_size 64
.visible .func (.param .b64 handle) cudaCGGetIntrinsicHandle(.param .b32 scope)
{
 .reg .b64 %h<2>;
 .reg .b32 %e<3>;
 .loc 0 0 0
 mov.u32 %e1, %envreg1;
 mov.u32 %e2, %envreg2;
 mov.b64 %h1, {%e2, %e1};
 st.param.b64 [handle], %h1;
 ret;
}
.visible .func (.param .b32 status) cudaCGSynchronize(.param .b64 group, .param .b32 flags)
{
 .reg .b64 %a<2>;
 .reg .b32 %n<20>;
 .reg .pred %q<6>;
 .loc 0 0 0
 ld.param.u64 %a1, [group];
 setp.ne.u64 %q1, %a1, 0;
 @%q1 bra $valid;
 trap;
$valid:
 bar.sync 0;
 mov.u32 %n1, %tid.x;
 mov.u32 %n2, %tid.y;
 mov.u32 %n3, %tid.z;
 or.b32 %n4, %n1, %n2;
 or.b32 %n4, %n4, %n3;
 setp.ne.u32 %q2, %n4, 0;
 @%q2 bra $met;
 mov.u32 %n5, %nctaid.x;
 mov.u32 %n6, %nctaid.y;
 mov.u32 %n7, %nctaid.z;
 mul.lo.u32 %n5, %n5, %n6;
 mul.lo.u32 %n5, %n5, %n7;
 sub.u32 %n8, 0x80000001, %n5;
 mov.u32 %n9, %ctaid.x;
 mov.u32 %n10, %ctaid.y;
 mov.u32 %n11, %ctaid.z;
 or.b32 %n12, %n9, %n10;
 or.b32 %n12, %n12, %n11;
 setp.eq.u32 %q3, %n12, 0;
 selp.u32 %n13, %n8, 1, %q3;
 fence.acq_rel.gpu;
 atom.add.global.u32 %n14, [%a1+4], %n13;
$wait:
 ld.acquire.gpu.global.u32 %n15, [%a1+4];
 xor.b32 %n16, %n15, %n14;
 setp.ge.s32 %q4, %n16, 0;
 @%q4 bra $wait;
 fence.acq_rel.gpu;
$met:
 bar.sync 0;
 st.param.b32 [status], 0;
 ret;
}
"""


def with_grid_sync(ptx: str) -> tuple[str, bool]:
    """Return a kernel's PTX with the functions of grid synchronisation if it calls one, and whether it synchronises."""
    return (joined([ptx, _BARRIER]) if HANDLE in ptx or SYNCHRONIZE in ptx else ptx), SYNCHRONIZE in ptx
