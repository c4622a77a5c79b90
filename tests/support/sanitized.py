"""Run a kernel under the sanitizer, and look at what it finds."""

from tinygan_kernels import emulator


def findings_of(code: str, grid, block, *args, shared_mem: int = 0, name: str = "k"):
    kernel = emulator.RawModule(code=code).get_function(name)
    with emulator.sanitize() as findings:
        kernel(grid, block, args, shared_mem=shared_mem)
    return findings


def line_of(code: str, text: str = "BUG") -> int:
    return next(i for i, line in enumerate(code.splitlines(), 1) if text in line)


def one(code: str, tool: str, grid, block, *args, shared_mem: int = 0):
    """Return the only finding, and check that it is of that tool, at the line marked BUG, in the usual order of threads."""
    findings = findings_of(code, grid, block, *args, shared_mem=shared_mem)
    assert [f.tool for f in findings] == [tool], [str(f) for f in findings]
    assert findings[0].source == f"kernel.cu:{line_of(code)}", str(findings[0])
    assert (findings[0].kernel, findings[0].order) == ("k", ""), str(findings[0])
    return findings[0]
