"""The table of where tinygan was run says what the records say: what is right, what is wrong, and what was not run."""

import copy
import json

import pytest

from benchmarks.docs.portability_table import HEAD, portability
from benchmarks.docs.results import RESULTS

FILES = ("versions", "portable_arm", "toolkits", "beside")
RECORDS = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in FILES}


@pytest.fixture
def records():
    return copy.deepcopy(RECORDS)


def row(records, first):
    """Return the cells of the row that begins with `first`, by the names of their columns."""
    lines = [line.strip("| ").split(" | ") for line in portability(records).splitlines() if line.startswith("| ")]
    (found,) = [line for line in lines if line[0] == first]
    return dict(zip(HEAD, found, strict=True))


def failing(part):
    """Let the record say that a command failed; portable_arm.json has its lines, versions.json the last one."""
    part.update(code=1, said="1 of 2 right" if isinstance(part["said"], str) else ["WRONG mul", "1 of 2"])


def test_kernels_that_are_wrong_for_a_processor(records):
    assert row(records, "AVX2")["wrong"] == "nothing"
    failing(records["versions"]["targets"]["haswell"]["verify"])
    found = row(records, "AVX2")
    assert found["wrong"] == "`verify`: 1 of 2 right" and found["right"] == "20 steps"
    del records["versions"]["targets"]["haswell"]
    assert (row(records, "AVX2")["what was run"], row(records, "AVX2")["not run"]) == ("nothing", "all of it")


def test_kernels_on_arm_are_counted_by_their_names(records):
    arm = records["portable_arm"]
    part = next(iter(arm["verify"].values()))
    arm["verify"] = {"sgd": part, "conv2d": part}
    found = row(records, "64-bit ARM, executed")
    assert found["right"] == "4 of 40 kernels; 20 steps" and "`adam`" in found["not run"] and "`conv2d_dx`" not in found["not run"]
    arm["verify"]["all"] = part
    assert row(records, "64-bit ARM, executed")["right"] == "40 of 40 kernels; 20 steps"
    failing(part)
    assert row(records, "64-bit ARM, executed")["wrong"].startswith("WRONG mul")


def test_versions_of_python_and_numpy(records):
    environments = records["versions"]["environments"]
    for name in ("3.11-lowest", "3.11-between", "3.11-newest"):
        environments[name].update(passed=700, failed=[], tests="a part")
    found = row(records, "Python 3.11")
    assert (found["right"], found["wrong"]) == ("2,100 tests; 20 steps in 3 of them", "nothing")
    assert found["not run"] == "the other tests"
    environments["3.11-lowest"].update(failed=["a::b: one"], tests="all")
    failing(environments["3.11-newest"]["train"])
    found = row(records, "Python 3.11")
    assert found["wrong"] == "1 tests; training in `3.11-newest`" and found["right"] == "2,100 tests; 20 steps in 2 of them"
    assert "all in `3.11-lowest`, a part in the others" in found["what was run"] and "in 3 environments" in found["where"]
    assert "1 tests" in row(records, "NumPy 1")["wrong"] and "training" in row(records, "NumPy 2")["wrong"]
    environments["3.14-lowest"] = {"missing": "there is no Python 3.14", "date": "2026-01-01"}
    assert "in 2 environments" in row(records, "Python 3.14")["where"]
    for name in ("3.14-between", "3.14-newest"):
        del environments[name]
    assert row(records, "Python 3.14")["not run"] == "all of it"


def test_what_a_cuda_compiler_refuses(records):
    assert row(records, "NVRTC")["wrong"] == row(records, "Numba CUDA")["wrong"] == row(records, "nvcc")["wrong"] == "nothing"
    records["toolkits"]["toolkits"]["12.0"]["failures"] = ["matmul.cu to ptx for sm_70: no lambda"]
    next(iter(records["toolkits"]["numba"].values()))["failures"] = ["adam: no"]
    next(iter(records["toolkits"]["nvcc"].values()))["failures"] = ["adam.cu: no"]
    assert "no lambda" in row(records, "NVRTC")["wrong"] and row(records, "NVRTC")["right"] == "see wrong"
    assert row(records, "Numba CUDA")["wrong"] == "adam: no" and row(records, "nvcc")["wrong"] == "adam.cu: no"


def test_tests_beside_other_packages(records):
    records["beside"]["environments"]["pytorch"].update(passed=5, failed=["a::b: one"], skipped={"no GPU": 3})
    found = row(records, "beside PyTorch")
    assert (found["right"], found["wrong"]) == ("5 tests", "1 tests") and found["not run"].startswith("3 of those")
