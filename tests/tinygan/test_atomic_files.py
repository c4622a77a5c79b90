"""Files that are written as a whole, and never through a link that somebody planted."""

import os
import secrets

import pytest

from tinygan.atomic_files import LEFT_BEHIND, append_lines, remove_left_behind, write_atomically

links = pytest.mark.skipif(os.name == "nt", reason="on Windows not everybody may make links")


def test_a_file_is_replaced_and_nothing_is_left(tmp_path):
    for content in (b"one", b"two, longer", b""):
        write_atomically(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert os.listdir(tmp_path) == ["file"]


@links
def test_a_link_at_the_place_is_replaced_and_not_followed(tmp_path):
    """Links to a file, to nothing, and to a folder."""
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "folder").mkdir()
    for target in ("precious", "missing", "folder"):
        (tmp_path / "link").symlink_to(tmp_path / target)
        write_atomically(tmp_path / "link", b"new")
        assert not (tmp_path / "link").is_symlink() and (tmp_path / "link").read_bytes() == b"new"
        (tmp_path / "link").unlink()
    assert (tmp_path / "precious").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["folder", "precious"] and not os.listdir(tmp_path / "folder")


@links
def test_not_even_somebody_who_knows_the_temporary_name_is_followed(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("mine")
    monkeypatch.setattr(secrets, "token_hex", lambda n: "0" * 2 * n)
    planted = tmp_path / f"tinygan-{'0' * 16}.tmp"
    for target in ("precious", "missing"):
        planted.symlink_to(tmp_path / target)
        with pytest.raises(FileExistsError):
            write_atomically(tmp_path / "file", b"new")
        planted.unlink()
    planted.write_text("another process's")
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_text() == "mine" and planted.read_text() == "another process's"
    assert sorted(os.listdir(tmp_path)) == sorted(["precious", planted.name])


def test_temporary_names_cannot_be_guessed(tmp_path, monkeypatch):
    """Each write has a name of its own, and one that `remove_left_behind` knows."""
    names, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: names.append(a.name) or replace(a, b))
    for _ in range(20):
        write_atomically(tmp_path / "file", b"")
    assert len(set(names)) == 20 and all(map(LEFT_BEHIND.fullmatch, names))


@links
def test_lines_are_not_appended_to_what_a_link_leads_to(tmp_path):
    append_lines(tmp_path / "file", ["a\n"])
    append_lines(tmp_path / "file", ["é\n", "b\n"])
    assert (tmp_path / "file").read_bytes() == "a\né\nb\n".encode()
    for target in ("file", "missing"):
        (tmp_path / "link").symlink_to(tmp_path / target)
        with pytest.raises(OSError):
            append_lines(tmp_path / "link", ["c\n"])
        (tmp_path / "link").unlink()
    assert os.listdir(tmp_path) == ["file"] and b"c" not in (tmp_path / "file").read_bytes()


def test_only_what_a_write_left_behind_is_removed(tmp_path):
    kept = ["mine.tmp", "tinygan-0.tmp", f"tinygan-{'g' * 16}.tmp", f"tinygan-{'0' * 16}.tmp.txt"]
    for name in (*kept, f"tinygan-{'0' * 16}.tmp", f"tinygan-{'f' * 16}.tmp"):
        (tmp_path / name).write_text("half")
    (tmp_path / f"tinygan-{'1' * 16}.tmp").mkdir()
    remove_left_behind(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, f"tinygan-{'1' * 16}.tmp"])
