"""LLVM makes machine code of the IR of host code, for this machine, and loads it as often as a program runs.

Compiling takes LLVM most of the time that a program needs before it begins, so that machine code is kept on disk beside the PTX
that NVRTC made (`ptx_cache`), by a hash of the IR, of LLVM's version and of the processor.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import llvmlite
from llvmlite import binding

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.host import ptx_cache

from .writer import quoted

OPTIMISATION = 1
PASSES = ("sroa", "simplify_cfg", "instruction_combine")
"""What LLVM does with the IR. NVRTC has optimised it already: these take its registers, which are written as slots of the stack,
out of memory again. LLVM's whole pipeline takes as long as making machine code does, and a product of matrices or std::sort runs
no faster for it. Only the many small calls of a program that catches exceptions, in which NVRTC inlines nothing, take half as long
again without it.
"""
_LOADED: list = []


def _machine() -> Any:
    """Return a new description of this machine for LLVM."""
    if binding.llvm_version_info[0] < 20:
        binding.initialize()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    cpu, features = _processor()
    return target.create_target_machine(cpu=cpu, features=features, opt=OPTIMISATION, jit=True)


def _processor() -> tuple[str, str]:
    """Return this machine's processor and what it can do, as LLVM says both."""
    return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


def machine_code(text: str) -> bytes:
    """Return an object file with the machine code of IR. Raises EmulatorError for IR that is wrong."""
    versions = [llvmlite.__version__, binding.llvm_version_info, binding.get_default_triple(), *_processor(), OPTIMISATION, PASSES]
    name = hashlib.sha256(json.dumps(["machine code", text, versions]).encode()).hexdigest()
    found = ptx_cache.read(name)
    if found is None:
        found = _compiled(text)
        ptx_cache.write(name, found)
    return found


def _compiled(text: str) -> bytes:
    """Compile IR to an object file."""
    machine = _machine()
    try:
        module = binding.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise EmulatorError(f"host code cannot be compiled to machine code: {' '.join(str(error).split())[:300]}") from None
    _optimise(module, machine)
    return machine.emit_object(module)


def loaded(code: bytes, symbols: dict[str, int]) -> Any:
    """Load an object file; return LLVM's engine, which gives the addresses of its functions. It is kept, as addresses of it are.

    symbols: {name in the IR: address that it stands for}.
    """
    machine = _machine()
    names = binding.parse_assembly("\n".join(f"@{quoted(name)} = external global i8" for name in symbols))
    variables = {name: names.get_global_variable(name) for name in symbols}
    engine = binding.create_mcjit_compiler(names, machine)
    for name, address in symbols.items():
        engine.add_global_mapping(variables[name], address)
    file = binding.ObjectFileRef.from_data(code)
    engine.add_object_file(file)
    engine.finalize_object()
    _LOADED.append((engine, file, code))
    return engine


def _optimise(module: Any, machine: Any) -> None:
    """Let LLVM optimise a module by PASSES; where llvmlite is too old to have them one by one, by the whole pipeline."""
    if hasattr(binding, "create_new_module_pass_manager"):
        passes = binding.create_new_module_pass_manager()
        if all(hasattr(passes, f"add_{name}_pass") for name in PASSES):
            for name in PASSES:
                getattr(passes, f"add_{name}_pass")()
            options = binding.create_pipeline_tuning_options(speed_level=OPTIMISATION)
            passes.run(module, binding.create_pass_builder(machine, options))
            return
    if hasattr(binding, "create_pass_builder"):
        options = binding.create_pipeline_tuning_options(speed_level=OPTIMISATION)
        builder = binding.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return
    builder = binding.create_pass_manager_builder()
    builder.opt_level = OPTIMISATION
    passes = binding.create_module_pass_manager()
    builder.populate(passes)
    passes.run(module)
