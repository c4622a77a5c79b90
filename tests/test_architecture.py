"""The floor plan, enforced: who imports whom, what `import tinygan` costs, and what nobody does."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tinygan_kernels

import tinygan

ROOT = Path(__file__).resolve().parents[1]
ENGINE, KERNELS = ROOT / "tinygan", ROOT / "kernels" / "tinygan_kernels"
SOURCES = sorted([*ENGINE.rglob("*.py"), *KERNELS.rglob("*.py")])
ALL = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


def name_of(path: Path) -> str:
    """tinygan/ops.py -> tinygan.ops; a package's __init__ has the package's name."""
    root = ROOT / "kernels" if KERNELS in path.parents else ROOT
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> set[str]:
    """Modules that a file imports: at once, when a function is called, or for a type checker alone. All of them count.

    A module's full name in a string counts as well: tables of such names are what `import_module` is given.
    """
    found, package = set(), name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*start, *(node.module.split(".") if node.module else [])])
            # `from . import ops` imports a module, `from .ops import sum` a name in one
            members = {f"{source}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= members
            if len(members) < len(node.names):
                found.add(source)
        elif isinstance(node, ast.Constant) and node.value in MODULES and "." in node.value:
            found.add(node.value)
    return found


MODULES = {name_of(path): path for path in SOURCES}


@cache
def graph() -> dict[str, set[str]]:
    """Return {module: modules that it imports}; made when a test asks, as every process that runs tests reads this file."""
    return {name: (imports(path) & MODULES.keys()) - {name} for name, path in MODULES.items()}


# ---- the floors -----------------------------------------------------------------------------------------------------------------

# From the lowest floor up. A room is a package or a single module; a module belongs to the longest name that fits it. A room may
# import from the floors below its own and from itself, and from nowhere else: rooms of one floor do not know each other.
FLOORS = [
    # -- the emulator, in the order in which a kernel passes through it; its front door on top
    ["tinygan_kernels.emulator.errors", "tinygan_kernels.extras", "tinygan_kernels.child_process", "tinygan_kernels.source_files"],
    ["tinygan_kernels.doctor"],
    ["tinygan_kernels.emulator.syntax", "tinygan_kernels.emulator.semantics"],
    ["tinygan_kernels.emulator.translate"],
    ["tinygan_kernels.emulator.execute"],
    ["tinygan_kernels.emulator.sanitizer", "tinygan_kernels.emulator.counters"],
    ["tinygan_kernels.emulator.host"],
    ["tinygan_kernels.emulator.stepping"],
    ["tinygan_kernels.emulator.program"],
    ["tinygan_kernels.emulator"],
    # -- tinygan_kernels: arrays in, arrays out
    ["tinygan_kernels.parameters", "tinygan_kernels.shapes", "tinygan_kernels.winograd_formulas", "tinygan_kernels.writes"],
    ["tinygan_kernels.contract"],
    ["tinygan_kernels.backend"],
    ["tinygan_kernels.reference", "tinygan_kernels.cpu.runtime"],
    ["tinygan_kernels.cpu.memory", "tinygan_kernels.cpu.ladder", "tinygan_kernels.cpu.vector_math"],
    ["tinygan_kernels.cpu.row_formulas", "tinygan_kernels.cpu.normal_rng"],
    ["tinygan_kernels.cpu.elementwise", "tinygan_kernels.cpu.reductions", "tinygan_kernels.cpu.updates"],
    ["tinygan_kernels.cpu.bias_act", "tinygan_kernels.cpu.batch_norm", "tinygan_kernels.cpu.bce", "tinygan_kernels.cpu.matmul"],
    ["tinygan_kernels.cpu.conv", "tinygan_kernels.cpu.bindings"],
    ["tinygan_kernels.cuda.array_kernels"],
    ["tinygan_kernels.cuda.device"],
    ["tinygan_kernels.cuda.ladder", "tinygan_kernels.cuda.graph"],
    ["tinygan_kernels.cuda.cpp", "tinygan_kernels.cuda.numba_kernels"],
    ["tinygan_kernels.cpu", "tinygan_kernels.cuda"],
    ["tinygan_kernels"],
    ["tinygan_kernels.verification"],
    ["tinygan_kernels.profiling"],
    ["tinygan_kernels.own"],
    ["tinygan_kernels.puzzles"],
    # -- tinygan: gradients and the game
    ["tinygan.version", "tinygan.options", "tinygan.atomic_files", "tinygan.engine.conversion", "tinygan.engine.elsewhere",
     "tinygan.engine.operations", "tinygan.engine.numpy_callers"],
    ["tinygan.engine.values"],
    ["tinygan.engine.wrt", "tinygan.engine.settings"],
    ["tinygan.engine.tensor"],
    ["tinygan.engine.ops"],
    ["tinygan.engine"],
    ["tinygan.derive"],
    ["tinygan.nn"],
    ["tinygan.optim", "tinygan.drawing"],
    ["tinygan.data.comparison"],
    ["tinygan.data.units"],
    ["tinygan.data.reading"],
    ["tinygan.data.readers", "tinygan.data.batches"],
    ["tinygan.data.kinds"],
    ["tinygan.game", "tinygan.data"],
    ["tinygan.training"],
    ["tinygan.walkthrough"],
    ["tinygan.measure"],
    ["tinygan.fitting"],
    ["tinygan"],
    ["tinygan.theory"],
    ["tinygan.exercises"],
    ["tinygan.play"],
    ["tinygan.cli"],
    ["tinygan.__main__"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    """Return the room that a module is in: the longest of the rooms' names that its own name begins with."""
    return max((room for room in FLOOR if module == room or module.startswith(f"{room}.")), key=len)


