"""What tinygan/engine/operations.py declares for editors and type checkers is what ops/operators.py binds; and mypy can see it."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from benchmarks.docs.stubs import PATH, text
from tinygan import Tensor, ops
from tinygan.engine import operations
from tinygan.engine.ops import operators

ROOT = Path(__file__).resolve().parents[3]


def declared(source: str) -> dict[str, list[tuple[str, str | None]]]:
    """Return the (name, default) of each parameter but self, for each function declared in the class."""
    functions = {node.name: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    return {name: [*_parameters(node.args)][1:] for name, node in functions.items()}


def _parameters(given: ast.arguments):
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + [ast.unparse(value) for value in given.defaults]
    yield from ((arg.arg, default) for arg, default in zip(plain, defaults, strict=True))
    if given.vararg:
        yield f"*{given.vararg.arg}", None
    yield from ((arg.arg, value and ast.unparse(value)) for arg, value in zip(given.kwonlyargs, given.kw_defaults, strict=True))


def bound(name: str) -> list[tuple[str, str | None]]:
    """Return the same of what Tensor has at run time."""
    function = getattr(Tensor, name)
    function = function.fget if isinstance(function, property) else function
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [("*" * (p.kind is p.VAR_POSITIONAL) + p.name, None if p.default is p.empty else repr(p.default)) for p in parameters]


DECLARED = declared(inspect.getsource(operations))
BOUND = {*operators.OPERATORS, *(function.__name__ for function in operators.METHODS), "reshape", "transpose"}


def test_every_operator_and_method_is_declared_and_bound():
    assert set(DECLARED) == BOUND and len(BOUND) > 35
    assert all(name in vars(Tensor) for name in BOUND)


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_declarations_have_the_parameters_of_the_functions(name):
    assert name in BOUND, f"tinygan/engine/operations.py declares {name}, which ops/operators.py does not bind"
    own = bound(name)
    if name.startswith("__") or name == "T":  # operators are called by place
        assert len(DECLARED[name]) == (0 if name == "T" else len(own)), name
    else:
        assert DECLARED[name] == own, f"tinygan/engine/operations.py declares {name} otherwise than it is"


def test_a_declaration_that_differs_is_seen():
    source = inspect.getsource(operations).replace("slope: float = 0.2", "slope: float = 0.1")
    assert declared(source)["leaky_relu"] != bound("leaky_relu") == DECLARED["leaky_relu"]


def test_both_packages_say_that_they_are_typed():
    setup = (ROOT / "setup.py").read_text()
    for package, folder in (("tinygan", "tinygan"), ("tinygan_kernels", "kernels/tinygan_kernels")):
        assert (ROOT / folder / "py.typed").is_file() and re.search(rf'"{package}": \["py.typed"\]', setup)


def _files_of(module):
    """The files of a module in the list, or of a package and all that is in it: "package.*"."""
    top = ROOT / "kernels" if module.startswith("tinygan_kernels") else ROOT
    path = top.joinpath(*module.removesuffix(".*").split("."))
    alone = [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()]
    found = [*path.rglob("*.py")] if module.endswith(".*") else alone
    assert found, f"pyproject.toml leaves out {module}, which does not exist"
    return found


def test_lint_runs_mypy_on_all_that_is_public():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^LINT = .*&& \$\(BIN\)/mypy; }\n", makefile, re.M)
    assert re.search(r"^lint:.*\n\t\$\(LINT\)\n", makefile, re.M) and re.search(r"^test:.*\n\t\$\(LINT\) & ", makefile, re.M)
    config = (ROOT / "pyproject.toml").read_text()
    assert 'files = ["tinygan", "kernels/tinygan_kernels", "tests/typing"]' in config
    listed = config.partition("# What is not checked yet")[2].partition("ignore_errors")[0]
    excluded = re.findall(r'"((?:tinygan|tinygan_kernels)\.[\w.*]+)"', listed)
    files = {path for name in excluded for path in _files_of(name)}
    assert 0 < len(files) <= 140, f"{len(files)} files are not checked: their number only gets smaller"
    public = ("tinygan.engine", "tinygan.nn", "tinygan.optim", "tinygan.game", "tinygan.fitting", "tinygan.training")
    assert not [name for name in excluded if name.startswith(public)]


# ---- ops ------------------------------------------------------------------------------------------------------------------------


def test_the_stub_declares_every_op_as_users_call_it():
    """`Operand` stands wherever an op's function takes a tensor, and every op is there once."""
    made = text()
    functions = [node for node in ast.walk(ast.parse(made)) if isinstance(node, ast.FunctionDef)]
    assert sorted(node.name for node in functions) == sorted(set(ops.__all__) - {"BackendMismatch", "as_tensor", "launch"})
    lines = made.splitlines()
    for line in (
        "def relu(x: Operand) -> Tensor: ...",
        'def bias_act(x: Operand, b: Operand, act: str = "linear", slope: float = 0.0) -> Tensor: ...',
        "def concat(tensors: Iterable[Operand], axis: int = 0) -> Tensor: ...", "def add(a: Any, b: Any) -> Tensor: ...",
    ):
        assert line in lines
    assert not re.search(r"[(,] ?\w+: [^)]*\bTensor\b[^)]*\) ->", made), "an argument that has to be a tensor"


def test_the_stub_is_up_to_date():
    assert PATH.read_text() == text(), "tinygan/engine/ops/__init__.pyi is out of date; run python -m benchmarks.docs.stubs"


def test_the_stub_is_installed():
    assert '"tinygan.engine.ops": ["*.pyi"]' in (ROOT / "setup.py").read_text()
