"""The errors that a user of the emulator can meet. Each message is one line, which names the argument, line or thread."""


class EmulatorError(Exception):
    """Raised where the emulator cannot do what it was asked: a wrong argument, a compile error, a deadlock, a trap."""


class CompilationError(EmulatorError):
    """Raised for CUDA C++ that does not compile. The message holds the compiler's log."""


class UnsupportedInstruction(EmulatorError):
    """Raised for PTX with an instruction (or a variant of one) that the emulator does not execute."""


class KernelAssertion(EmulatorError):
    """Raised where an `assert` inside a kernel fails (a GPU reports cudaErrorAssert)."""
