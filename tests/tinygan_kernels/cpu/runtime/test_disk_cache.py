"""Compiled code on disk: what is damaged is compiled anew, what cannot be kept is compiled again, and either is said in a line."""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from tinygan_kernels.child_process import python_command
from tinygan_kernels.cpu.runtime import disk_cache, jit


def plus_one(x):
    return x + 1


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """Return a function that compiles `plus_one` as in a new process. It returns (what its code says, whether it was on disk).

    Beside it the warnings that it gave.
    """
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))

    def compile_it():
        monkeypatch.setattr(disk_cache, "_SAID", set())
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            address, found = jit.code_of(plus_one, "int64(int64)")
        import ctypes

        return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(41), found, [str(w.message) for w in said]

    return compile_it


def files(folder: Path, suffix: str) -> list[Path]:
    found = sorted((folder / "cache").rglob(f"*{suffix}"))
    assert found
    return found


DAMAGES = {
    "empty": lambda content: b"",
    "a byte": lambda content: content[:1],
    "cut": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "longer": lambda content: content + b"x",
    "zeros": lambda content: bytes(len(content)),
    "random": lambda content: np.random.default_rng(0).bytes(len(content)),
    "a bit": lambda content: content[:-40] + bytes([content[-40] ^ 1]) + content[-39:],
    "a pickle that raises": lambda content: b"cbuiltins\nint\n(S'no number'\ntR.",
    "endless": lambda content: b"(" * 100_000,
}


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_files_are_compiled_anew_and_then_whole(compiled, tmp_path, suffix):
    """Whatever happened to the index or to the machine code: the right code, one line that says so, and afterwards none."""
    assert compiled() == (42, False, []) and compiled() == (42, True, [])
    for kind, damage in DAMAGES.items():
        for file in files(tmp_path, suffix):
            file.write_bytes(damage(file.read_bytes()))
        value, found, said = compiled()
        assert (value, found) == (42, False), kind
        assert len(said) == 1 and "is damaged and is compiled anew" in said[0] and len(said[0].splitlines()) == 1, kind
        assert compiled() == (42, True, []), kind


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("kind", ["folder", "link", "unreadable", "gone"])
def test_what_stands_in_a_files_place_is_replaced(compiled, tmp_path, suffix, kind):
    if kind != "gone" and os.name != "posix":
        pytest.skip("about links and permissions as POSIX has them")
    compiled()
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for file in files(tmp_path, suffix):
        if kind == "unreadable":
            file.chmod(0)
            continue
        file.unlink()
        if kind == "folder":
            file.mkdir()
            (file / "inside").write_text("mine")
        elif kind == "link":
            file.symlink_to(precious)
    value, found, said = compiled()
    readable = kind == "unreadable" and os.geteuid() == 0  # root reads everything
    assert value == 42 and found == readable and len(said) == (0 if readable or kind == "gone" else 1)
    assert compiled() == (42, True, []) and precious.read_text() == "mine"
    if kind == "folder":
        assert [path.read_text() for path in (tmp_path / "cache").rglob("inside")] == ["mine"]


def test_processes_that_compile_variants_at_the_same_time_do_not_mix_up_their_code(tmp_path):
    """Both find an empty index. The second writes its index last, the first its code; a third then looks for either variant."""
    first, second, third = (disk_cache.SealedFiles(str(tmp_path), "loop") for _ in range(3))
    write = first._save_data
    second._load_index = dict  # it has read the index before the first one wrote to it

    def write_late(name, data):
        second.save("variant b", "code of b")
        write(name, data)

    first._save_data = write_late
    first.save("variant a", "code of a")
    assert third.load("variant b") == "code of b"
    assert third.load("variant a") in (None, "code of a")


def test_a_cache_that_cannot_be_written_to_costs_time_alone(compiled, tmp_path, monkeypatch):
    """As where a disk is full: one line in every process, and no half files are left."""
    replace = os.replace

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for _ in range(2):
        value, found, said = compiled()
        assert (value, found) == (42, False) and len(said) == 1
        assert "compiled code cannot be kept in" in said[0] and "No space left on device" in said[0]
    monkeypatch.setattr(os, "replace", replace)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert compiled() == (42, False, []) and compiled() == (42, True, [])


def test_without_any_folder_for_a_cache_loops_compile_all_the_same(monkeypatch):
    """As where neither the package's folder nor a home folder can be written to."""
    def nowhere(self):
        raise RuntimeError("cannot cache function 'plus_one': no locator available for file 'x.py'")

    monkeypatch.setattr(disk_cache, "_SAID", set())
    monkeypatch.setattr(type(numba.njit(plus_one)), "enable_caching", nowhere)
    with pytest.warns(RuntimeWarning, match="compiled code cannot be kept on disk") as said:
        assert jit.njit(plus_one)(41) == 42
        assert jit.njit(lambda x: x + 2)(40) == 42
    assert len(said) == 1


def test_a_file_of_settings_in_the_working_directory_names_no_cache(tmp_path):
    """Numba reads .numba_config.yaml there, if PyYAML is installed. Another folder's compiled code would be run by it."""
    (tmp_path / ".numba_config.yaml").write_text("cache_dir: evil\nopt: 2\n")
    (tmp_path / "yaml.py").write_text("def safe_load(file):\n    return {'cache_dir': 'evil', 'opt': '2'}\n")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "yaml.py", tmp_path / "elsewhere")
    code = ("import sys; sys.path.insert(0, 'elsewhere')\nimport numba\nbefore = numba.config.CACHE_DIR\n"
            "from tinygan_kernels.cpu.runtime import disk_cache\n"
            "print(before, repr(numba.config.CACHE_DIR), int(numba.config.OPT))")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    for given, wanted in (({}, "evil '' 2"), ({"NUMBA_CACHE_DIR": "mine"}, "mine 'mine' 2")):
        command, variables = python_command(code), {**clean, **given}
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == wanted, done.stderr
