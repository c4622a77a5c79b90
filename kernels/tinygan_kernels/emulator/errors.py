"""The errors a user of the emulator can meet, each one clear line."""


class EmulatorError(Exception):
    """Something the emulator was asked to do cannot be done: a wrong argument, a compile error, a hang, a trap."""


class UnsupportedInstruction(EmulatorError):
    """The PTX holds an instruction (or a variant of one) that the emulator does not execute."""


class KernelAssertion(EmulatorError):
    """`assert` failed inside a kernel (a GPU reports cudaErrorAssert)."""
