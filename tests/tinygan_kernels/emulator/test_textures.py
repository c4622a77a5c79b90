"""Textures and surfaces: what fetches give against exact arithmetic, formats, geometries, and what is judged."""

import gc
import weakref

import numpy as np
import pytest
from texture_reference import BORDER, CLAMP, MIRROR, WRAP, fetched
from tinygan_kernels import emulator
from tinygan_kernels.emulator import EmulatorError, SanitizerError, UnsupportedInstruction
from tinygan_kernels.emulator import cupy as cp
from tinygan_kernels.emulator.cupy.cuda import runtime
from tinygan_kernels.emulator.cupy.texture import (
    ChannelFormatDescriptor,
    CUDAarray,
    ResourceDescriptor,
    SurfaceObject,
    TextureDescriptor,
    TextureObject,
)
from tinygan_kernels.emulator.execute.memory import GlobalMemory, unwritten_bytes
from tinygan_kernels.emulator.execute.texture_objects import attach_all

SOURCE = r"""
typedef cudaTextureObject_t Tex;
typedef cudaSurfaceObject_t Surf;
#define AT int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;
extern "C" {
__global__ void one(Tex t, const float* x, float* o, int n) { AT o[i] = tex1D<float>(t, x[i]); }
__global__ void two(Tex t, const float* x, const float* y, float* o, int n) { AT o[i] = tex2D<float>(t, x[i], y[i]); }
__global__ void three(Tex t, const float* x, const float* y, const float* z, float* o, int n) {
    AT o[i] = tex3D<float>(t, x[i], y[i], z[i]);
}
__global__ void fetch(Tex t, float* o, int n) { AT o[i] = tex1Dfetch<float>(t, i - 2); }
__global__ void floats(Tex t, float4* o, int n) { AT o[i] = tex1D<float4>(t, i + 0.5f); }
__global__ void integers(Tex t, int4* o, int n) { AT o[i] = tex1D<int4>(t, i + 0.5f); }
__global__ void layers(Tex t, const float* x, const int* layer, float* o, int n) {
    AT o[i] = tex2DLayered<float>(t, x[i], 0.5f, layer[i]);
}
__global__ void rows(Tex t, const float* x, const int* layer, float* o, int n) { AT o[i] = tex1DLayered<float>(t, x[i], layer[i]); }
__global__ void cube(Tex t, const float* x, const float* y, const float* z, float* o, int n) {
    AT o[i] = texCubemap<float>(t, x[i], y[i], z[i]);
}
__global__ void cubes(Tex t, const float* x, const int* layer, float* o, int n) {
    AT o[i] = texCubemapLayered<float>(t, x[i], 0.25f, 0.125f, layer[i]);
}
__global__ void gather(Tex t, const float* x, const float* y, float4* o, int n) { AT o[i] = tex2Dgather<float4>(t, x[i], y[i], 1); }
__global__ void levels(Tex t, float* o, int n) {
    AT o[i] = tex2DLod<float>(t, i + 0.5f, 0.5f, 3.0f) + tex2DGrad<float>(t, i + 0.5f, 0.5f, make_float2(1, 0), make_float2(0, 1));
}
__global__ void resident(Tex t, float* o, int n) {
    AT bool there = false;
    o[i] = tex2D<float>(t, i + 0.5f, 0.5f, &there) + there;
}
__global__ void write1(Surf s, int n) { AT surf1Dwrite((float)i, s, 4 * i); }
__global__ void write2(Surf s, int width, int n) { AT surf2Dwrite(make_short2(i, -i), s, i % width * 4, i / width); }
__global__ void write3(Surf s, int w, int h, int n) { AT surf3Dwrite((unsigned char)i, s, i % w, i / w % h, i / w / h); }
__global__ void write_layers(Surf s, int width, int n) { AT surf2DLayeredwrite((float)i, s, i % width * 4, 0, i / width); }
__global__ void write_outside(Surf s, int mode, int n) {
    AT int x = 4 * (i - 2);
    if (mode == 0) surf1Dwrite((float)i + 1, s, x, cudaBoundaryModeZero);
    if (mode == 1) surf1Dwrite((float)i + 1, s, x, cudaBoundaryModeClamp);
    if (mode == 2) surf1Dwrite((float)i + 1, s, x);
}
__global__ void read_outside(Surf s, float* o, int mode, int n) {
    AT int x = 4 * (i - 2); float value = -1;
    if (mode == 0) surf1Dread(&value, s, x, cudaBoundaryModeZero);
    if (mode == 1) surf1Dread(&value, s, x, cudaBoundaryModeClamp);
    if (mode == 2) surf1Dread(&value, s, x);
    o[i] = value;
}
__global__ void copy(Surf from, Surf to, int n) { AT float4 v; surf2Dread(&v, from, i * 16, 0); surf2Dwrite(v, to, i * 16, 0); }
__global__ void write_and_fetch(Surf s, Tex t, float* o, int n) {
    AT surf1Dwrite((float)i, s, 4 * i);
    o[i] = tex1D<float>(t, i + 0.5f);
}
__global__ void write_and_read(Surf s, float* o, int n) { AT surf1Dwrite((float)i, s, 4 * i); surf1Dread(o + i, s, 4 * i); }
__global__ void store_and_fetch(float* x, Tex t, float* o, int n) { AT x[i] = i; __syncthreads(); o[i] = tex1Dfetch<float>(t, i); }
__global__ void race(Surf s, int n) { AT surf1Dwrite((float)i, s, 4 * (i / 2)); }
__global__ void neighbours(Surf s, int n) {
    AT surf1Dwrite((unsigned char)i, s, 2 * i);
    surf1Dwrite((unsigned char)-i, s, 2 * i + 1);
}
__global__ void in_bytes(Surf s, int n) { AT surf1Dwrite((float)i, s, i); }
struct Pair { Tex a, b; };
__global__ void chosen(Pair both, float* o, int n) { AT o[i] = tex1D<float>(i % 2 ? both.a : both.b, 0.5f); }
}
"""
FLOAT = ChannelFormatDescriptor(32, 0, 0, 0, runtime.cudaChannelFormatKindFloat)
RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def module():
    return emulator.RawModule(code=SOURCE, filename="textures.cu")


