"""The hints that say how to install an optional dependency: one place, extras that exist, a command that works."""

import ast
from pathlib import Path

import pytest
from tinygan_kernels import extras

ROOT = Path(__file__).resolve().parents[2]


def extras_of_setup() -> dict[str, list[str]]:
    """What setup.py, which is read and not run, requires for each extra."""
    tree = ast.parse((ROOT / "setup.py").read_text())
    lists: dict[str, list[str]] = {}

    def requirements(node: ast.expr) -> list[str]:
        if isinstance(node, ast.Starred):
            return requirements(node.value)
        if isinstance(node, ast.Name):
            return lists[node.id]
        return [node.value] if isinstance(node, ast.Constant) else [r for part in node.elts for r in requirements(part)]

    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else node.targets
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            lists |= {target.id: requirements(value) for target, value in zip(targets, values, strict=True)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keywords = {keyword.arg: keyword.value for call in calls for keyword in call.keywords}
    table = keywords["extras_require"]
    return {key.value: requirements(value) for key, value in zip(table.keys, table.values, strict=True)}


def test_the_extras_are_those_of_setup():
    assert set(extras.EXTRAS) == set(extras_of_setup())


def test_an_extra_is_of_one_cuda_version():
    """pip can install one version of cuda-bindings alone, so an extra for CUDA 12 must not ask for anything of CUDA 13."""
    found = extras_of_setup()
    made_for = {"gpu-cuda12": 12, "gpu-cuda13": 13, "emulator": 13, "emulator-cuda12": 12, "notebooks": 13, "test": 13,
                "test-cuda12": 12}
    for name, cuda in made_for.items():
        text = " ".join(found[name])
        assert f"[cu{cuda}]" in text and f"[cu{25 - cuda}]" not in text and f"cupy-cuda{25 - cuda}x" not in text, name
        assert ("cupy" in text) == name.startswith("gpu"), name
    assert set(found["test"]) ^ set(found["test-cuda12"]) == set(found["emulator"]) | set(found["emulator-cuda12"])


def test_an_extra_that_does_not_exist_is_refused():
    assert extras.install("gpu-cuda12") == "pip install -e '.[gpu-cuda12]'"
    with pytest.raises(ValueError, match=r"no extra 'cuda'; setup\.py has derive, draw, emulator, "):
        extras.install("cuda")


def test_which_cupy_is_never_guessed():
    with pytest.raises(ValueError, match="gpu-cuda12 or gpu-cuda13, by the driver"):
        extras.install("gpu")
    assert extras.install_gpu(12) == "pip install -e '.[gpu-cuda12]'"
    assert "gpu-cuda13" in extras.install_gpu() and "gpu-cuda12" in extras.install_gpu()


def test_no_hint_installs_from_an_index_that_does_not_have_the_package():
    sources = [path for folder in ("kernels", "tinygan", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    for path in sources:
        for extra in extras.EXTRAS:
            hint = f"{path} has a hint of its own; use tinygan_kernels.extras.install"
            assert f'"tinygan[{extra}]"' not in path.read_text(), hint
