"""The errors that a user of the emulator can meet. Each message is one line, which names the argument, line or thread."""


class EmulatorError(Exception):
    """The emulator cannot do what it was asked: a wrong argument, a compile error, a deadlock, a trap."""


class UnsupportedInstruction(EmulatorError):
    """The PTX holds an instruction (or a variant of one) that the emulator does not execute."""


class KernelAssertion(EmulatorError):
    """`assert` failed inside a kernel (a GPU reports cudaErrorAssert)."""