def launch(module, name: str, *args) -> None:
    """Run a kernel whose last argument is the number of its threads, in blocks of 64."""
    module.get_function(name)((-(-args[-1] // 64),), (64,), args)


def array_of(table: np.ndarray, desc=FLOAT, flags: int = 0, channels: int = 1) -> CUDAarray:
    sizes = [table.shape[-1] // channels, *table.shape[-2::-1]]
    if flags & runtime.cudaArrayLayered and len(sizes) == 2:
        sizes = [sizes[0], 0, sizes[1]]
    made = CUDAarray(desc, *sizes, *[0] * (3 - len(sizes)), flags)
    made.copy_from(table)
    return made


def texture(array, *args, **options) -> TextureObject:
    return TextureObject(ResourceDescriptor(runtime.cudaResourceTypeArray, cuArr=array), TextureDescriptor(*args, **options))


def surface(array) -> SurfaceObject:
    return SurfaceObject(ResourceDescriptor(runtime.cudaResourceTypeArray, cuArr=array))


def coordinates(n: int, normalized: bool) -> np.ndarray:
    """Return coordinates in and around a texture of n elements: edges, centres, weights between two steps, and what is no place."""
    places = np.r_[0, 1, n, n - 1, n + 1, 0.5, -0.5, n - 0.5, n + 0.5, 0.501, 0.75, 0.502, -1e-20, -1.25, -n, -7.3, 3.1 * n,
                   RNG.uniform(-2 * n, 3 * n, 12)]  # fmt: skip
    places = places / n if normalized else places
    return np.r_[places, 1e30, -1e30, 3e7, np.nan, np.inf, -np.inf].astype("f4")


# ---- fetches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linear", [False, True], ids=["point", "linear"])
@pytest.mark.parametrize("normalized", [False, True], ids=["elements", "normalized"])
@pytest.mark.parametrize("mode", [WRAP, CLAMP, MIRROR, BORDER], ids=["wrap", "clamp", "mirror", "border"])
def test_fetches_give_what_the_guide_says(module, mode, normalized, linear):
    for name, shape in (("one", (1,)), ("one", (2,)), ("one", (7,)), ("two", (3, 5)), ("two", (1, 2)), ("three", (2, 3, 5))):
        table = RNG.normal(size=shape).astype("f4")
        modes = (mode, (mode + 1) % 4, CLAMP)[: len(shape)]  # per axis, so that an exchange of axes shows
        t = texture(array_of(table), modes, int(linear), borderColors=(7.5, 0, 0, 0), normalizedCoords=normalized)
        axes = [coordinates(n, normalized) for n in shape[::-1]]
        points = [axes[0], *(RNG.permutation(axis) for axis in axes[1:])]
        got = np.zeros(points[0].size, "f4")
        launch(module, name, t, *points, got, got.size)
        want = [fetched(table, p, modes, normalized, linear, 7.5) for p in zip(*points, strict=True)]
        if linear:
            np.testing.assert_allclose(got, want, rtol=1.2e-7, atol=1e-12)
        else:
            np.testing.assert_array_equal(got, np.array(want, "f4"))


def test_weights_have_eight_bits_behind_the_point(module):
    """Between 0 and 256 there are 257 values, and the nearest is taken; 1/512 is as near to 0 as to 1/256, and goes up."""
    t = texture(array_of(np.array([0, 256], "f4")), (CLAMP,), 1)
    x = (0.5 + np.array([0, 1 / 512, 0.9 / 512, 1.1 / 512, 0.3, 1 - 0.9 / 512, 1 - 1.1 / 512])).astype("f4")
    got = np.zeros(x.size, "f4")
    launch(module, "one", t, x, got, x.size)
    assert got.tolist() == [0, 1, 0, 1, 77, 256, 255]


def test_an_element_of_no_weight_is_not_read(module):
    t = texture(array_of(np.array([1, np.inf, 3], "f4")), (CLAMP,), 1)
    x = np.array([0.5, 0.75, 2.5], "f4")
    got = np.zeros(3, "f4")
    launch(module, "one", t, x, got, 3)
    assert got.tolist() == [1, np.inf, 3]


def test_linear_memory_is_fetched_by_number_and_is_zero_outside(module):
    x = emulator.empty(5)
    x[...] = np.arange(1, 6)
    res = ResourceDescriptor(runtime.cudaResourceTypeLinear, arr=x, chDesc=FLOAT, sizeInBytes=x.nbytes)
    t = TextureObject(res, TextureDescriptor((WRAP,), 1, 0, normalizedCoords=1, borderColors=(9, 9, 9, 9)))
    got = np.full(9, -1, "f4")
    launch(module, "fetch", t, got, 9)
    assert got.tolist() == [0, 0, 1, 2, 3, 4, 5, 0, 0], "modes, filters and colours mean nothing for it"


def test_pitched_memory_has_rows_apart(module):
    memory = RNG.normal(size=(3, 16)).astype("f4")
    res = ResourceDescriptor(runtime.cudaResourceTypePitch2D, arr=memory, chDesc=FLOAT, width=5, height=3, pitchInBytes=64)
    t = TextureObject(res, TextureDescriptor((CLAMP, CLAMP), 1))
    x, y = (c.ravel() for c in np.meshgrid(np.linspace(-1, 6, 15, dtype="f4"), np.linspace(-1, 4, 11, dtype="f4")))
    got = np.zeros(x.size, "f4")
    launch(module, "two", t, x, y, got, x.size)
    want = [fetched(memory[:, :5], p, (CLAMP, CLAMP), False, True) for p in zip(x, y, strict=True)]
    np.testing.assert_allclose(got, want, rtol=1.2e-7, atol=1e-12)


# ---- formats --------------------------------------------------------------------------------------------------------

WIDTHS = {0: (8, 16, 32), 1: (8, 16, 32), 2: (16, 32)}
FORMATS = [(kind, bits, n) for kind, widths in WIDTHS.items() for bits in widths for n in (1, 2, 4)]


@pytest.mark.parametrize(("kind", "bits", "channels"), FORMATS, ids=lambda v: str(v))
def test_formats_and_read_modes(module, kind, bits, channels):
    desc, dtype = ChannelFormatDescriptor(*[bits] * channels, *[0] * (4 - channels), kind), np.dtype(f"{'iuf'[kind]}{bits // 8}")
    values = RNG.integers(0, 256, 12 * dtype.itemsize, np.uint8).view(dtype).copy()
    if kind == 2:
        values = RNG.normal(size=12).astype(dtype)
    else:
        values[:4] = np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1
    n, array = 12 // channels, array_of(values, desc, channels=channels)
    rest = np.tile([0, 0, 0, 1], (n, 1))
    if kind == 2 or bits < 32:
        got = np.zeros((n, 4), "f4")
        launch(module, "floats", texture(array, (CLAMP,), 0, 1), got, n)
        want = values.astype("f8").reshape(n, channels)
        if kind < 2:  # the least two values of a signed type both mean -1
            want = np.maximum(want / np.iinfo(dtype).max, -1)
        np.testing.assert_array_equal(got, np.c_[want, rest[:, channels:]].astype("f4"))
    if kind < 2:
        got = np.zeros((n, 4), "i4")
        launch(module, "integers", texture(array, (CLAMP,)), got, n)
        want = np.c_[values.reshape(n, channels).astype("i8"), rest[:, channels:]]
        np.testing.assert_array_equal(got, want.astype("u4").view("i4"), "the bits of the integers")


def test_srgb_becomes_linear_but_for_alpha(module):
    colours = np.array([0, 10, 11, 128, 255, 188, 1, 255], "u1")
    t = texture(array_of(colours, ChannelFormatDescriptor(8, 8, 8, 8, 1), channels=4), (CLAMP,), 0, 1, sRGB=1)
    got = np.zeros((2, 4), "f4")
    launch(module, "floats", t, got, 2)
    c = colours.reshape(2, 4) / 255
    want = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(got, np.c_[want[:, :3], c[:, 3]], rtol=1e-6)


def test_formats_that_textures_do_not_have():
    for wrong in ((8, 8, 8, 0, 1), (8, 0, 8, 0, 1), (12, 0, 0, 0, 1), (64, 0, 0, 0, 2), (8, 0, 0, 0, 2), (32, 16, 0, 0, 0),
                  (0, 0, 0, 0, 1), (32, 0, 0, 0, 3)):  # fmt: skip
        with pytest.raises(ValueError, match="channel"):
            ChannelFormatDescriptor(*wrong)


# ---- geometries -----------------------------------------------------------------------------------------------------


def test_layers_are_apart_and_one_that_is_not_there_is_a_finding(module):
    table = RNG.normal(size=(3, 1, 4)).astype("f4")
    t = texture(array_of(table, flags=runtime.cudaArrayLayered), (CLAMP, CLAMP), 1)
    x, layer = np.array([0.5, 1, 3.75, 9], "f4"), np.array([0, 1, 2, 2], "i4")
    got = np.zeros(4, "f4")
    launch(module, "layers", t, x, layer, got, 4)
    want = [fetched(table[k, 0], (c,), (CLAMP,), False, True) for c, k in zip(x, layer, strict=True)]
    np.testing.assert_allclose(got, want, rtol=1.2e-7)
    with emulator.sanitize() as found:
        launch(module, "layers", t, x, np.array([0, 3, -1, 2], "i4"), got, 4)
    assert [(f.tool, f.count, f"({f.source})") for f in found] == [("memcheck", 2, line_of("layers", "tex2DLayered"))]
    assert "layer 3 of a texture with 3" in str(found[0])
    rows = texture(array_of(table[:, 0], flags=runtime.cudaArrayLayered), (CLAMP,))
    launch(module, "rows", rows, x, layer, got, 4)
    assert got.tolist() == [table[0, 0, 0], table[1, 0, 1], table[2, 0, 3], table[2, 0, 3]]


def test_cubemaps_have_six_faces(module):
    """Face by the largest coordinate; there (s / m + 1) / 2 and (t / m + 1) / 2, by the table of the guide."""
    table = np.arange(6 * 4, dtype="f4").reshape(6, 2, 2)
    t = texture(array_of(table, flags=runtime.cudaArrayCubemap), (CLAMP,) * 3)
    found = []
    for axis, sign in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)):
        for a in (-0.5, 0.5):
            for b in (-0.5, 0.5):
                v = [a, b]
                v.insert(axis, float(2 * sign))
                x, y, z = v
                face = 2 * axis + (sign < 0)
                s, u = ((-z, -y), (z, -y), (x, z), (x, -z), (x, -y), (-x, -y))[face]
                found.append((x, y, z, table[face, int(u > 0), int(s > 0)]))
    x, y, z, want = (np.array(c, "f4") for c in zip(*found, strict=True))
    got = np.zeros(x.size, "f4")
    launch(module, "cube", t, x, y, z, got, x.size)
    np.testing.assert_array_equal(got, want)
    both = runtime.cudaArrayCubemap | runtime.cudaArrayLayered
    many = texture(array_of(np.arange(48, dtype="f4").reshape(12, 2, 2), flags=both), (CLAMP,) * 3)
    launch(module, "cubes", many, np.array([1, -1], "f4"), np.array([0, 1], "i4"), got, 2)
    assert got[:2].tolist() == [0 * 4 + 0, (6 + 1) * 4 + 1], "x = 1: s < 0, t < 0; x = -1 in layer 1: s > 0, t < 0"


def test_a_gather_gives_one_channel_of_four_elements(module):
    table = np.arange(3 * 4 * 2, dtype="f4").reshape(3, 8)
    desc = ChannelFormatDescriptor(32, 32, 0, 0, 2)
    t = texture(array_of(table, desc, runtime.cudaArrayTextureGather, 2), (CLAMP, CLAMP))
    x, y = np.array([1, 1.9, 0, 4], "f4"), np.array([1, 1.2, 0, 3], "f4")
    got = np.zeros((4, 4), "f4")
    launch(module, "gather", t, x, y, got, 4)
    second = table.reshape(3, 4, 2)[:, :, 1]
    for row, u, v in zip(got, x, y, strict=True):
        i, j = int(np.floor(u - 0.5)), int(np.floor(v - 0.5))
        at = lambda r, c: second[np.clip(r, 0, 2), np.clip(c, 0, 3)]  # noqa: E731
        assert row.tolist() == [at(j + 1, i), at(j + 1, i + 1), at(j, i + 1), at(j, i)]
    with pytest.raises(SanitizerError, match="cudaArrayTextureGather"):
        launch(module, "gather", texture(array_of(table, desc, 0, 2), (CLAMP, CLAMP)), x, y, got, 4)


def test_a_texture_has_one_level_and_is_resident(module):
    table = RNG.normal(size=(2, 4)).astype("f4")
    t, got = texture(array_of(table), (CLAMP, CLAMP)), np.zeros(4, "f4")
    launch(module, "levels", t, got, 4)
    assert got.tolist() == (table[0] + table[0]).tolist()
    launch(module, "resident", t, got, 4)
    assert got.tolist() == (table[0] + 1).tolist()


def test_lanes_may_have_different_textures(module):
    both = np.zeros((), [("a", "u8"), ("b", "u8")])
    a, b = (texture(array_of(np.array([v], "f4")), (CLAMP,)) for v in (1, 2))
    both["a"], both["b"] = a.ptr, b.ptr
    got = np.zeros(6, "f4")
    launch(module, "chosen", both[()], got, 6)
    assert got.tolist() == [2, 1, 2, 1, 2, 1]


# ---- surfaces -------------------------------------------------------------------------------------------------------


def new(*sizes: int, desc=FLOAT, flags: int = 0) -> CUDAarray:
    return CUDAarray(desc, *sizes, *[0] * (3 - len(sizes)), flags | runtime.cudaArraySurfaceLoadStore)


def held(array: CUDAarray, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    out = np.zeros(shape, dtype)
    array.copy_to(out)
    return out


def test_surfaces_are_written_at_their_bytes(module):
    line, layers = new(5), new(3, 1, 4, flags=runtime.cudaArrayLayered)
    plane = new(3, 4, desc=ChannelFormatDescriptor(16, 16, 0, 0, 0))
    block = new(3, 2, 2, desc=ChannelFormatDescriptor(8, 0, 0, 0, 1))
    launch(module, "write1", surface(line), 5)
    assert held(line, (5,), "f4").tolist() == [0, 1, 2, 3, 4]
    launch(module, "write2", surface(plane), 3, 12)
    assert held(plane, (4, 6), "i2").reshape(12, 2).tolist() == [[i, -i] for i in range(12)]
    launch(module, "write3", surface(block), 3, 2, 12)
    assert held(block, (2, 2, 3), "u1").ravel().tolist() == list(range(12))
    launch(module, "write_layers", surface(layers), 3, 12)
    assert held(layers, (4, 1, 3), "f4").ravel().tolist() == list(range(12))


def test_surfaces_are_read_as_vectors(module):
    values = RNG.normal(size=(1, 16)).astype("f4")
    desc = ChannelFormatDescriptor(32, 32, 32, 32, 2)
    source, target = new(4, 1, desc=desc), new(4, 1, desc=desc)
    source.copy_from(values)
    launch(module, "copy", surface(source), surface(target), 4)
    np.testing.assert_array_equal(held(target, (1, 16), "f4"), values)


def test_boundary_modes_of_surfaces(module):
    """With zero nothing is written outside and 0 is read; with clamp the nearest place is; with trap it is a finding."""
    array, got = new(3), np.zeros(8, "f4")
    array.copy_from(np.zeros(3, "f4"))
    launch(module, "write_outside", surface(array), 0, 8)
    assert held(array, (3,), "f4").tolist() == [3, 4, 5]
    launch(module, "read_outside", surface(array), got, 0, 8)
    assert got.tolist() == [0, 0, 3, 4, 5, 0, 0, 0]
    launch(module, "read_outside", surface(array), got, 1, 8)
    assert got.tolist() == [3, 3, 3, 4, 5, 5, 5, 5]
    with emulator.sanitize() as found:
        launch(module, "read_outside", surface(array), got, 2, 8)
        launch(module, "write_outside", surface(array), 2, 8)
    lines = [i for i, text in enumerate(SOURCE.splitlines(), 1) if "mode == 2" in text]
    assert [(f.tool, f.source, f.count, f.thread) for f in found] == [
        ("memcheck", f"textures.cu:{lines[1]}", 5, (0, 0, 0)), ("memcheck", f"textures.cu:{lines[0]}", 5, (0, 0, 0))]  # fmt: skip
    assert "out-of-bounds surface read of 4 bytes; byte x = -8 of rows of 12" in str(found[0])
    with pytest.raises(SanitizerError, match="race"):
        launch(module, "write_outside", surface(array), 1, 8)
    assert held(array, (3,), "f4")[1] == 4


def test_unchecked_launches_raise_where_nothing_can_be_read(module):
    with emulator.checks(False), pytest.raises(EmulatorError, match="out-of-bounds surface write"):
        launch(module, "write_outside", surface(new(3)), 2, 8)
    with emulator.checks(False), pytest.raises(EmulatorError, match="no handle of a texture"):
        launch(module, "fetch", np.uint64(5), np.zeros(9, "f4"), 9)


def test_a_launch_keeps_what_it_may_touch():
    """An object that nothing else holds may die during a launch, whose memory must not be given back then."""
    array = new(4)
    objects = [surface(array), texture(array, (CLAMP,))]
    memory = GlobalMemory()
    attach_all(memory)
    data = weakref.ref(array.array.data)
    del array, objects
    gc.collect()
    assert data() is not None
    del memory
    assert data() is None


def test_an_array_that_is_freed_gives_its_memory_back(module):
    array, got = new(4), np.zeros(1, "f4")
    data, read = weakref.ref(array.array.data), texture(array, (CLAMP,))
    array.array.free("k.cu:7")
    assert data() is None
    (said,) = findings(module, "one", read, np.zeros(1, "f4"), got, 1)
    assert "which was freed at k.cu:7" in said


# ---- what is judged -------------------------------------------------------------------------------------------------


def findings(module, name: str, *args) -> list[str]:
    with emulator.sanitize() as found:
        launch(module, name, *args)
    return [f"{f.tool}: {f.message} ({f.source})" for f in found]


def line_of(name: str, text: str = "") -> str:
    lines = SOURCE.splitlines()
    start = next(i for i, line in enumerate(lines) if f"void {name}(" in line)
    return f"(textures.cu:{next(i for i in range(start, len(lines)) if text in lines[i]) + 1})"


def test_what_a_launch_writes_it_cannot_fetch(module):
    array, got = new(8), np.zeros(8, "f4")
    array.copy_from(np.zeros(8, "f4"))
    (said,) = findings(module, "write_and_fetch", surface(array), texture(array, (CLAMP,)), got, 8)
    assert said.startswith("racecheck: stale read: read through a texture of bytes that this launch has written"), said
    assert said.endswith(line_of("write_and_fetch", "tex1D"))
    (said,) = findings(module, "write_and_read", surface(array), got, 8)
    assert "stale read: read through a surface" in said and said.endswith(line_of("write_and_read"))
    x = np.zeros(64, "f4")
    t = TextureObject(ResourceDescriptor(2, arr=x, chDesc=FLOAT, sizeInBytes=x.nbytes), TextureDescriptor())
    (said,) = findings(module, "store_and_fetch", x, t, np.zeros(64, "f4"), 64)
    assert "stale read: read through a texture" in said and said.endswith(line_of("store_and_fetch"))
    assert findings(module, "fetch", t, got, 8) == [], "the next launch may"


def test_two_threads_write_one_element_of_a_surface(module):
    (said,) = findings(module, "race", surface(new(8)), 8)
    assert said.startswith("racecheck") and said.endswith(line_of("race"))


def test_threads_write_bytes_beside_one_another(module):
    array = new(16, desc=ChannelFormatDescriptor(8, 0, 0, 0, 1))
    launch(module, "neighbours", surface(array), 8)
    assert held(array, (16,), "u1").reshape(8, 2).tolist() == [[i, -i % 256] for i in range(8)]


def test_offsets_of_surfaces_count_bytes(module):
    (said,) = findings(module, "in_bytes", surface(new(8)), 8)
    assert said.startswith("memcheck: misaligned surface write of 4 bytes at byte x = 1") and said.endswith(line_of("in_bytes"))


def test_elements_that_nothing_has_written(module):
    got = np.zeros(1, "f4")
    (said,) = findings(module, "one", texture(CUDAarray(FLOAT, 4), (CLAMP,)), np.zeros(1, "f4"), got, 1)
    assert said.startswith("initcheck") and said.endswith(line_of("one"))


def test_copies_take_with_them_what_nothing_has_written(module):
    array, got = CUDAarray(FLOAT, 4), np.zeros(4, "f4")
    x, back = emulator.empty(4), emulator.empty(4)
    x[1] = 5
    array.copy_from(x)
    (said,) = findings(module, "one", texture(array, (CLAMP,)), np.full(1, 0.5, "f4"), got, 1)
    assert said.startswith("initcheck")
    assert findings(module, "one", texture(array, (CLAMP,)), np.full(1, 1.5, "f4"), got, 1) == [] and got[0] == 5
    array.copy_to(back)
    assert [bool(part.marks is not None and unwritten_bytes(part).any()) for part in (back[:1], back[1:2])] == [True, False]
    array.copy_from(np.arange(4, dtype="f4"))
    array.copy_to(back)
    assert not unwritten_bytes(back).any() and back.tolist() == [0, 1, 2, 3]


def test_handles_that_name_no_texture(module):
    x, got, array = np.zeros(3, "f4"), np.zeros(3, "f4"), new(3)
    array.copy_from(x)
    gone = texture(array, (CLAMP,))
    handle = np.uint64(gone.ptr)
    del gone
    nothing = np.uint64(0)
    for wrong, why in ((surface(array), "is that of a surface object"), (nothing, "0x0 is no handle"), (handle, "was destroyed")):
        (said,) = findings(module, "one", wrong, x, got, 3)
        assert said.startswith("memcheck") and why in said and said.endswith(line_of("one"))
    (said,) = findings(module, "write1", texture(array, (CLAMP,)), 3)
    assert "is that of a texture object, not of a surface" in said


def test_another_geometry_or_type_than_the_textures(module):
    x, got, plane = np.zeros(3, "f4"), np.zeros(3, "f4"), new(3, 2)
    plane.copy_from(np.zeros((2, 3), "f4"))
    whole = array_of(np.arange(3, dtype="u1"), ChannelFormatDescriptor(8, 0, 0, 0, 1))
    linear = TextureObject(ResourceDescriptor(2, arr=x, chDesc=FLOAT, sizeInBytes=12), TextureDescriptor())
    for wrong, why in (
        (texture(plane, (CLAMP, CLAMP)), "a texture of geometry 2d is read as 1d"), (linear, "tex1Dfetch alone"),
        (texture(whole, (CLAMP,)), r"as integers (1 x 8-bit unsigned integers) are read as f32"),
    ):  # fmt: skip
        (said,) = findings(module, "one", wrong, x, got, 3)
        assert why in said, said
    (said,) = findings(module, "write1", surface(plane), 3)
    assert "a surface of geometry 2d is accessed as 1d" in said
    long = TextureObject(ResourceDescriptor(2, arr=x, chDesc=FLOAT, sizeInBytes=400), TextureDescriptor())
    (said,) = findings(module, "fetch", long, np.zeros(9, "f4"), 9)
    assert "out-of-bounds read of 4 bytes; 0 bytes after the end of the linear memory of a texture" in said


def test_descriptions_that_cuda_refuses():
    array, whole = new(4), CUDAarray(ChannelFormatDescriptor(8, 0, 0, 0, 1), 4)
    memory = np.zeros(64, "f4")

    def over(kind, arr, **sizes):
        return TextureObject(ResourceDescriptor(kind, arr=arr, chDesc=FLOAT, **sizes), TextureDescriptor())

    for make, why in (
        (lambda: texture(whole, (CLAMP,), 1), "linear filtering is for elements that are read as floats"),
        (lambda: texture(array, (CLAMP,), 0, 1, sRGB=1), "sRGB is for 8-bit"),
        (lambda: texture(whole, (BORDER,), borderColors=(1,)), "border colour"),
        (lambda: texture(array, (5,)), "address modes are 0 to 3"),
        (lambda: texture(array, (CLAMP,), maxAnisotropy=4), "anisotropic"),
        (lambda: surface(CUDAarray(FLOAT, 4)), "cudaArraySurfaceLoadStore"),
        (lambda: SurfaceObject(ResourceDescriptor(2, arr=memory, chDesc=FLOAT, sizeInBytes=64)), "not of linear memory"),
        (lambda: CUDAarray(FLOAT, 0), "width is at least 1"),
        (lambda: CUDAarray(FLOAT, 4, 0, 2), "what has a depth has a height"),
        (lambda: CUDAarray(FLOAT, 4, 5, 6, runtime.cudaArrayCubemap), "no cubemap"),
        (lambda: CUDAarray(FLOAT, 4, 4, 0, runtime.cudaArrayLayered), "no layers"),
        (lambda: CUDAarray(FLOAT, 200000), "too large"),
        (lambda: CUDAarray(FLOAT, 4, flags=64), "flags 0x40"),
        (lambda: over(2, memory[1:], sizeInBytes=8), "multiple of 512"),
        (lambda: over(3, memory, width=5, height=3, pitchInBytes=20), "pitch"),
        (lambda: TextureDescriptor((0,) * 4), "at most three"),
        (lambda: new(4).copy_from(np.zeros(5, "f4")), r"shape \(4,\)"),
        (lambda: new(4).copy_from(np.zeros(4, "f8")), "dtype float32"),
        (lambda: new(4).copy_to(np.zeros(8, "f4")[::2]), "C order"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            make()
    with pytest.raises(NotImplementedError, match="Mipmapped"):
        ResourceDescriptor(runtime.cudaResourceTypeMipmappedArray)
    for missing in (lambda: ResourceDescriptor(0), lambda: ResourceDescriptor(2, arr=memory), lambda: CUDAarray(None, 4)):
        with pytest.raises(TypeError, match="is a"):
            missing()


def test_descriptions_can_be_read_back():
    array = new(4, 3)
    res = ResourceDescriptor(0, cuArr=array)
    assert res.get_resource_desc() == {"resType": 0, "array": {"array": array.ptr}} and array.ndim == 2
    assert FLOAT.get_channel_format() == {"x": 32, "y": 0, "z": 0, "w": 0, "f": 2}
    given = TextureDescriptor((1, 2), 1, 0, borderColors=(0.5,), normalizedCoords=True).get_texture_desc()
    assert given["addressMode"] == (1, 2, 0) and given["borderColor"] == (0.5, 0, 0, 0) and given["normalizedCoords"] == 1


def test_a_texture_is_no_argument_for_a_number(module):
    with pytest.raises(EmulatorError, match="argument 3 of kernel one is a texture object, but"):
        module.get_function("one")((1,), (32,), (1, np.zeros(1, "f4"), np.zeros(1, "f4"), texture(array_of(np.zeros(1, "f4")))))


def test_an_elementwise_kernel_takes_a_texture():
    table = RNG.normal(size=(4, 8)).astype("f4")
    kernel = cp.ElementwiseKernel("U tex, int32 width", "float32 y", "y = tex2D<float>(tex, i % width, i / width)", "through")
    got = cp.zeros((4, 8), cp.float32)
    kernel(texture(array_of(table), (CLAMP, CLAMP)), 8, got)
    np.testing.assert_array_equal(got, table)


# ---- forms of PTX that CUDA C++ does not write ----------------------------------------------------------------------

HEAD = ".version 8.0\n.target sm_80\n.address_size 64\n"
FORMS = HEAD + """
.visible .entry forms(.param .u64 t, .param .u64 s, .param .u64 o) {
 .reg .b64 %rd<9>; .reg .b32 %r<40>; .reg .b16 %h<9>; .reg .f32 %f<9>; .reg .pred %p<2>;
 ld.param.u64 %rd1, [t]; ld.param.u64 %rd2, [s]; ld.param.u64 %rd3, [o];
 mov.u32 %r1, %tid.x;
 cvt.rn.f32.u32 %f1, %r1;
 tex.2d.v4.f16.f32 {%h1, _, _, %h4}, [%rd1, {%f1, %f1}];
 tex.base.2d.v2.f16x2.s32 {%r2, %r3}, [%rd1, {%r1, 1}];
 mov.b32 %r4, {%h1, %h4};
 txq.width.b32 %r5, [%rd1];
 txq.height.b32 %r6, [%rd1];
 txq.normalized_coords.b32 %r7, [%rd1];
 txq.num_mipmap_levels.b32 %r8, [%rd1];
 suq.width.b32 %r9, [%rd2];
 suq.array_size.b32 %r10, [%rd2];
 mov.u32 %r11, 0;
 sured.b.add.2d.u32.trap [%rd2, {0, %r11}], %r1;
 sured.b.max.2d.s32.trap [%rd2, {4, %r11}], %r1;
 sured.b.or.2d.b32.zero [%rd2, {400, %r11}], %r1;
 mov.u32 %r12, 100;
 suld.b.2d.b32.zero %r12, [%rd2, {400, %r11}];
 add.u32 %r6, %r6, %r12;
 mul.wide.u32 %rd4, %r1, 32;
 add.u64 %rd5, %rd3, %rd4;
 st.global.v4.u32 [%rd5], {%r4, %r2, %r3, %r5};
 st.global.v4.u32 [%rd5+16], {%r6, %r7, %r8, %r9};
 ret;
}
"""


def test_halves_queries_and_reductions():
    table = np.array([[1.5, 2.5, 3.5], [4, 5, 6]], "f4")
    array, t = new(2, 1, desc=ChannelFormatDescriptor(32, 0, 0, 0, 1)), texture(array_of(table), (CLAMP, CLAMP))
    array.copy_from(np.array([[7, 2]], "u4"))
    got = np.zeros((4, 8), "u4")
    emulator.RawModule(code=FORMS).get_function("forms")((1,), (4,), (t, surface(array), got))
    first = table[[0, 1, 1, 1], [0, 1, 2, 2]]
    halves = got.view("f2")
    np.testing.assert_array_equal(halves[:, :2], np.c_[first, np.ones(4)])
    np.testing.assert_array_equal(halves[:, 2:6], np.c_[table[1, [0, 1, 2, 2]], np.zeros((4, 2)), np.ones(4)])
    assert (got[:, 3:] == [3, 2, 0, 1, 2]).all()
    assert held(array, (1, 2), "u4").tolist() == [[7 + 0 + 1 + 2 + 3, 3]]


@pytest.mark.parametrize(("text", "why"), [
    ("tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%rd1, {%f5, %f5}], {%r1, %r1};", "offsets of coordinates"),
    ("tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%rd1, %rd1, {%f5, %f5}];", r"a sampler of its own \(.samplerref\)"),
    ("tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [ref, {%f5, %f5}];", r"references \(.texref, .surfref\)"),
    ("tex.2dms.v4.f32.s32 {%f1, %f2, %f3, %f4}, [%rd1, {%r1, %r1, %r1, %r1}];", "modifier .2dms"),
    ("tld4.r.cube.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%rd1, {%f5, %f5, %f5, %f5}];", "gathers from cubemaps"),
    ("txq.filter_mode.b32 %r1, [%rd1];", "this query is not supported"),
    ("sust.p.2d.v4.b32.trap [%rd1, {%r1, %r1}], {%r1, %r1, %r1, %r1};", "those of bytes"),
    ("sured.p.add.2d.b32.trap [%rd1, {%r1, %r1}], %r1;", "those of bytes"),
    ("suld.p.2d.v4.b32.trap {%r1, %r1, %r1, %r1}, [%rd1, {%r1, %r1}];", "those of bytes"),
])  # fmt: skip
def test_forms_that_are_not_supported_are_named(text, why):
    body = f"{HEAD}.global .texref ref;\n.visible .entry k() {{ .reg .b64 %rd<9>; .reg .b32 %r<9>; .reg .f32 %f<9>; {text} ret; }}"
    with pytest.raises(UnsupportedInstruction, match=why):
        emulator.RawModule(code=body).get_function("k")


def test_too_few_coordinates_are_no_ptx():
    text = "tex.3d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%rd1, {%f5, %f5}];"
    body = f"{HEAD}.visible .entry k() {{ .reg .b64 %rd<9>; .reg .f32 %f<9>; {text} ret; }}"
    with pytest.raises(EmulatorError, match="not PTX: tex cannot have the operands"):
        emulator.RawModule(code=body).get_function("k")
