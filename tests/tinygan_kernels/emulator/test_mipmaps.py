"""Textures over mipmapped arrays: which level a fetch takes, by number and by gradients, in every geometry; queries; faults."""

from __future__ import annotations

import numpy as np
import pytest
from tinygan_kernels import emulator
from tinygan_kernels.emulator import SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator.execute.texture_objects import LAYERED, LINEAR, POINT, Description, MipmappedArray, Texture
from tinygan_kernels.emulator.semantics.texels import FLOAT, UNSIGNED, Format

SOURCE = r"""
typedef cudaTextureObject_t Tex;
#define AT int i = threadIdx.x;
extern "C" {
__global__ void one(Tex t, const float* lod, float* o) { AT o[i] = tex1DLod<float>(t, 0.5f, lod[i]); }
__global__ void three(Tex t, const float* lod, float* o) { AT o[i] = tex3DLod<float>(t, 0.5f, 0.5f, 0.5f, lod[i]); }
__global__ void layers(Tex t, const float* lod, float* o) { AT o[i] = tex2DLayeredLod<float>(t, 0.5f, 0.5f, i % 3, lod[i]); }
__global__ void whole(Tex t, const float* lod, unsigned* o) { AT o[i] = tex2DLod<unsigned>(t, 0.5f, 0.5f, lod[i]); }
__global__ void steps(Tex t, const float4* d, float* o) {
    AT o[i] = tex2DGrad<float>(t, 0.5f, 0.5f, make_float2(d[i].x, d[i].y), make_float2(d[i].z, d[i].w));
}
__global__ void asked(Tex t, const int* level, int4* o) {
    AT int w, h, n;
    asm("txq.level.width.b32 %0, [%2], %3; txq.level.height.b32 %1, [%2], %3;" : "=r"(w), "=r"(h) : "l"(t), "r"(level[i]));
    asm("txq.num_mipmap_levels.b32 %0, [%1];" : "=r"(n) : "l"(t));
    o[i] = make_int4(w, h, n, 0);
}
}
"""


@pytest.fixture(scope="module")
def module():
    return emulator.RawModule(code=SOURCE, filename="mipmaps.cu")


def pyramid(width: int, height: int = 0, depth: int = 0, flags: int = 0, levels: int = 99, kind: int = FLOAT) -> MipmappedArray:
    """Return a mipmapped array whose level n is filled with 10 n, and with 10 n + layer."""
    made = MipmappedArray(Format(32, 1, kind), width, height, depth, flags, levels)
    for n, level in enumerate(made.levels):
        level.elements()[...] = 10 * n + (np.arange(level.planes)[:, None, None] if flags & LAYERED else 0)
        level.marks[...] = False
    return made


def described(between: int = POINT, most: float = 99.0, **more) -> Description:
    return Description((1, 1, 1), normalized=True, between=between, most=most, **more)


def test_sizes_of_levels():
    """Each dimension halves on its own, rounded down, to at least 1; layers stay; no more levels than it takes to come to one."""
    sizes = [(level.width, level.height, level.depth) for level in pyramid(11, 4, 3).levels]
    assert sizes == [(11, 4, 3), (5, 2, 1), (2, 1, 1), (1, 1, 1)]
    assert [(level.width, level.depth) for level in pyramid(4, 0, 7, LAYERED).levels] == [(4, 7), (2, 7), (1, 7)]
    assert [len(pyramid(9, 9, levels=n).levels) for n in (0, 1, 3, 4, 5)] == [1, 1, 3, 4, 4]


@pytest.mark.parametrize(("name", "sizes", "flags"), [("one", (64,), 0), ("three", (8, 64, 4), 0), ("layers", (64, 4, 3), LAYERED)])
def test_the_nearest_level_or_two_weighted(module, name, sizes, flags):
    lod = np.array([-1, 0, 0.25, 0.49, 0.5, 1.5, 2.75, 5.9, 6, 100, np.nan, np.inf], "f4")
    layer = np.arange(lod.size) % 3 if flags else 0
    inside = np.clip(np.nan_to_num(lod.astype("f8"), nan=0.0, posinf=99.0), 0, 6)
    for between, want in ((POINT, 10 * np.floor(inside + 0.5)), (LINEAR, 10 * np.floor(inside * 256 + 0.5) / 256)):
        texture, out = Texture(pyramid(*sizes, flags=flags), described(between)), np.zeros(lod.size, "f4")
        module.get_function(name)((1,), (lod.size,), (texture, lod, out))
        np.testing.assert_array_equal(out, (want + layer).astype("f4"))