def test_the_graph_of_imports_was_read():
    assert "tinygan.engine.tensor" in graph()["tinygan.engine.ops"] and "tinygan.engine.ops" in graph()["tinygan.game.moves"]
    assert "tinygan_kernels.contract" in graph()["tinygan_kernels.backend"]
    assert "tinygan.training.config" in graph()["tinygan.measure.pictures"], "an import for a type checker alone"
    assert "tinygan_kernels.emulator" in graph()["tinygan_kernels.verification.verify"], "an import inside a function"
    assert "tinygan_kernels.cpu.backend" in graph()["tinygan_kernels"], "a name in the table of backends"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_upward(name):
    room = room_of(name)
    for other in map(room_of, graph()[name]):
        here, there = FLOOR[room], FLOOR[other]
        assert other == room or there < here, f"{name} (floor {here}) imports from {other} (floor {there})"


def test_every_floor_is_in_use():
    assert {room_of(name) for name in MODULES} == set(FLOOR)


def test_there_are_no_circles():
    """Imports form no circle, within rooms too. A module's import of its own package does not count, as the package is loaded
    before it.
    """
    inner = {name: {o for o in others if not name.startswith(f"{o}.")} for name, others in graph().items()}
    done: set[str] = set()
    while ready := [name for name, others in inner.items() if name not in done and others <= done]:
        done |= set(ready)
    assert done == set(inner), f"a circle among {sorted(set(inner) - done)}"


def reachable(name: str) -> set[str]:
    """Return every module that is loaded when a module is imported."""
    seen, stack = set(), [name]
    while stack:
        for other in graph()[stack.pop()] - seen:
            seen.add(other)
            stack.append(other)
    return seen


def test_kernels_know_nothing_of_gradients():
    for path in KERNELS.rglob("*.py"):
        assert not any(module == "tinygan" or module.startswith("tinygan.") for module in imports(path)), path


def test_a_fast_kernel_does_not_call_the_reference_that_judges_it():
    fast = {name for name in MODULES if name.startswith(("tinygan_kernels.cpu", "tinygan_kernels.cuda"))}
    assert len(fast) > 20
    for name in fast:
        assert "tinygan_kernels.reference" not in reachable(name), name


def test_the_engine_reaches_kernels_only_through_a_backend():
    doors = {"tinygan_kernels", "tinygan_kernels.contract", "tinygan_kernels.backend", "tinygan_kernels.shapes"}
    doors |= {"tinygan_kernels.profiling.work", "tinygan_kernels.writes"}  # which count and take notes, and run nothing
    doors |= {"tinygan_kernels.extras", "tinygan_kernels.source_files"}  # what to install; files of a user: they run no kernel
    doors |= {"tinygan_kernels.child_process"}  # which starts other Pythons, and runs no kernel
    for name in MODULES:
        if name.startswith("tinygan.") and not name.startswith("tinygan.cli"):
            used = {o for o in graph()[name] if o.startswith("tinygan_kernels")}
            assert used <= doors, f"{name} imports {used - doors}"


def test_every_folder_is_a_package():
    """setup.py installs what find_packages finds: a folder without an __init__.py would be missing on a user's machine."""
    for path in SOURCES:
        assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


