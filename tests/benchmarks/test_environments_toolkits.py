"""The CUDA toolkits: our sources with the NVRTC that is installed and with those in the cache, and the record of all of them."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from tinygan_kernels.cuda.cpp_backend import OPTIONS
from tinygan_kernels.emulator.host import nvrtc
from tinygan_kernels.emulator.host.headers import HEADERS as BROUGHT
from tinygan_kernels.profiling import static_checks

from benchmarks.docs import toolkit_tables
from benchmarks.environments import cache, toolkits

RECORD = Path(toolkits.ROOT) / "benchmarks" / "results" / "toolkits.json"
KERNEL = 'extern "C" __global__ void k(float* x) { x[0] = 1; }'
GENERIC_LAMBDA = 'extern "C" __global__ void k(float* x) { auto f = [&](auto i) { return x[i] + 1; }; x[0] = f(1); }'
PTX = {"ptx": nvrtc.flags(OPTIONS, "compute_{arch}", [])}


def installed() -> Path:
    """The folder with the NVRTC that is loaded in this environment."""
    name = f"libnvrtc.so.{nvrtc.version()[0]}"
    found = [path for root in find_spec("nvidia").submodule_search_locations for path in Path(root).rglob(name)]
    if not found:
        pytest.skip(f"NVRTC {nvrtc.version()} is not one of pip's packages")
    return found[0].parent


def cached(name: str) -> Path:
    (wanted,) = [each for each in toolkits.TOOLKITS if each.name == name]
    place = wanted.place(fetch=False)
    if place is None:
        pytest.skip(f"CUDA {name} is not in the cache {cache.folder()}; make toolkits fetches it")
    return place


# ---- our sources ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stem", toolkits.sources())
def test_a_source_compiles_for_architectures_of_the_installed_nvrtc(stem):
    """For the oldest, the newest and one between; make toolkits compiles for all. sm_80 is what the emulator executes in all tests.

    The sources look at the architecture alone by which of 7.5, 8.0 and 10.0 it has reached.
    """
    every = [number for number in nvrtc.architectures() if number >= 70]
    wanted = [every[0], 90, every[-1]]
    texts = {stem: toolkits.sources()[stem]}
    first, *results = toolkits.compilations(toolkits.nvrtc_library(installed()), texts, PTX, list(dict.fromkeys(wanted)))
    assert first["version"] == ".".join(map(str, nvrtc.version())) and first["archs"] == every
    assert [r["arch"] for r in results] == list(dict.fromkeys(wanted))
    assert not [f"sm_{r['arch']}: {toolkits.first_error(r['log'])}" for r in results if not r["ok"]]
    assert all(f".target sm_{r['arch']}" in r["ptx"] for r in results)


@pytest.mark.parametrize("name", ["12.0", "13.0"])
def test_all_sources_compile_with_older_toolkits(name):
    """The oldest that is supported, and the one that PyTorch pins."""
    first, *results = toolkits.compilations(toolkits.nvrtc_library(cached(name)), toolkits.sources(), PTX, archs=[80])
    assert first["version"] == name and 80 in first["archs"]
    assert not [f"{r['source']}: {toolkits.first_error(r['log'])}" for r in results if not r["ok"]]


def test_an_older_toolkit_refuses_what_a_newer_one_takes_and_that_is_found():
    """What kept matmul.cu from compiling before CUDA 13.2: a generic lambda in a device function."""
    _, result = toolkits.compilations(toolkits.nvrtc_library(cached("12.0")), {"k": GENERIC_LAMBDA}, PTX, archs=[80])
    assert not result["ok"] and "without execution space annotations" in toolkits.first_error(result["log"])
    _, result = toolkits.compilations(toolkits.nvrtc_library(installed()), {"k": GENERIC_LAMBDA}, PTX, archs=[80])
    assert result["ok"] is (nvrtc.version() >= (13, 2))


def test_host_code_compiles_with_the_toolkit_that_pytorch_pins():
    made = toolkits.compile_programs(cached("13.0"))
    assert made["version"] == "13.0" and {"vector", "string", "random", "stdio.h", "chrono"} <= set(made["headers"])
    assert not {header: error for header, error in made["headers"].items() if error}


def test_a_program_without_headers_of_the_library_compiles_with_the_oldest_toolkit(monkeypatch):
    """What every program includes has nothing that a later CUDA brought, such as the data of a graph's edges."""
    brought = toolkits.program.program_headers()
    hosts = ("program", "math", "textures", "graphs", "tensor_maps")
    used = ("ctype.h", "stdio.h", "stdlib.h", *(f"host_{name}.h" for name in hosts))
    monkeypatch.setattr(toolkits.program, "program_headers", lambda: {name: brought[name] for name in used})
    assert toolkits.compile_programs(cached("12.0"))["headers"] == dict.fromkeys(sorted(used), "")


