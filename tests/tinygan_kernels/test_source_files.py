"""A user's file is executed from its text, however quickly it was changed."""

import os
import sys

import pytest
from tinygan_kernels.source_files import executed


def test_a_file_of_the_same_size_and_time_is_executed_anew(tmp_path):
    """An import would take the bytecode that the first one left behind."""
    path = tmp_path / "mine.py"
    for value in (1, 2):
        path.write_text(f"VALUE = {value}\n")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        assert value == executed(path, "mine").VALUE
    assert [found.name for found in tmp_path.iterdir()] == ["mine.py"] and "mine" not in sys.modules


def test_any_suffix_and_a_dataclass_that_looks_its_module_up(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "of_a_user", None)  # put back afterwards
    path = tmp_path / "answer.txt"
    lines = "from __future__ import annotations", "import dataclasses", "@dataclasses.dataclass", "class Point:", "    x: int = 3"
    path.write_text("\n".join(lines))
    module = executed(path, "of_a_user", listed=True)
    assert module.Point().x == 3 and sys.modules["of_a_user"] is module


def test_what_the_file_raises_comes_out_with_its_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("a = 1\n1 / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        executed(path, "mine")
    assert caught.traceback[-1].lineno + 1 == 2 and str(caught.traceback[-1].path) == str(path)
