"""Run the PTX of CUDA C++ and Numba kernels on the CPU, on NumPy arrays: parse, translate, execute, check, count.

No GPU, driver or CUDA toolkit is needed; compiling needs `pip install -e '.[emulator]'`.

    from tinygan_kernels import emulator

    kernel = emulator.RawKernel(source, "axpy")                  # as CuPy: CUDA C++ (compiled by NVRTC) or PTX text
    module = emulator.RawModule(code=source)                     # ... or several kernels of one source
    kernel = module.get_function("axpy")                         # extern "C" __global__ void axpy(...)
    kernel((blocks,), (256,), (np.float32(2), x, y, np.int32(n)), shared_mem=0)     # as CuPy; changes y in place
    emulator.launch(numba_kernel, grid, block, x, y)             # an ordinary @numba.cuda.jit function
    with emulator.numba(): ...                                   # a whole Numba CUDA program as it is
    with emulator.triton(): ...                                  # Triton kernels, kernel[grid](...)
    from tinygan_kernels.emulator import cupy as cp              # for scripts with CuPy's arrays and kernels

    python -m tinygan_kernels.emulator script.py                 # ... without a change in it
    python -m tinygan_kernels.emulator program.cu                # a CUDA C++ program with its main()

Checks are on: a launch in which the sanitizer finds something raises SanitizerError, whose `findings` say what was found,
at which line and for which thread.

    with emulator.checks(False): kernel(...)                     # several times faster; bounds are still checked
    with emulator.sanitize() as findings: kernel(...)            # collect a list of Finding instead of raising
    emulator.tensor_map(array, (128, 64), swizzle=128)           # an argument for a parameter CUtensorMap
    x = emulator.empty(shape, dtype)                             # reading it before it is written is a finding

Counting, under Nsight Compute's metric names:

    with emulator.count() as c: kernel(...)
    c["l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum"]          # over all launches inside
    c.kernel("axpy")["smsp__inst_executed.sum"]; c.lines("axpy")[12]    # of one kernel; of one source line

Reading what runs:

    print(emulator.translation(kernel))                          # the Python that a kernel became, beside its PTX

Time travel, a warp forward and back by source line, with registers, shared memory and masks:

    trace = emulator.trace(kernel, (blocks,), (256,), (x, y, n), thread_block=1, warp=2)
    trace.next(); trace.line; trace.value("sum").values; trace.back(); trace.to_line(12)

Not supported: dynamic parallelism, Blackwell's tcgen05. Blocks of a grid run in order, some thousand threads at a
time; blocks that wait for later ones run in turns with them, as far as an A100 would hold them all. Launches that do not end
are stopped: where threads run in a circle that nothing can end, and after 2,000,000 basic blocks (`with
emulator.step_budget(n)` sets another number). Sizes up to about 512 x 512 x 512 multiply-adds per launch take seconds.

docs/emulator.md follows one kernel through the subpackages. In reading order, each importing only from those above it:

    syntax      ptx (what PTX consists of), tokens, declarations, parser, cfg (basic blocks and their order), calls
    semantics   integers, floats, rounding, conversions, narrow_floats, pairs, warps, block_scales, fragments, sparsity, matrix,
                quarter_products, warpgroups, atomics, mbarriers, tensor_maps, texels, sampling: what instructions compute, as pure
                functions
    translate   opcodes (the table), emitter, arithmetic, extrema, data, memory, bulk, textures, sparsity, narrow_products, warp,
                warpgroups, barriers, terminators: instructions become Python; translator makes a TranslatedKernel (kernel), listing
                prints it
    execute     lanes, clusters, machine, scheduler, barriers, collectives, cluster_barriers, progress, residency, memory, access,
                fragments, atomics, mbarriers, bulk, tensor_copies, sparsity, warpgroups, heap, printing, frames;
                texture_objects, bindless, mipmaps, textures, surfaces
    sanitizer   findings, strength, knowledge, order, messages, races, extents, copies, mbarriers, clusters, collectives, proxies,
                products, chunk; beside it: counters
    host        headers, driver_header, thrust, tensor_maps, toolkit, nvrtc, nvjitlink, ptx_cache, kernel_names, signature,
                rawmodule; numba_launch, numba_device, numba_core, numba_code, numba_lines, numba_arguments, numba_linking,
                ptx_linking, grid_sync, numba_context; triton_context, torch_devices; translation; arguments, pointers, launch
    stepping    debug_information, recorder, trace, launches, session: a launch recorded, and stepped through
    program     sources; memory, process, waiting, scanf, c_library, cuda_errors, cuda_arrays, cuda_memory, tensor_maps, launch,
                cuda_runtime: what host code of a CUDA C++ program calls; writer, arithmetic, comparisons, conversions,
                libraries, lowering, machine_code: its PTX becomes machine code; program. include/ has the headers of its C and
                C++ library
    cupy        arrays, user-defined kernels, memory, streams, runtime, textures and surfaces under CuPy's names, and cupyx
"""

from importlib import import_module

_WHERE = {
    "RawModule": "host.rawmodule",
    "RawKernel": "host.rawmodule",
    "launch": "host.numba_launch",
    "numba": "host.numba_context",
    "triton": "host.triton_context",
    "translation": "host.translation",
    "Program": "program.program",
    "count": "counters",
    "Counts": "counters",
    "checks": "sanitizer.findings",
    "sanitize": "sanitizer.findings",
    "Finding": "sanitizer.findings",
    "SanitizerError": "sanitizer.findings",
    "empty": "execute.memory",
    "im2col_map": "host.tensor_maps",
    "tensor_map": "host.tensor_maps",
    "trace": "stepping.launches",
    "Trace": "stepping.trace",
    "spin_budget": "program.waiting",
    "step_budget": "execute.progress",
    "EmulatorError": "errors",
    "CompilationError": "errors",
    "KernelAssertion": "errors",
    "UnsupportedInstruction": "errors",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str):
    """Import the module of a public name when the name is first used; importing the package itself costs nothing."""
    if name == "cupy":
        return import_module(".cupy", __name__)
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
