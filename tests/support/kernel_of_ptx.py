"""Kernels of PTX that a test writes line by line, and knows its lines of."""

from tinygan_kernels import emulator
from tinygan_kernels.emulator.translate.kernel import TranslatedKernel

HEAD = (".version 8.0", ".target sm_90", ".address_size 64")
REGISTERS = (".reg .pred %p<9>;", ".reg .b16 %h<99>;", ".reg .b32 %r<3000>;", ".reg .b64 %d<3000>;")


class Written:
    """The text of a kernel `k`, to which lines are added; `lines` has the number of each line that was given a name."""

    def __init__(self, params: str, before: str = "", variables: str = ""):
        """params: "p u64, n u32"; before: what stands before the kernel; variables: declarations in it."""
        pairs = (each.split() for each in params.split(",") if each.strip())
        declared = ", ".join(f".param .{kind} {name}" for name, kind in pairs)
        self.text = [*HEAD, *before.splitlines(), f".visible .entry k({declared})", "{", *REGISTERS, *variables.splitlines()]
        self.lines: dict[str, int] = {}

    def add(self, text: str, name: str | None = None) -> None:
        """Add lines, of which the last gets a name."""
        self.text += text.splitlines()
        if name is not None:
            assert name not in self.lines
            self.lines[name] = len(self.text)

    def function(self) -> emulator.RawKernel:
        """Return the kernel, to be launched."""
        return emulator.RawModule(code="\n".join([*self.text, "ret;", "}"])).get_function("k")

    def kernel(self) -> TranslatedKernel:
        """Return the kernel, translated."""
        return self.function().translated
