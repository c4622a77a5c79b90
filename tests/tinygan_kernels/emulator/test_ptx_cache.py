"""PTX kept on disk: found again by other processes, not after a change of anything that it depends on, never damaged."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from tinygan_kernels.emulator.host import nvrtc, ptx_cache

CODE = '#include <cstdint>\n#include <math_constants.h>\nextern "C" __global__ void k(float* x) { x[0] = CUDART_INF_F; }'


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    nvrtc.compile_ptx.cache_clear()
    yield tmp_path / "kept" / "ptx"
    nvrtc.compile_ptx.cache_clear()


@pytest.fixture
def compilations(monkeypatch):
    """Return a list that grows by one with each compilation."""
    done, real = [], nvrtc._compile
    monkeypatch.setattr(nvrtc, "_compile", lambda *args: done.append(args) or real(*args))
    return done


def compiled(*args, **options) -> tuple:
    """Compile as a new process would, with nothing in memory."""
    nvrtc.compile_ptx.cache_clear()
    return nvrtc.compile_ptx(*args, **options)


def test_what_was_compiled_is_read_again(own_folder, compilations):
    names = ("f<float>",)
    code = CODE + "template <class T> __global__ void f(T* x) { x[0] = 1; }"
    first = compiled(code, names=names)
    assert compiled(code, names=names) == first and len(compilations) == 1 and first[1] == {"f<float>": "_Z1fIfEvPT_"}
    assert len(list(own_folder.iterdir())) == 1


def test_another_source_option_version_or_header_is_compiled_anew(compilations, monkeypatch):
    compiled(CODE)
    compiled(CODE + " ")
    compiled(CODE, options=("-DA=1",))
    compiled(CODE, arch="compute_90")
    compiled(CODE, filename="other.cu")
    assert len(compilations) == 5
    monkeypatch.setattr(ptx_cache.headers, "HEADERS", {**ptx_cache.headers.HEADERS, "cstdint": "#pragma once\n"})
    compiled(CODE)
    monkeypatch.undo()


def test_long_code_is_kept_though_it_includes_nothing(compilations, own_folder):
    code = 'extern "C" __global__ void k(float* x) { x[0] = 1; }\n' + "// a comment\n" * (ptx_cache.LONG // 12)
    assert compiled(code) == compiled(code) and len(compilations) == 1
    compiled(code + "// another\n")
    assert len(compilations) == 2 and len(list(own_folder.iterdir())) == 2


def test_keys_depend_on_the_compiler_and_its_headers(monkeypatch):
    given = nvrtc.flags((), "compute_80", nvrtc.toolkit.header_folders(nvrtc.version()))

    def key(version=(13, 0)):
        return ptx_cache.key(CODE, (), given, (), "k.cu", version)

    first = key()
    assert first == key() and first != key((13, 1))
    monkeypatch.setattr(ptx_cache.toolkit, "headers_version", lambda folder: (1, 2))
    assert key() != first


@pytest.mark.parametrize(
    "code, options",
    [
        ('extern "C" __global__ void k() { }', ()),
        ('#include "own.h"\nextern "C" __global__ void k() { }', ()),
        (CODE + "\n#include <unknown_header.h>", ()),
        ("#define WHICH <cstdint>\n#include WHICH\n", ()),
        (CODE, ("-I/somewhere",)),
        (CODE, ("--pre-include=own.h",)),
    ],
)
def test_what_may_change_unseen_is_not_kept(code, options):
    given = nvrtc.flags(options, "compute_80", nvrtc.toolkit.header_folders(nvrtc.version()))
    assert ptx_cache.key(code, options, given, (), "k.cu", (13, 0)) is None


def test_a_damaged_file_is_compiled_anew(own_folder, compilations):
    first = compiled(CODE)
    (path,) = own_folder.iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:-10], whole[:80] + b"x" + whole[81:], b"", b"\n"):
        path.write_bytes(damaged)
        assert compiled(CODE) == first
    assert len(compilations) == 5 and path.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_time_alone(own_folder, compilations, monkeypatch):
    own_folder.parent.mkdir()
    own_folder.write_text("a file where the folder would be")
    assert compiled(CODE) == compiled(CODE) and len(compilations) == 2


def test_the_oldest_files_make_way(own_folder, monkeypatch):
    monkeypatch.setattr(ptx_cache, "MOST_FILES", 8)
    for i in range(9):
        ptx_cache.store(f"{i:064}", "text", {})
        os.utime(own_folder / f"{i:064}", (i, i)) if i < 8 else None
    assert sorted(int(path.name) for path in own_folder.iterdir()) == [3, 4, 5, 6, 7, 8]


def work(number: int) -> bool:
    """Write and read one file again and again, as another process does the same."""
    for _ in range(100):
        ptx_cache.store("f" * 64, "text" * 5000, {"number": str(number)})
        found = ptx_cache.load("f" * 64)
        if found is None or found[0] != "text" * 5000:
            return False
    return True


def test_processes_do_not_disturb_one_another(own_folder):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert all(pool.map(work, range(2)))
    assert len(list(own_folder.iterdir())) == 1
