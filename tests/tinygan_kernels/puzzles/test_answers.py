"""Answers to the puzzles on trial: every solution passes, and every usual wrong answer is refused with the right words.

A wrong answer is a text of its own, or the solution with a mistake planted in it: pieces of the text, each with what stands there
instead.
"""

import pytest

pytest.importorskip("numba_cuda", reason="needs Numba CUDA: pip install -e '.[emulator]'")

from puzzle_answers import SOLUTIONS
from tinygan_kernels.puzzles import PUZZLES, check

CU, PY = ".cu", ".py"
BY_COLUMNS = """// launch: bias_act<<<dim3((channels + 31) / 32, (rows + 31) / 32), dim3(32, 8)>>>(x, b, y, rows, channels, slope)
extern "C" __global__ void bias_act(const float* x, const float* b, float* y, int rows, int channels, float slope) {
    __shared__ float tile[32];
    int lane = threadIdx.x, row = blockIdx.y * 32 + lane;
    if (threadIdx.y == 0 && blockIdx.x * 32 + lane < channels) tile[lane] = b[blockIdx.x * 32 + lane];
    __syncthreads();
    for (int i = threadIdx.y; i < 32; i += 8) {
        int channel = blockIdx.x * 32 + i;
        if (row < rows && channel < channels) {
            float s = x[row * channels + channel] + tile[i];
            y[row * channels + channel] = s > 0 ? s : slope * s;
        }
    }
}
"""
IN_PIECES = """// launch: leaky_grad<<<2, 128>>>(g, y, dx, slope, n)
extern "C" __global__ void leaky_grad(const float* g, const float* y, float* dx, float slope, int n) {
    int part = (n + 255) / 256, first = part * (blockIdx.x * 128 + threadIdx.x);
    for (int i = first; i < first + part && i < n; ++i) dx[i] = y[i] > 0 ? g[i] : slope * g[i];
}
"""
CU, PY = ".cu", ".py"
NAMED = "int rows, int channels, float slope) {"
WRONG = [
    ("bias-act", CU, [("__syncthreads();", "")], ["racecheck", "one is missing"]),
    ("bias-act", CU, [("row < rows &&", "row <= rows &&")], ["memcheck", "runs out of"]),
    ("bias-act", CU, [("tile[threadIdx.x];\n", "tile[threadIdx.y];\n")], ["initcheck", "nobody has written"]),
    ("bias-act", CU, [("+ tile[threadIdx.x]", "")], ["the bias is not added"]),
    ("bias-act", CU, [("slope * s;", "0;")], ["that is ReLU"]),
    ("bias-act", CU, [("s > 0 ? s : slope * s", "s")], ["the activation is missing"]),
    ("bias-act", CU, [("s > 0 ? s : slope * s", "s > 0 ? slope * -s : -s")], ["the two sides are swapped"]),
    ("bias-act", CU, [(NAMED, "int, int, float slope) { const int rows = 32, channels = 32;")],
     ["right: 0 x 3, 1 x 1, 32 x 32; wrong: 31 x 33", "a size written into the code"]),
    ("bias-act", CU, [("+ tile[threadIdx.x]", "+ b[channel]")], ["the numbers are right, and 2 numbers are read", "into the tile"]),
    ("bias-act", CU, [("i += 8", "i += 16")], ["no thread has written"]),
    ("bias-act", CU, BY_COLUMNS, ["numbers are right, and line", "32 sectors a request, and 4 would do", "run along the rows"]),
    ("bias-act", PY, [("    cuda.syncthreads()\n", "")], ["racecheck", "one is missing"]),
    ("leaky-grad", CU, [("i < n", "i <= n")], ["memcheck", "runs out of"]),
    ("leaky-grad", CU, [("i += gridDim.x * blockDim.x", "i += n")], ["at n = 257: dx", "no thread has written it"]),
    ("leaky-grad", CU, [("+= gridDim.x *", "+= 2 * gridDim.x *")], ["no thread has written"]),
    ("leaky-grad", CU, [("> 0 ?", ">= 0 ?")], ["compare by >, not by >="]),
    ("leaky-grad", CU, [("slope * g[i]", "0")], ["that is the derivative of ReLU"]),
    ("leaky-grad", CU, [("g[i] : slope * g[i]", "1 : slope")], ["the chain rule wants it times g"]),
    ("leaky-grad", CU, [("y[i] > 0", "g[i] > 0")], ["the sign is that of g"]),
    ("leaky-grad", CU, [("slope * g[i]", "0.2f * g[i]")], ["it is not dL/dx of leaky ReLU"]),
    ("leaky-grad", CU, [("<<<2, 128>>>", "<<<(n + 127) / 128, 128>>>")], ["64 warps are launched", "leave the launch"]),
    ("leaky-grad", CU, IN_PIECES, ["32 sectors a request", "not a piece for each thread"]),
    ("leaky-grad", PY, [("cuda.gridsize(1)", "cuda.gridsize(1) + 1")], ["no thread has written"]),
]  # fmt: skip


def planted(text, changes):
    if isinstance(changes, str):
        return changes
    for piece, other in changes:
        assert piece in text, piece
        text = text.replace(piece, other, 1)
    return text


def judged(name, suffix, text, folder):
    path = folder / f"answer{suffix}"
    path.write_text(text)
    return check(name, path)


ANSWERS = [(name, suffix) for name, answers in SOLUTIONS.items() for suffix in answers]


def test_every_puzzle_has_a_solution_in_each_of_its_languages():
    assert {(name, suffix) for name, puzzle in PUZZLES.items() for suffix in puzzle.skeletons} == set(ANSWERS)


@pytest.mark.parametrize(("name", "suffix"), ANSWERS)
def test_the_solution_passes_and_the_skeleton_does_not(name, suffix, tmp_path):
    verdict = judged(name, suffix, SOLUTIONS[name][suffix], tmp_path)
    assert verdict.passed and str(verdict) == f"solved. {PUZZLES[name].praise}", verdict
    assert not judged(name, suffix, PUZZLES[name].skeletons[suffix], tmp_path).passed


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_answer_is_refused_with_the_right_words(number, tmp_path):
    name, suffix, changes, words = WRONG[number]
    verdict = judged(name, suffix, planted(SOLUTIONS[name][suffix], changes), tmp_path)
    missing = [word for word in words if word not in verdict.message]
    assert not verdict.passed and not missing, f"{verdict}\n{missing}"


@pytest.mark.parametrize("name", PUZZLES)
def test_each_puzzle_refuses_at_least_four_wrong_answers(name):
    assert sum(wrong[0] == name for wrong in WRONG) >= 4