def test_bias_and_clamps(module):
    lod, out = np.array([0, 1, 2, 3, 4, 5], "f4"), np.zeros(6, "f4")
    how = described(LINEAR, most=3.5, least=1.25, bias=-0.5)
    module.get_function("one")((1,), (6,), (Texture(pyramid(64), how), lod, out))
    assert out.tolist() == [12.5, 12.5, 15.0, 25.0, 35.0, 35.0]
    module.get_function("one")((1,), (6,), (Texture(pyramid(64), described(most=0.0)), lod, out))
    assert out.tolist() == [0] * 6, "a description of zeros has the largest level alone"


def test_integers_come_from_the_nearest_level(module):
    lod, out = np.array([0, 0.6, 1.4, 3], "f4"), np.zeros(4, "u4")
    module.get_function("whole")((1,), (4,), (Texture(pyramid(8, 8, kind=UNSIGNED), described()), lod, out))
    assert out.tolist() == [0, 10, 10, 30]


def test_gradients_say_how_many_elements_a_step_goes_over(module):
    """The longer of the two steps counts, in elements of level 0: 32 x 8 here."""
    elements = [[1, 0, 0, 1], [4, 0, 0, 1], [0, 1, 0, 8], [3, 4, 0, 0], [0, 0, 0, 0]]
    steps = (np.array(elements) / [32, 8, 32, 8]).astype("f4")
    out = np.zeros(5, "f4")
    module.get_function("steps")((1,), (5,), (Texture(pyramid(32, 8), described(LINEAR)), steps, out))
    assert out.tolist() == [0, 20, 30, np.float32(10 * np.floor(np.log2(5) * 256 + 0.5) / 256), 0]


def test_queries_of_levels(module):
    out, levels = np.zeros((3, 4), "i4"), np.array([0, 1, 3], "i4")
    texture = Texture(pyramid(12, 4), described())
    module.get_function("asked")((1,), (3,), (texture, levels, out))
    assert out[:, :3].tolist() == [[12, 4, 4], [6, 2, 4], [1, 1, 4]]
    with pytest.raises(SanitizerError, match="level 4 of a texture with 4"):
        module.get_function("asked")((1,), (1,), (texture, np.array([4], "i4"), out))


def test_a_level_that_nothing_has_written_is_found(module):
    made = pyramid(8)
    made.levels[2].marks[...] = True
    texture, out = Texture(made, described(LINEAR)), np.zeros(1, "f4")
    module.get_function("one")((1,), (1,), (texture, np.array([1.0], "f4"), out))
    with pytest.raises(SanitizerError, match="initcheck: read of uninitialised global memory"):
        module.get_function("one")((1,), (1,), (texture, np.array([1.5], "f4"), out))


def test_what_cuda_refuses():
    with pytest.raises(ValueError, match="coordinates of a mipmapped array are normalized"):
        Texture(pyramid(8), Description((1, 1, 1)))
    with pytest.raises(ValueError, match="mipmapFilterMode is 0 or 1, and 1 \\(linear\\) is for elements that are read as floats"):
        Texture(pyramid(8, kind=UNSIGNED), described(LINEAR))
    code = "typedef cudaTextureObject_t Tex; extern \"C\" __global__ void k(Tex t, float* o) {"
    code += " o[0] = texCubemapGrad<float>(t, 1, 0, 0, make_float4(1, 0, 0, 0), make_float4(0, 1, 0, 0)); }"
    with pytest.raises(UnsupportedInstruction, match="gradients of cubemaps"):
        emulator.RawModule(code=code).get_function("k")
