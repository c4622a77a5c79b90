"""Every example in every --help is run as it stands there, with less work: fewer steps, fewer claims, the quickest kernels."""

import json
import shlex

import numpy as np
import pytest
import typer
from data_files import save
from puzzle_answers import SOLUTIONS
from quick_endings import end_quickly
from tinygan_kernels import CUDA_BACKENDS, why_unavailable

from tinygan.cli import main, run

FEW_STEPS = ("--steps", "2", "--batch", "4", "--backend", "reference", "--hidden", "4", "--z", "2")
# The options that are put behind each command to make it short.
SHORTER = {
    "train": FEW_STEPS, "sample": ("--backend", "reference"), "gradcheck": ("--only", "tanh", "--backend", "reference"),
    "theory": ("--only", "saturat", "--backend", "reference"), "evaluate": ("--backend", "reference"), "presets": (),
    "kernels list": (),
    "kernels verify": ("--only", "fill"), "kernels explain": (), "kernels trace": ("--do", "next"),
    "kernels profile": (), "kernels bench": ("--rounds", "1"), "kernels targets": (), "kernels doctor": (),
    "graph": ("--batch", "2"), "step": ("--batch", "4", "--backend", "reference", "--z", "2", "--after", "1"),
    "derive check": (), "derive lines": (), "exercises list": (), "exercises start": (), "exercises check": (),
    "puzzles list": (), "puzzles show": (), "puzzles start": (), "puzzles hint": (), "puzzles check": (),
    "puzzles train": ("--steps", "1"),
    "play": ("--export", "page.html"),
}  # fmt: skip


def commands(group=None, name=""):
    """Yield the name of every command, also of those in groups, and its help's last line."""
    group = group or typer.main.get_command(main.app)
    yield name, group.epilog or ""
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {word}".strip())
        else:
            yield f"{name} {word}".strip(), command.epilog or ""


def examples():
    """Return every example as it stands in a --help, each once."""
    lines = [line for _, line in commands() if line]
    return list(dict.fromkeys(" ".join(part.split()) for line in lines for part in line.removeprefix("Examples:").split("|")))


EXAMPLES = examples()
DERIVED = """
def layer_norm(x):
    return x - x.mean(-1, keepdims=True)

def layer_norm_vjp(g, x):
    return g - g.mean(-1, keepdims=True)

def loss(x):
    return (x**2).mean()

def d_loss(g, x):
    return 2 * g * x / x.size

def inputs(rng):
    return rng.normal(size=(3, 4))
"""


PRODUCT = """// launch: mm<<<dim3((N + 15) / 16, (M + 15) / 16), dim3(16, 16)>>>(a, b, c, M, N, K)
__global__ void mm(const float* a, const float* b, float* c, int M, int N, int K) {
    int row = blockIdx.y * 16 + threadIdx.y, col = blockIdx.x * 16 + threadIdx.x;
    if (row >= M || col >= N) return;
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += a[row * K + k] * b[k * N + col];
    c[row * N + col] = sum;
}
"""


def test_every_command_has_examples():
    """Those that have none are listed: they take no arguments, or are groups of commands."""
    assert {name for name, line in commands() if not line} == {
        "presets", "kernels", "derive", "exercises", "exercises list", "puzzles", "puzzles list"}
    assert {name for name, _ in commands()} - {"", "kernels", "derive", "exercises", "puzzles"} == set(SHORTER)
    assert len(EXAMPLES) > 15 and all(example.startswith("tinygan ") for example in EXAMPLES)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder that the examples imagine: photos/, a table, derivations, and runs on digits, ring and the table."""
    here = tmp_path_factory.mktemp("examples")
    (here / "mm.cu").write_text(PRODUCT)
    rng = np.random.default_rng(0)
    (here / "photos").mkdir()
    for i in range(3):
        save(rng.integers(0, 256, (32, 33, 3), dtype=np.uint8), here / "photos" / f"{i}.png")
    for name in ("heights", "held-out"):
        rows = "".join(f"{a},{b}\n" for a, b in rng.normal(size=(30, 2)))
        (here / f"{name}.csv").write_text(f"a,b\n{rows}")
    (here / "mine.py").write_text(DERIVED)
    (here / "mine.cu").write_text(SOLUTIONS["bias-act"][".cu"])
    (here / "mine").mkdir()
    for name, answers in SOLUTIONS.items():
        (here / "mine" / f"{name}.cu").write_text(answers[".cu"])
    (here / "answer.py").write_text("def tanh_vjp(g, y, x):\n    return g * (1 - y**2)\n")
    (here / "proof.txt").write_text("(a + b)^2\n= a^2 + 2*a*b + b^2\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        end_quickly(patch)
        for data in ("digits", "ring", "heights.csv"):
            assert run(["train", data, *FEW_STEPS, *(("--snapshots", "1") if data == "digits" else ())]) == 0
    return here


def shortened(example):
    """Return an example's command, its words with smaller sizes, and the options to put behind them that make it short."""
    words = shlex.split(example.split(">")[0].replace("512", "16"))[1:]
    command = next(name for name in SHORTER if words[: len(name.split())] == name.split())
    more = list(SHORTER[command])
    if command == "train":
        if "--resume" in words:  # the run's own options stay
            del more[2:]
        if "dcgan" in words:
            more = [*more[:6], "--z", "2", "--width", "1"]
    if command == "play":  # which would serve until Ctrl-C
        more = [*more[: 0 if "--export" in words else 2], *(() if "runs/digits" in words else FEW_STEPS)]
    if command == "kernels verify" and len(words) > 2:
        more = ["--only", "fill"] if words[2].startswith("--") else []
    if command == "kernels profile" and "--shape" not in words:
        more = ["--shape", "16", "16", "16"]
    return command, words, more


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_help_work(place, monkeypatch, capsys, example):
    monkeypatch.chdir(place)
    end_quickly(monkeypatch)
    command, words, more = shortened(example)
    if command in ("puzzles check", "puzzles train") and (reason := why_unavailable("cupy", emulate=True)):
        pytest.skip(f"CUDA kernels cannot be compiled here: {reason}")
    if command.startswith("kernels") and command != "kernels list" and command != "kernels doctor":
        own = any(".cu" in word for word in words)  # a file of CUDA C++, which some backend of it compiles whatever is asked for
        every = list(CUDA_BACKENDS) if own or command != "kernels verify" else []
        asked = [name for name in CUDA_BACKENDS if name in words] or every
        if reason := next(filter(None, (why_unavailable(name, emulate=True) for name in asked)), None):
            pytest.skip(f"CUDA kernels cannot be compiled here: {reason}")
    if command == "kernels bench" and (reason := why_unavailable("cupy")):
        pytest.skip(f"a race needs a GPU: {reason}")
    if command == "kernels targets":
        monkeypatch.setattr("tinygan_kernels.profiling.targets.measure", lambda backends, archs: iter(()))
    if example == "tinygan play runs/digits":  # which another example may have trained anew meanwhile, without snapshots
        assert run(["train", "digits", *FEW_STEPS, "--snapshots", "1"]) == 0
        capsys.readouterr()
    code = run([*words, *more])
    said = capsys.readouterr()
    assert code == 0 or command == "kernels doctor", said.err
    assert said.out and "Traceback" not in said.err
    if "--json" in words:
        found = json.loads(said.out, parse_constant=pytest.fail)
        assert found and all(claim["passed"] is True and claim["measured"] for claim in found)
