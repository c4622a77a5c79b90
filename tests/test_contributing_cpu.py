"""The worked example of CONTRIBUTING.md for a way on the CPU: written to a file, its row added to the ladder, then verified like
the others; what is forgotten is named.
"""

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from tinygan_kernels import ContractError, ladder, load
from tinygan_kernels.cpu import backend as cpu
from tinygan_kernels.cpu.matmul import choice
from tinygan_kernels.verification import verify
from tinygan_kernels.verification.cases import cases

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The module that the recipe's code block makes. Its compiled loop is cached in a folder of the test's own."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n### On the CPU\n")[1].split("\n### ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    path = tmp_path / "outer.py"
    path.write_text(block)
    spec = importlib.util.spec_from_file_location("outer", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "outer", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def with_row(monkeypatch):
    """Add a row to the ladder of matmul, as an edit of the table does."""

    def add(row):
        monkeypatch.setattr(choice, "RUNGS", (*choice.RUNGS, row))
        monkeypatch.setattr(cpu, "LADDERS", cpu.ladders())
        monkeypatch.setattr(cpu, "VERSIONS", cpu.all_versions())
        return next(version for version in ladder("cpu") if (version.kernel, version.number) == ("matmul", row.number))

    return add


def verified(version):
    backend = load("cpu", versions={"matmul": version.number})
    return verify.verify_version(backend, version, "float32", cases("matmul", "float32", (16, 64)), emulate=False)


def test_the_worked_example_is_listed_forced_verified_and_chosen(example, with_row):
    version = with_row(example.ROW)
    assert version in load("cpu").versions and version.title == "an outer product"
    report = verified(version)
    assert report.ok and report.cases >= 2, str(report)
    a, b = np.arange(3, dtype=np.float32).reshape(3, 1), np.arange(4, dtype=np.float32).reshape(1, 4)
    with pytest.raises(ContractError, match="version 5 "):
        load("cpu", versions={"matmul": 5}).launch("matmul", (np.ones((3, 2), np.float32), np.ones((2, 4), np.float32)))
    seen = []
    chosen = dataclasses.replace(example.ROW, bind=lambda product: seen.append(product) or example.bind_outer(product))
    with_row(dataclasses.replace(chosen, number=6))
    np.testing.assert_array_equal(load("cpu").launch("matmul", (a, b)), a @ b)
    assert len(seen) == 1, "the default choice takes the highest row that suits and pays"


def test_a_row_that_computes_something_else_is_wrong(example, with_row):
    def wrong(product):
        return example.Pipeline([example.outer.over(1, product.a.reshape(-1), 2 * product.b.reshape(-1), product.c)])

    report = verified(with_row(dataclasses.replace(example.ROW, bind=wrong)))
    assert not report.ok and report.worst > 1


def test_a_row_that_no_case_suits_is_named(example, with_row):
    report = verified(with_row(dataclasses.replace(example.ROW, suits=lambda product: product.terms == 10**6)))
    assert not report.ok and report.error == "no case suits this version"
