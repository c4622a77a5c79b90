"""LLVM makes machine code of the IR of host code, for this machine, and keeps it as long as Python runs."""

from __future__ import annotations

from typing import Any

from llvmlite import binding

from tinygan_kernels.emulator.errors import EmulatorError

_ENGINES: list = []


def _machine() -> Any:
    """Return a new description of this machine for LLVM."""
    if binding.llvm_version_info[0] < 20:
        binding.initialize()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    return target.create_target_machine(cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=2)


def machine_code(text: str) -> Any:
    """Compile IR; return LLVM's engine, which gives the addresses of its functions. It is kept, as addresses of it are."""
    try:
        module = binding.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise EmulatorError(f"host code cannot be compiled to machine code: {' '.join(str(error).split())[:300]}") from None
    _optimise(module, _machine())
    engine = binding.create_mcjit_compiler(module, _machine())
    engine.finalize_object()
    _ENGINES.append(engine)
    return engine


def _optimise(module: Any, machine: Any) -> None:
    """Let LLVM optimise a module, by the new pass manager where llvmlite has it."""
    if hasattr(binding, "create_pass_builder"):
        options = binding.create_pipeline_tuning_options(speed_level=2)
        builder = binding.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return
    builder = binding.create_pass_manager_builder()
    builder.opt_level = 2
    builder.inlining_threshold = 225
    passes = binding.create_module_pass_manager()
    builder.populate(passes)
    passes.run(module)
