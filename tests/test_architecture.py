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
    return imports_in(path, ast.parse(path.read_text()))


def imports_in(path: Path, tree: ast.Module) -> set[str]:
    """Return what `imports` does, of a file that was parsed."""
    found, package = set(), name_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
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
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in MODULES and "." in node.value:
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


def test_imports_run_upward():
    wrong = []
    for name in sorted(MODULES):
        room = room_of(name)
        for other in map(room_of, graph()[name]):
            here, there = FLOOR[room], FLOOR[other]
            if other != room and there >= here:
                wrong.append(f"{name} (floor {here}) imports from {other} (floor {there})")
    assert not wrong


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


def test_long_tests_are_begun_first(request):
    """As tests/conftest.py orders them."""
    are_long = [item.get_closest_marker("long") is not None for item in request.session.items]
    assert are_long == sorted(are_long, reverse=True)


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


def calls(tree: ast.Module, names: set[str]) -> set[str]:
    """Return which of these names a file calls, each as it is written there: "eval", "builtins.eval"."""
    last = {name.rsplit(".", 1)[-1] for name in names}
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return names & {ast.unparse(f) for f in called if getattr(f, "attr", getattr(f, "id", None)) in last}  # unparsing is slow


PICKLES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve", "cloudpickle"}
EVALUATORS = {"eval", "exec", "compile", "builtins.eval"}
# Most files have none of these words, and need not be parsed, which takes seconds for all.
MAY_EVALUATE = re.compile(rf"(?<![\w.])(?:eval|exec|compile)\b|\b(?:builtins|allow_pickle|{'|'.join(sorted(PICKLES))})\b")


def unpickled_or_evaluated(path: Path, text: str, tree: ast.Module) -> list[str]:
    """Return the lines of a file that read pickles or make code out of texts, but for those that may."""
    if not MAY_EVALUATE.search(text):
        return []
    found = []
    if path.name not in ("test_checkpoint.py", "test_copies.py"):  # which make pickles, to see them refused, and layers copied
        found += [f"{path} imports {name}" for name in imports_in(path, tree) & PICKLES]
    # the emulator compiles programs that it wrote itself, and the README's snippet is run by its test
    made_here = "emulator" in path.parts or path.name == "test_readme.py"
    found += [f"{path} calls {name}" for name in calls(tree, {"eval"} if made_here else EVALUATORS)]
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and path in SOURCES:
            allowed = not (isinstance(node.value, ast.Constant) and node.value.value is False)
            found += [f"{path}:{node.value.lineno} may unpickle"] * allowed
    return found


GENERATORS = {"default_rng", "Generator", "SeedSequence", "PCG64", "BitGenerator"}
SEEDED = re.compile(rf"\b(?:np|numpy)\.random\.(?:{'|'.join(sorted(GENERATORS))})\b(?!\(\))")


def may_draw(text: str) -> bool:
    """Return whether a file says "random" anywhere but in the names of GENERATORS; most do not, and need not be parsed."""
    return re.search(r"\brandom\b", SEEDED.sub("", text)) is not None


def drawn_from_what_all_share(path: Path, text: str, tree: ast.Module) -> list[str]:
    """Return the lines of a file that draw from a generator that is no argument, but for those that may."""
    of_cupy = path.parts[-2:] == ("cupy", "random.py")  # CuPy's functions draw from a state that scripts share, and so do these
    if not may_draw(text) or of_cupy:
        return []
    found = []
    for node in ast.walk(tree):
        of_random = isinstance(node, ast.Attribute) and getattr(node.value, "attr", None) == "random"
        if of_random and ast.unparse(node.value) in ("np.random", "numpy.random") and node.attr not in GENERATORS:
            found.append(f"{path}:{node.lineno} draws from np.random.{node.attr}, which everyone shares")
    moments = path.name in ("kill_and_resume.py", "test_killed.py")  # when a run is killed is meant to differ every time
    watched = path.name in ("randomness.py", "test_what_cannot_be_replayed.py")  # which see whether a step draws from there
    if not (moments or watched):
        found += [f"{path} imports {name}" for name in imports_in(path, tree) & {"random", "numpy.random"}]
    if path in SOURCES and "default_rng()" in text:
        found.append(f"{path} has a generator without a seed")
    return found