@pytest.mark.parametrize("has, found", [
    (("algorithm",), "algorithm"), (("algorithm", "__algorithm/adjacent_find.h"), "algorithm"),
    (("__algorithm/adjacent_find.h", "detail/libcxx/include/algorithm"), "detail/libcxx/include/algorithm"),
    (("detail/libcxx/include/algorithm",), None),
])  # fmt: skip
def test_algorithms_are_found_wherever_a_libcuxx_has_them(tmp_path, has, found):
    """The last is CUDA 12.4's, whose header is there and all but empty: that there is no <cuda/std/algorithm> is what is said."""
    for name in ("utility", *has):
        (tmp_path / "cuda" / "std" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cuda" / "std" / name).write_text("static constexpr int came_from = 1;\n" if name == found else "")
    (tmp_path / "libcuxx_algorithm.h").write_text(BROUGHT["libcuxx_algorithm.h"])
    text = '#include <libcuxx_algorithm.h>\nextern "C" __global__ void k(int* x) { *x = came_from; }'
    forms = {"ptx": nvrtc.flags(OPTIONS, "compute_{arch}", [str(tmp_path)])}
    _, result = toolkits.compilations(toolkits.nvrtc_library(installed()), {"k": text}, forms, archs=[80])
    assert result["ok"] is (found is not None), result["log"]
    if found is None:
        assert 'cannot open source file "cuda/std/algorithm"' in result["log"]


# ---- planted faults -------------------------------------------------------------------------------------------------------------


def small(monkeypatch, **texts):
    """Put these texts in the place of our sources, and one architecture of the installed NVRTC in the place of all."""
    monkeypatch.setattr(toolkits, "sources", lambda: texts)
    monkeypatch.setattr(toolkits, "compile_headers", lambda place: {})
    monkeypatch.setattr(static_checks, "block_sizes", lambda: dict.fromkeys(texts, 256))
    return toolkits.compile_everything(installed(), archs=[80])


def test_a_source_that_does_not_compile_is_a_failure_in_both_forms(monkeypatch):
    row = small(monkeypatch, k=KERNEL, broken=KERNEL.replace("x[0]", "y[0]"))
    assert row["compiled"] == {"k": 2, "broken": 0} and row["tried"] == 2
    assert [line.split(": ")[0] for line in row["failures"]] == ["broken to ptx for sm_80", "broken to cubin for sm_80"]
    assert 'identifier "y" is undefined' in row["failures"][0]
    assert row["kernels"]["80"]["kernels"] == 1
    faults = toolkits.faults_of({"toolkits": {"13.x": row}, "nvcc": {}, "numba": {}})
    assert len(faults) == 2 and all(fault.startswith("CUDA 13.x: broken") for fault in faults)


def test_a_header_of_host_code_that_does_not_compile_is_named(monkeypatch):
    wrong = {"right.h": "#pragma once\n", "wrong.h": "int f() { return y; }\n", "host_program.h": "#pragma once\n"}
    monkeypatch.setattr(toolkits.program, "program_headers", lambda: wrong)
    headers = toolkits.compile_programs(installed().parents[2])["headers"]
    assert (headers["right.h"], headers["host_program.h"]) == ("", "") and 'identifier "y" is undefined' in headers["wrong.h"]
    del wrong["wrong.h"]
    assert set(toolkits.compile_programs(installed().parents[2])["headers"].values()) == {""}


def test_an_error_names_the_file_and_not_the_folder_it_lay_in():
    log = "In file included from x\n/tmp/tmpab_1/sys/time.h(2): catastrophic error: cannot open source file \"cuda/std/utility\"\n"
    assert toolkits.first_error(log) == 'time.h(2): catastrophic error: cannot open source file "cuda/std/utility"'


def test_a_kernel_that_breaks_its_launch_bounds_is_a_fault(monkeypatch):
    row = small(monkeypatch, k=KERNEL.replace("void k", "void __launch_bounds__(128) k"))
    assert row["failures"] == [] and row["kernels"]["80"]["faults"] == [
        "k: blocks of 256 threads, where its launch bounds say at most 128"
    ]
    assert len(toolkits.faults_of({"toolkits": {"13.x": row}, "nvcc": {}, "numba": {}})) == 1


def test_a_spill_counts_where_it_is_more_than_a_parked_register_or_two():
    def row(*faults):
        return {"failures": [], "kernels": {"120": {"faults": list(faults)}}}

    assert toolkits.wrong_with(row("k: spills 8 bytes and reads 4 back", "k: spills 4 bytes and reads 8 back")) == []
    for fault in ("k: spills 12 bytes and reads 8 back", "k: spills 8 bytes and reads 12 back", "k: 8 resident blocks"):
        assert toolkits.wrong_with(row(fault)) == [f"sm_120: {fault}"]


def test_every_part_of_a_record_can_be_wrong():
    right = {"failures": [], "verified": {"cupy": {"right": 3, "of": 3, "wrong": []}}}
    assert toolkits.faults_of({"toolkits": {}, "nvcc": {"13.0": right}, "numba": {"a": right}}) == []
    wrong = {"failures": ["f"], "verified": {"cupy": {"right": 2, "of": 3, "wrong": ["WRONG v"]}}}
    assert toolkits.faults_of({"toolkits": {}, "nvcc": {"13.0": wrong}, "numba": {"a": wrong}}) == [
        "nvcc 13.0: f", "a: f", "a, cupy: WRONG v"
    ]  # fmt: skip


def test_a_process_that_ends_badly_is_an_error(tmp_path):
    (tmp_path / "libnvrtc.so.12").write_text("this is no library")
    with pytest.raises(RuntimeError, match="ended with 1"):
        list(toolkits.compilations(toolkits.nvrtc_library(tmp_path), {}, {}))
    with pytest.raises(FileNotFoundError, match="no libnvrtc"):
        toolkits.nvrtc_library(tmp_path / "elsewhere")


def test_the_compilers_process_imports_nothing_but_the_standard_library():
    text = Path(toolkits.__file__).with_name("nvrtc_process.py").read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    assert imported == {"__future__", "ctypes", "json", "sys", "pathlib", "typing"}


# ---- the cache ------------------------------------------------------------------------------------------------------------------


def test_the_cache_keeps_what_was_finished_and_makes_anew_what_was_not(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def pip(python, *arguments):
        asked.append(arguments[2:])
        Path(arguments[1]).mkdir(parents=True)
        (Path(arguments[1]) / "some_package-1.2.dist-info").mkdir()
        if "broken" in arguments:
            raise cache.FetchError("no such package")

    monkeypatch.setattr(cache, "_pip", pip)
    assert cache.packages("a", ("some-package",), fetch=False) is None and not asked
    place = cache.packages("a", ("some-package",))
    assert place == tmp_path / "tinygan" / "packages" / "a" and cache.installed(place) == {"some-package": "1.2"}
    assert cache.packages("a", ("some-package",)) == place and len(asked) == 1
    assert cache.packages("a", ("some-package",), again=True) == place and len(asked) == 2
    assert cache.packages("a", ("some-package", "another"), fetch=False) is None, "other requirements, another folder"
    with pytest.raises(cache.FetchError):
        cache.packages("b", ("broken",))
    assert cache.packages("b", ("broken",), fetch=False) is None, "what was not finished does not count"


# ---- the record -----------------------------------------------------------------------------------------------------------------


def test_in_the_record_nothing_is_wrong_and_nothing_that_was_asked_for_is_missing():
    record = json.loads(RECORD.read_text())
    assert {"12.0", "12.4", "12.9", "13.0", "13.1", "13.2", "newest"} <= set(record["toolkits"])
    assert toolkits.faults_of(record) == []
    for name, row in record["toolkits"].items():
        assert set(row["compiled"]) == set(toolkits.sources()) and set(row["compiled"].values()) == {2 * len(row["archs"])}, name
        assert name == "newest" or row["version"] == name
        assert set(map(int, row["kernels"])) >= {number for number in row["archs"] if number >= 75 and number != 101}
        assert {kept["kernels"] for kept in row["kernels"].values()} == {len(static_checks.block_sizes())}
        assert not row["headers"]["cuda_fp16.h"]
    for name, row in record["programs"].items():
        lacks = [header for header, error in row["headers"].items() if error]
        assert not lacks or row["version"] in ("12.0", "12.1", "12.4"), f"host code with CUDA {name}: {lacks}"
        assert not {"stdio.h", "random", "chrono", "stdlib.h", "string.h"} & set(lacks)
    assert set(record["programs"]) == set(record["toolkits"])
    assert {name for row in record["programs"].values() for name in row["headers"]} >= {"map", "thread", "cub/cub.cuh"}
    verified = [made for row in record["numba"].values() for made in row.get("verified", {}).values()]
    assert len(verified) == 4 and all(made["right"] == made["of"] > 15 for made in verified)


def test_the_tables_tell_what_went_wrong():
    """With a record of which something is wrong in every part."""
    record = json.loads(RECORD.read_text())
    row = record["toolkits"]["12.0"]
    row["failures"] = ["adam to ptx for sm_70: error: oh"]
    row["kernels"]["75"]["faults"], row["kernels"]["75"]["spilled"] = ["k: 1 resident"], 12
    assert "| adam to ptx for sm_70: error: oh; sm_75: k: 1 resident |" in toolkit_tables.toolkits(record)
    (line,) = [line for line in toolkit_tables.toolkits(record).splitlines() if "NVRTC 12.0" in line]
    total = 5 * len(row["archs"])
    assert f"| {total - 1} of {total} | {total} of {total} |" in line
    assert "| all | all | nothing |" in toolkit_tables.toolkits(record), "the headers of host code with the newest"
    del record["programs"]["newest"]
    assert "| all | not tried | nothing |" in toolkit_tables.toolkits(record)
    assert "| 12 bytes |" in toolkit_tables.architectures(record)
    record["numba"]["numba-cuda-12.0"]["verified"]["cupy"] = {"right": 1, "of": 2, "wrong": ["WRONG cupy matmul"]}
    assert "1 of 2 right" in toolkit_tables.numba(record) and "WRONG cupy matmul" in toolkit_tables.numba(record)
