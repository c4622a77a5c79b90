"""A finished run that is replayed: only its own pictures are given out."""

import os
import shutil

import pytest
from quick_endings import measure_less

from tinygan.cli.main import run
from tinygan.play.past_run import PastRun
from tinygan.training.checkpoint import CheckpointError

SECRET = b"\x89PNG of somebody else"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a run with some snapshots."""
    out = tmp_path_factory.mktemp("trained") / "run"
    small = ["--batch", "4", "--hidden", "4", "--z", "2", "--backend", "reference"]
    with pytest.MonkeyPatch.context() as patch:
        measure_less(patch)
        assert run(["train", "ring", "--steps", "20", "--snapshots", "10", "--out", str(out), *small]) == 0
    return out


@pytest.fixture
def folder(trained, tmp_path):
    """Return a copy of that folder, beside a file that is none of it."""
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "secret").write_bytes(SECRET)
    return tmp_path / "run"


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows that tests do not have")
def test_a_link_among_the_snapshots_is_no_picture(folder, tmp_path):
    own = [path.name for path in PastRun(folder).pictures]
    assert len(own) >= 2
    (folder / "snapshots" / "step-000000109.png").symlink_to(tmp_path / "secret")
    (folder / "snapshots" / "step-000000110.png").symlink_to(folder / "samples.png")
    (folder / "snapshots" / "step-000000111.png").mkdir()
    os.mkfifo(folder / "snapshots" / "step-000000112.png")  # whoever reads it would wait for ever
    past = PastRun(folder)
    assert [path.name for path in past.pictures] == own
    past.pictures[0].unlink()  # and what becomes a link after the start is no picture any longer
    past.pictures[0].symlink_to(tmp_path / "secret")
    assert past.picture(0) is None and past.picture(1)


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows that tests do not have")
def test_a_folder_of_snapshots_that_leads_elsewhere_has_none(folder, tmp_path):
    shutil.move(folder / "snapshots", tmp_path / "elsewhere")
    (folder / "snapshots").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="no snapshots"):
        PastRun(folder)


@pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows that tests do not have")
def test_a_run_that_is_named_by_a_link_is_replayed(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    past = PastRun(tmp_path / "link")
    assert len(past.pictures) >= 2 and all(past.picture(i).startswith(b"\x89PNG") for i in range(len(past.pictures)))
