"""Which kernel of a module a name means: its name in the PTX, a name expression, or the plain name of one without extern "C"."""

from __future__ import annotations

import re
import warnings

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.syntax.ptx import Module


def plain_name(mangled: str) -> str:
    """Return a function's own name, without namespaces and parameters: k of _Z1kPf and of _ZN5space1kIfEEvPT_.

    A name that C++ did not mangle comes back as it is. (Itanium C++ ABI, 5.1: every part of a name is preceded by its length.)
    """
    prefix = re.match(r"_ZN?[KL]*(?=\d)", mangled)
    if not prefix:
        return mangled
    at, name = prefix.end(), mangled
    while number := re.match(r"\d+", mangled[at:]):
        start = at + number.end()
        at = start + int(number[0])
        name = mangled[start:at]
        if prefix[0][:3] != "_ZN":
            break
    return name


def kernel_named(module: Module, name: str) -> str:
    """Return the name in the PTX of the kernel that `name` means.

    A kernel that was declared without extern "C" has a mangled name in the PTX. Where it is the only one of its plain name, it is
    taken, with a UserWarning, as CuPy does not find it. Raises EmulatorError, listing the module's kernels, where there is none or
    more than one.
    """
    entries = [n for n, f in module.functions.items() if f.is_entry]
    if name in entries:
        return name
    meant = [n for n in entries if plain_name(n) == name]
    if len(meant) == 1:
        warnings.warn(
            f'kernel {name} is declared without extern "C", so that its name is {meant[0]}; it is taken as the only one of that '
            f'name. CuPy and the driver do not find it by {name!r}: write extern "C" __global__, or name_expressions=({name!r},)',
            UserWarning, stacklevel=4,
        )  # fmt: skip
        return meant[0]
    if meant:
        raise EmulatorError(
            f"{len(meant)} kernels of the module are named {name}: {', '.join(meant)}; give one of these names, or tell them apart "
            "with name_expressions"
        )
    listed = ", ".join(n if plain_name(n) == n else f"{plain_name(n)} ({n})" for n in entries)
    hint = "" if entries else "; a template becomes a kernel only where name_expressions=('f<float>', ...) asks for it"
    raise EmulatorError(f"no kernel named {name!r} in the module; its kernels: {listed or 'none'}{hint}")
