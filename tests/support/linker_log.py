"""A log of nvJitLink, which tells of the kernels `other` and `mine`, and of `mine` in two forms."""

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'other' for 'sm_80'
ptxas         .     8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers
ptxas info    : Compiling entry function 'mine' for 'sm_80'
ptxas info    : Function properties for mine
ptxas         .     224 bytes stack frame, 124 bytes spill stores, 96 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers
info    : Function properties for 'mine':
info    : used 128 registers, used 1 barriers, 224 stack, 5376 bytes smem, 568 bytes cmem[0], 0 bytes lmem
"""
