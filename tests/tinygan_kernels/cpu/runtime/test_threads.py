"""How many threads there are and how they wait, as the environment says; beside other libraries, in any order of imports; after a
fork."""

import os
import subprocess
import sys

import pytest
from tinygan_kernels import BackendError, load, why_unavailable
from tinygan_kernels.cpu.runtime import threads

# A step that is worth a team, printed as bits, with what else the process has to say
STEP = """
import hashlib, os, sys, threading
import numpy as np
from tinygan_kernels.cpu.runtime import stages, threads, workers
from tinygan_kernels.cpu.elementwise import square, tanh

x = np.linspace(-3, 3, 1 << 17)
y = np.empty_like(x)
work = stages.Pipeline([square.over(x.size, x, y), tanh.over(x.size, y, y)])
def step():
    work()
    return hashlib.sha256(y.tobytes()).hexdigest()[:16]
def workers_alive():
    return sum(t.name.startswith("tinygan-") for t in threading.enumerate())
"""


def run(code, first="", **environment):
    """Run `first`, STEP and `code` in a process of its own, with NUMBA_NUM_THREADS=2 unless told otherwise.

    Returns the words that it prints.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "NUMBA_NUM", "NUMBA_THREADING"))}
    told = {"NUMBA_NUM_THREADS": "2", **environment}
    done = subprocess.run([sys.executable, "-W", "error", "-c", f"{first}\n{STEP}\n{code}"], env={**clean, **told},
                          capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def alone():
    """The bits that one thread gives."""
    return run("print(step(), workers_alive())", NUMBA_NUM_THREADS="1")


def test_one_thread_needs_no_team(alone):
    assert alone[1] == "0"


@pytest.mark.parametrize(("environment", "cores", "found"), [
    ({}, 8, 8),
    ({"OMP_NUM_THREADS": "3"}, 8, 3),
    ({"OMP_NUM_THREADS": "3,2"}, 8, 3),
    ({"OMP_NUM_THREADS": "16"}, 8, 8),
    ({"OMP_NUM_THREADS": "3", "NUMBA_NUM_THREADS": "8"}, 8, 8),
    ({"OMP_NUM_THREADS": "0"}, 8, 8),
    ({"OMP_NUM_THREADS": "many"}, 8, 8),
    ({"OMP_NUM_THREADS": ""}, 8, 8),
])
def test_most_threads(environment, cores, found):
    assert threads.most_threads(environment, cores) == found


@pytest.mark.parametrize(("environment", "limit", "found"), [
    ({}, 2, 2),
    ({}, 16, 8),
    ({"OMP_NUM_THREADS": "3"}, 2, 3),
    ({"NUMBA_NUM_THREADS": "8"}, 2, 8),
    ({"OMP_NUM_THREADS": "many"}, 2, 2),
])
def test_most_threads_in_a_container(environment, limit, found):
    assert threads.most_threads(environment, 8, limit) == found


@pytest.mark.parametrize(("files", "found"), [
    ({"cpu.max": "200000 100000\n"}, 2),
    ({"cpu.max": "150000 100000\n"}, 2),
    ({"cpu.max": "50000 100000\n"}, 1),
    ({"cpu.max": "max 100000\n"}, None),
    ({"cpu.max": "rubbish"}, None),
    ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "0\n"}, None),
    ({}, None),
])
def test_the_cores_of_a_container(files, found, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads.container_cores(tmp_path) == found


def test_patience():
    assert threads.patience({}) == (threads.IDLE, threads.CROWDED)
    assert threads.patience({"OMP_WAIT_POLICY": "PASSIVE"}) == (0, 0)
    assert threads.patience({"OMP_WAIT_POLICY": "active"}) == (threads.FOR_EVER, threads.FOR_EVER)
    assert threads.patience({"OMP_WAIT_POLICY": "neither"}) == (threads.IDLE, threads.CROWDED)


@pytest.mark.parametrize("policy", ["passive", "active"])
def test_the_users_wait_policy(policy, alone):
    assert run("print(step(), workers_alive(), os.environ['OMP_WAIT_POLICY'])", OMP_WAIT_POLICY=policy) == [alone[0], "1", policy]


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_the_users_threading_layer(layer, alone):
    code = "import numba\nfor _ in range(40): bits = step()\nprint(bits, workers_alive(), numba.threading_layer())"
    if sys.platform == "darwin" and layer == "omp":
        pytest.skip("Numba has OpenMP on a Mac only where it is installed besides")
    assert run(code, NUMBA_THREADING_LAYER=layer) == [alone[0], "0", layer]


@pytest.mark.parametrize("layer", ["tbb", "rubbish"])
def test_threads_that_numba_does_not_have_are_said_in_one_line(layer, monkeypatch):
    def launch():
        raise ValueError(f"No threading layer could be loaded.\nHINT:\nIntel TBB is required for {layer}")

    monkeypatch.setattr(threads.numba.config, "THREADING_LAYER", layer)
    monkeypatch.setattr(threads.numba, "get_num_threads", launch)
    with pytest.raises(BackendError, match=f"NUMBA_THREADING_LAYER is '{layer}', and Numba has no such") as said:
        load("cpu")
    assert "\n" not in str(said.value)
    monkeypatch.setattr(threads.numba.config, "THREADING_LAYER", "default")
    assert why_unavailable("cpu") is None


def test_numbas_own_threads_and_the_environment_stay_as_they_were(alone):
    code = """
