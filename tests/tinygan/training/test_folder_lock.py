"""One owner for each run's folder: a second run is refused in a line, and a killed one holds nothing."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import assert_same_runs, backend, everything, refusal, resume, start

from tinygan import fit, nn
from tinygan.cli import main
from tinygan.training import folder_lock
from tinygan.training.checkpoint import CHECKPOINT, CheckpointError
from tinygan.training.folder import METRICS, RunFolder
from tinygan.training.folder_lock import LOCK, FolderLock
from tinygan.training.samples import load_generator

HOLD = """
import sys
from pathlib import Path
from tinygan.training.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
FORK = """
import os, sys
from pathlib import Path
from tinygan.training.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    if os.fork() == 0:
        print("forked", flush=True)
        sys.stdin.read()
        os._exit(0)
    os.wait()
"""
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system lacks")
posix = pytest.mark.skipif(os.name != "posix", reason="about flock and links, which Windows lacks")


def holder(folder, code=HOLD):
    """Start a process that holds the lock of a folder until its standard input ends."""
    process = subprocess.Popen([sys.executable, "-c", code, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline()
    return process


def taken(folder) -> bool:
    try:
        with FolderLock(folder):
            return False
    except CheckpointError:
        return True


def test_a_second_owner_is_refused_until_the_first_is_done(tmp_path):
    with FolderLock(tmp_path) as lock:
        assert "one of this very process" in refusal(FolderLock(tmp_path).__enter__)
        with lock:  # the same object may be entered again
            assert taken(tmp_path)
        assert taken(tmp_path), "given back by the inner `with`"
        found = []
        thread = threading.Thread(target=lambda: found.append(taken(tmp_path)))
        thread.start(), thread.join()
        assert found == [True]
    assert not taken(tmp_path) and os.listdir(tmp_path) == []


def test_other_processes_are_refused_and_a_killed_one_holds_nothing(tmp_path, capsys):
    """The commands `train` and `train --resume`, `Run.train`, `fit`: a line that names the process, exit code 2, nothing changed.

    Reading is free: samples are drawn meanwhile.
    """
    out = tmp_path / "run"
    start(out, data="ring").train()
    before, names = everything(out), sorted(os.listdir(out))
    with holder(out) as process:
        options = ("train", "ring", "--backend", "reference", "--steps", "20", "--out", str(out))
        for arguments in (options, (*options, "--resume")):
            assert main.run(list(arguments)) == 2
            said = capsys.readouterr()
            assert said.out == "" and len(said.err.splitlines()) == 1
            assert f"another run is at work in {out}: process {process.pid} on " in said.err and "--out" in said.err
        assert "process" in refusal(start(out, data="ring").train) and "process" in refusal(resume(out, "ring", steps=20).train)
        assert "another out" in refusal(fit, *networks(), points(), out=out, steps=2, progress=False)
        assert load_generator(out, backend("reference")).sample(3).shape == (3, 2)
        assert everything(out) == before and sorted(os.listdir(out)) == sorted([*names, LOCK]) and os.listdir(tmp_path) == ["run"]
        process.kill()
    assert (out / LOCK).exists(), "the process was killed, so its file is there, and locks nothing"
    assert resume(out, "ring", steps=20).train()
    assert sorted(os.listdir(out)) == names


def networks():
    rng, on = np.random.default_rng(0), backend("reference")
    return nn.Sequential(nn.Linear(3, 2, rng=rng, backend=on)), nn.Sequential(nn.Linear(2, 1, rng=rng, backend=on))


def points():
    return np.random.default_rng(0).normal(size=(20, 2))


def test_fit_owns_its_folder_to_the_end(tmp_path):
    """Also against another fit that its own callback calls."""
    said = []

    def again(moment):
        said.append(refusal(fit, *networks(), points(), out=tmp_path / "run", steps=2, progress=False))

    fit(*networks(), points(), out=tmp_path / "run", steps=3, batch=4, callback=again, every=2, progress=False)
    assert len(said) == 1 and "one of this very process" in said[0]
    assert not taken(tmp_path / "run")
    fit(*networks(), points(), out=tmp_path / "run", steps=2, batch=4, progress=False)
    assert sorted(os.listdir(tmp_path)) == ["run", "run.1"] and not list(tmp_path.rglob(LOCK))


@forks
def test_a_child_does_not_hold_the_lock_of_its_parent_that_was_killed(tmp_path):
    with holder(tmp_path, FORK) as process:
        assert taken(tmp_path)
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        assert not taken(tmp_path), "the child lives, and holds what was its parent's"
        process.stdin.close()


@forks
def test_a_child_that_ends_leaves_the_lock_to_its_parent(tmp_path):
    with FolderLock(tmp_path) as lock:
        child = os.fork()
        if not child:
            lock.__exit__()
            os._exit(0 if (tmp_path / LOCK).exists() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert taken(tmp_path)


def test_a_folder_is_made_and_taken_away_again_if_nothing_came_into_it(tmp_path):
    with FolderLock(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / LOCK).exists()
    assert not (tmp_path / "a" / "b").exists()
    with FolderLock(tmp_path / "c"):
        (tmp_path / "c" / "mine").write_text("")
    assert os.listdir(tmp_path / "c") == ["mine"]


def test_a_folder_that_is_moved_aside_is_free_and_the_new_one_is_locked(tmp_path):
    with FolderLock(tmp_path / "run") as lock:
        (tmp_path / "run" / "mine").write_text("")
        lock.move_folder(tmp_path / "old")
        assert taken(tmp_path / "run") and not taken(tmp_path / "old")
        assert os.listdir(tmp_path / "old") == ["mine"] and os.listdir(tmp_path / "run") == [LOCK]


@pytest.mark.parametrize("left", [b"", b"{", b"\xff\x00", b"[" * 5000, b'{"pid": "x"}', b'{"pid": 1, "host": "elsewhere"}'])
def test_a_file_that_was_left_behind_locks_nothing_whatever_it_holds(tmp_path, left):
    (tmp_path / LOCK).write_bytes(left)
    assert not taken(tmp_path)


def test_a_refusal_is_one_line_whatever_the_file_says(tmp_path):
    with FolderLock(tmp_path):
        for text in (b"", b"\xff" * 50, json.dumps({"pid": 7, "host": "a\nb", "since": "x\ny"}).encode()):
            (tmp_path / LOCK).write_bytes(text)
            refusal(FolderLock(tmp_path).__enter__)


@posix
@pytest.mark.parametrize("name", [LOCK, METRICS])
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
def test_links_and_pipes_in_the_folder_are_not_written_through(tmp_path, name, kind):
    precious, out = tmp_path / "precious", tmp_path / "run"
    out.mkdir()
    precious.write_text("mine")
    if kind == "pipe":
        os.mkfifo(out / name)
    else:
        (out / name).symlink_to(precious if kind == "link" else tmp_path / "missing")
    if name == METRICS and kind != "pipe":
        assert start(out).train() and not (out / name).is_symlink() and len((out / name).read_text().splitlines()) == 2
    else:
        assert str(out) in refusal(start(out).train)
    assert precious.read_text() == "mine" and sorted(os.listdir(tmp_path)) == ["precious", "run"]


def test_what_a_killed_write_left_is_removed_when_the_run_goes_on(tmp_path):
    start(tmp_path).train()
    half = tmp_path / f"tinygan-{'a' * 16}.tmp"
    half.write_bytes(b"half")
    resume(tmp_path, steps=20).train()
    assert not half.exists()


def test_the_same_run_is_unharmed_by_the_one_that_was_refused(tmp_path):
    """A run in another folder, never disturbed, ends to the bit as one that somebody tried to join at every reading."""
    start(tmp_path / "alone").train()
    tried = []
    start(tmp_path / "joined").train(lambda reading: tried.append(refusal(start(tmp_path / "joined", seed=1).train)))
    assert len(tried) == 2
    assert_same_runs(tmp_path / "alone", tmp_path / "joined")


# ---- a file system without locks -----------------------------------------------------------------------------------------


@pytest.fixture
def no_locks(monkeypatch):
    """Let this file system have no locks, as some network folders do."""
    fcntl = pytest.importorskip("fcntl", reason="Windows has no flock")

    def flock(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_without_locks_the_file_is_the_lock(tmp_path, no_locks):
    with FolderLock(tmp_path):
        assert taken(tmp_path)
    assert not taken(tmp_path) and os.listdir(tmp_path) == []
    (tmp_path / LOCK).write_text("")
    assert str(tmp_path / LOCK) in refusal(FolderLock(tmp_path).__enter__), "says which file was left behind, if it was"
    (tmp_path / LOCK).write_text(json.dumps({"pid": os.getpid(), "host": "elsewhere", "since": "yesterday"}))
    assert f"process {os.getpid()} on elsewhere, since yesterday" in refusal(FolderLock(tmp_path).__enter__)


def test_without_locks_what_the_dead_left_is_taken_over(tmp_path, no_locks):
    with holder(tmp_path) as process:
        process.kill()
    assert (tmp_path / LOCK).exists() and not taken(tmp_path)


def test_without_locks_a_number_that_another_process_has_by_now_does_not_mislead(tmp_path, no_locks):
    if not Path("/proc/self/stat").exists():
        pytest.skip("only Linux tells when a process began")
    with FolderLock(tmp_path):
        text = (tmp_path / LOCK).read_text()
    found = json.loads(text)
    (tmp_path / LOCK).write_text(text)
    assert taken(tmp_path)
    (tmp_path / LOCK).write_text(json.dumps({**found, "process": "another boot 1"}))
    assert not taken(tmp_path)


def test_other_errors_of_the_system_are_said(tmp_path, monkeypatch):
    def refused(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(folder_lock, "_lock", refused)
    assert "Input/output error" in refusal(RunFolder(tmp_path).save, {}, {})
    assert not (tmp_path / CHECKPOINT).exists()