def test_the_tests_mirror_the_trees():
    """tests/tinygan/game/ tests tinygan/game/: no folder of tests without the folder that it is for."""
    for tree, tests in ((ENGINE, ROOT / "tests" / "tinygan"), (KERNELS, ROOT / "tests" / "tinygan_kernels")):
        folders = [folder for folder in tests.rglob("*") if folder.is_dir() and folder.name != "__pycache__"]
        assert len(folders) > 5
        for folder in folders:
            assert (tree / folder.relative_to(tests)).is_dir(), f"{folder} mirrors no package"


# ---- what is light stays light --------------------------------------------------------------------------------------------------

HEAVY = ("numba", "sklearn", "scipy", "matplotlib", "PIL", "typer", "rich", "safetensors", "cupy", "torch",
         "starlette", "uvicorn", "websockets")


STATEMENTS = ["import tinygan", "import tinygan.nn.architectures, tinygan.theory.gradient_cases", "import tinygan_kernels"]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_importing_the_engine_brings_numpy_alone(statement):
    code = f"import sys\n{statement}\nprint([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=3600)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_layers_optimisers_and_the_game_are_imported_at_their_first_use():
    names = "t.nn.Linear.__name__, t.game.V.__name__, t.optim.SGD.__name__"
    code = f"import sys, tinygan as t; print('tinygan.nn' in sys.modules, {names})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=3600)
    assert (done.stdout.split(), done.stderr) == (["False", "Linear", "V", "SGD"], "")


def test_the_probe_for_heavy_imports_sees_them():
    code = f"import sys\nimport PIL\nprint([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=3600).stdout.strip() == "['PIL']"


def test_the_engine_exports_what_it_promises_and_binds_its_operators():
    assert all(hasattr(tinygan, name) for name in tinygan.__all__)
    x = tinygan.Tensor(np.array([3.0]), tinygan_kernels.load("reference"))
    assert float(tinygan.grad(lambda v: (v * v)[0])(x)) == 6.0


# ---- what nobody does -----------------------------------------------------------------------------------------------------------


def calls(path: Path) -> list[str]:
    return [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


PICKLES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled_or_evaluated(path):
    if not re.search("|".join((*PICKLES, "eval", "exec", "compile", "allow_pickle")), path.read_text()):
        return  # most files have none of these words, and need not be parsed
    if path.name not in ("test_checkpoint.py", "test_copies.py"):  # which make pickles, to see them refused, and layers copied
        assert not imports(path) & PICKLES
    # the emulator compiles programs that it wrote itself, and the README's snippet is run by its test
    made_here = "emulator" in path.parts or path.name == "test_readme.py"
    assert not set(calls(path)) & ({"eval"} if made_here else {"eval", "exec", "compile", "builtins.eval"})
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and path in SOURCES:
            assert isinstance(node.value, ast.Constant) and node.value.value is False


GENERATORS = {"default_rng", "Generator", "SeedSequence", "PCG64", "BitGenerator"}


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_randomness_is_an_argument(path):
    of_cupy = path.parts[-2:] == ("cupy", "random.py")  # CuPy's functions draw from a state that scripts share, and so do these
    if "random" not in path.read_text() or of_cupy:
        return
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
            assert node.attr in GENERATORS, f"{path.name}:{node.lineno} draws from np.random.{node.attr}, which everyone shares"
    moments = path.name in ("kill_and_resume.py", "test_killed.py")  # when a run is killed is meant to differ every time
    watched = path.name in ("randomness.py", "test_what_cannot_be_replayed.py")  # which see whether a step draws from there
    assert moments or watched or not imports(path) & {"random", "numpy.random"}
    if path in SOURCES:
        assert "default_rng()" not in path.read_text(), "a generator without a seed"


def test_files_have_names_that_say_what_is_in_them():
    vague = {"utils", "util", "base", "helpers", "helper", "common", "misc", "tools", "core"}
    assert not {path.stem for path in ALL} & vague


def test_only_the_command_line_picks_a_backend():
    for name, path in MODULES.items():
        if name.startswith(("tinygan.cli", "tinygan_kernels")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "tinygan_kernels":
                used = {alias.name for alias in node.names}
                hands_on = name == "tinygan"  # the front door: `from tinygan import load`
                assert "load" not in used or hands_on, f"{name} picks a backend; it should be handed one"
                assert "shared" not in used or name == "tinygan.engine.conversion", f"{name}: names of backends are for backend_of"
        assert "tinygan_kernels.load" not in calls(path), name


def test_no_environment_variable_changes_what_the_engine_does():
    for path in ENGINE.rglob("*.py"):
        used = {ast.unparse(n) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
        assert not used & {"os.environ", "os.getenv"}, path
