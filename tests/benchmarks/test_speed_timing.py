"""The stamp of a record names the commit, and says where the code was not that commit's."""

import subprocess

import pytest

from benchmarks.speed import timing


@pytest.fixture
def checkout(tmp_path):
    """A repository with a committed file in every place that matters and in two that do not."""
    for name in ("setup.py", "tinygan/a.py", "benchmarks/b.py", "benchmarks/results/c.json", "docs/d.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def head(checkout):
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True).stdout[:7]


@pytest.mark.parametrize("name", ["setup.py", "tinygan/a.py", "tinygan/new.py", "benchmarks/b.py", "kernels/new.cu"])
def test_code_that_is_not_committed_is_told(checkout, name):
    assert timing.commit(checkout) == head(checkout)
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("2")
    assert timing.commit(checkout) == f"{head(checkout)} with changes"


def test_a_file_that_is_gone_is_a_change(checkout):
    (checkout / "tinygan/a.py").unlink()
    assert timing.commit(checkout).endswith(" with changes")


def test_records_and_pages_may_change_while_things_are_measured(checkout):
    for name in ("benchmarks/results/c.json", "benchmarks/results/new.json", "docs/d.md", "runs.md"):
        (checkout / name).write_text("2")
    assert timing.commit(checkout) == head(checkout)


@pytest.mark.skipif(not (timing.ROOT / ".git").exists(), reason="this is no checkout of Git")
def test_the_commit_is_this_checkouts_wherever_the_command_was_started(tmp_path, monkeypatch):
    here = timing.stamp()["commit"]
    monkeypatch.chdir(tmp_path)
    assert timing.stamp()["commit"] == here != timing.commit(tmp_path) == "unknown"


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert timing.commit(timing.ROOT) == "unknown"
