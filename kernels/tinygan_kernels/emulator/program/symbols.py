"""Names in the IR of host code for addresses that are known only when a program runs, so that one compilation serves every run."""

from __future__ import annotations

from .writer import pointer, quoted


class Symbols:
    """The names that some IR has for addresses. `names` lists those that it uses; `machine_code.loaded` gives them a meaning.

    A name has a kind in front: "cell." for a word of the process's state, "unwinding." for one of its exceptions' lists, "extern."
    for a function of the process, "at." for a variable or a kernel of the program. PTX has no name with a dot in it, so that none
    of them can be a function's. Each is declared as one byte, of which LLVM may think that it can be read, and no byte more.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    def address(self, name: str, offset: int = 0) -> str:
        """Return the address that a name stands for, plus an offset, as a constant i64 of the IR."""
        self.names.add(name)
        address = f"ptrtoint ({pointer('i8')} @{quoted(name)} to i64)"
        return f"add (i64 {address}, i64 {offset})" if offset else address

    def at(self, name: str, kind: str = "i64", offset: int = 0) -> str:
        """Return a pointer to a value of an LLVM type at that address, with its own type before it."""
        return f"{pointer(kind)} inttoptr (i64 {self.address(name, offset)} to {pointer(kind)})"

    def declarations(self) -> str:
        """Return the lines that declare the names which were used."""
        return "\n".join(f"@{quoted(name)} = external global i8" for name in sorted(self.names))