@cache
def found_in_all_files() -> tuple[list[str], list[str]]:
    """Return what both of these find. They look at once, so that a file is parsed once, and only where it may have such a thing."""
    evaluated, drawn = [], []
    for path in ALL:
        text = path.read_text()
        if not (MAY_EVALUATE.search(text) or may_draw(text)):
            continue
        tree = ast.parse(text)
        evaluated += unpickled_or_evaluated(path, text, tree)
        drawn += drawn_from_what_all_share(path, text, tree)
    return evaluated, drawn


def test_nothing_is_unpickled_or_evaluated():
    assert not found_in_all_files()[0]


def test_randomness_is_an_argument():
    assert not found_in_all_files()[1]


@pytest.mark.parametrize(("code", "says"), [
    ("import pickle\nimport dill", ["x.py imports dill", "x.py imports pickle"]),
    ("eval('1')\nbuiltins.eval('1')\nexec('1')\ncompile('1')\nre.compile('1')",
     ["x.py calls builtins.eval", "x.py calls compile", "x.py calls eval", "x.py calls exec"]),
    ("import numpy as np\nnp.random.normal()\nnp.random.default_rng(0)", ["x.py:2 draws from np.random.normal"]),
    ("import numpy\n\nnumpy.random.seed(1)", ["x.py:3 draws from np.random.seed"]),
    ("import random\nfrom numpy.random import normal", ["x.py imports numpy.random", "x.py imports random"]),
])  # fmt: skip
def test_what_nobody_does_is_seen(code, says):
    path, tree = ROOT / "tests" / "x.py", ast.parse(code)
    found = unpickled_or_evaluated(path, code, tree) + drawn_from_what_all_share(path, code, tree)
    told = sorted(line.removeprefix(f"{path.parent}/").removesuffix(", which everyone shares") for line in found)
    assert told == says


@pytest.mark.parametrize(("code", "says"), [
    ("np.load(f, allow_pickle=True)", "may unpickle"), ("np.load(f, allow_pickle=0)", "may unpickle"),
    ("np.load(f, allow_pickle=False)", None), ("np.random.default_rng()", "a generator without a seed"),
])
def test_what_the_packages_do_not_do_is_seen(code, says):
    path, tree = SOURCES[0], ast.parse(code)
    found = unpickled_or_evaluated(path, code, tree) + drawn_from_what_all_share(path, code, tree)
    assert (says in found[0]) if says else not found


def test_files_have_names_that_say_what_is_in_them():
    vague = {"utils", "util", "base", "helpers", "helper", "common", "misc", "tools", "core"}
    assert not {path.stem for path in ALL} & vague


def test_only_the_command_line_picks_a_backend():
    for name, path in MODULES.items():
        text = path.read_text()
        if name.startswith(("tinygan.cli", "tinygan_kernels")) or not re.search("load|shared", text):
            continue
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "tinygan_kernels":
                used = {alias.name for alias in node.names}
                hands_on = name == "tinygan"  # the front door: `from tinygan import load`
                assert "load" not in used or hands_on, f"{name} picks a backend; it should be handed one"
                assert "shared" not in used or name == "tinygan.engine.conversion", f"{name}: names of backends are for backend_of"
        assert not calls(tree, {"tinygan_kernels.load"}), name


def test_no_environment_variable_changes_what_the_engine_does():
    for path in ENGINE.rglob("*.py"):
        if re.search("environ|getenv", path.read_text()):
            used = {ast.unparse(n) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)}
            assert not used & {"os.environ", "os.getenv"}, path