before = dict(os.environ)
from numba.np.ufunc import parallel
print(step(), workers_alive(), getattr(parallel, "_is_initialized", False), dict(os.environ) == before)
"""
    assert run(code) == [alone[0], "1", "False", "True"]


def test_numbas_number_of_threads_counts(alone):
    found = run("import numba; numba.set_num_threads(1); print(threads.thread_count(), step(), workers_alive())")
    assert found == ["1", alone[0], "0"]


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("library", ["sklearn", "torch"])
def test_beside_other_libraries_in_any_order(library, order, alone):
    """Each of them brings an OpenMP of its own."""
    pytest.importorskip(library, reason=f"{library} is not installed")
    use = {
        "sklearn": "from sklearn.utils._openmp_helpers import _openmp_effective_n_threads as n; n()",
        "torch": "import torch; torch.ones(300, 300) @ torch.ones(300, 300)",
    }[library]
    if order == "before":
        found = run("print(step(), workers_alive())", use)
    else:
        found = run(f"step()\n{use}\nprint(step(), workers_alive())")
    assert found == [alone[0], "1"]


# Start a team, or Numba's threads, in the parent, or only ask for them; step in a child after a fork, and in the parent again.
FORKED = """
import warnings; warnings.simplefilter("ignore", DeprecationWarning)  # "this process is multi-threaded, fork may deadlock"
from tinygan_kernels import load
load("cpu"); FIRST; parent = workers.the_team()
sys.stdout.flush()
child = os.fork()
if child == 0:
    load("cpu")
    print("child", step(), step(), workers_alive(), workers.the_team() is not parent, flush=True)
    grandchild = os.fork()
    if grandchild == 0:
        print("grandchild", step(), workers_alive(), flush=True)
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
_, status = os.waitpid(child, 0)
print("parent", step(), workers_alive(), status, workers.the_team() is parent)
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@forks
@pytest.mark.parametrize(("layer", "first"), [
    ("default", "step()"), ("omp", "step()"), ("omp", "None"), ("workqueue", "step()"), ("tbb", "step()"),
])
def test_a_child_after_a_fork_goes_on_with_threads_of_its_own(layer, first, alone):
    """With OpenMP Numba ended the child in its first step, and a parent that asked it for results waited for ever.

    Numba's threads of other kinds start again in a child. OpenMP's do not, even if the parent has only loaded the backend, which
    starts them.
    """
    if layer == "tbb":
        pytest.importorskip("numba.np.ufunc.tbbpool", reason="TBB is not installed (pip install tbb)", exc_type=ImportError)
    if sys.platform == "darwin" and layer == "omp":
        pytest.skip("Numba has OpenMP on a Mac only where it is installed besides")
    found = run(FORKED.replace("FIRST", first), NUMBA_THREADING_LAYER=layer)
    parent, child = {"default": ("1", "1"), "omp": ("0", "1")}.get(layer, ("0", "0"))  # how many workers their teams have
    assert found == ["child", alone[0], alone[0], child, "True", "grandchild", alone[0], child,
                     "parent", alone[0], parent, "0", "True"]


def test_steps_after_the_end_are_done_alone(alone):
    """What was registered before the team's own end comes after it."""
    first = "import atexit, sys\natexit.register(lambda: print(step(), workers_alive()))"
    assert run("print(step(), workers_alive())", first) == [alone[0], "1", alone[0], "0"]


def test_a_signals_handler_that_computes_while_the_team_starts(alone):
    """Its job is done alone: it cannot wait for the team, as the code that starts the team waits for the handler."""
    code = """
make_room, inside = workers.Team.make_room, []
def interrupted(team, stages):
    if not inside:
        inside.append(None)
        inside.append(step())
    make_room(team, stages)
workers.Team.make_room = interrupted
print(step(), inside[1], workers_alive())
"""
    assert run(code) == [alone[0], alone[0], "1"]


def test_the_process_ends_while_another_thread_computes(alone):
    """No worker runs any more when the interpreter goes, and nobody starts a team then."""
    first = "import atexit\natexit.register(lambda: print(workers_alive()))"
    code = """
print(step())
def for_ever():
    while True:
        work()
threading.Thread(target=for_ever, daemon=True).start()
"""
    assert run(code, first) == [alone[0], "0"]
    first = "import atexit\natexit.register(lambda: print(step(), workers_alive()))"
    assert run("", first) == [alone[0], "0"]
