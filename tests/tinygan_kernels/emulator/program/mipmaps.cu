// A pyramid as CUDA's sample bindlessTexture makes it: each level is the mean of four elements of the one before, read by a texture and
// written by a surface. Then fetches from levels between. With an argument, calls that CUDA refuses.
#include <stdio.h>
#include <stdlib.h>
const int W = 16, H = 8, LEVELS = 5;
__global__ void halve(cudaTextureObject_t from, cudaSurfaceObject_t to, int width, int height) {
    int x = threadIdx.x, y = threadIdx.y;
    if (x < width && y < height) surf2Dwrite(tex2D<float>(from, (x + 0.5f) / width, (y + 0.5f) / height), to, x * 4, y);
}
__global__ void fetch(cudaTextureObject_t tex, float* out) {
    int i = threadIdx.x;
    float x = (i + 0.5f) / W;
    out[4 * i] = tex2DLod<float>(tex, x, 0.5f, i * 0.375f);
    out[4 * i + 1] = tex2D<float>(tex, x, 0.5f);
    out[4 * i + 2] = tex2DGrad<float>(tex, x, 0.5f, make_float2(2.0f / W, 0), make_float2(0, 4.0f / H));
    out[4 * i + 3] = tex2DLod<float>(tex, x, 0.5f, -3.0f);
}
int main(int argc, char** argv) {
    static float picture[W * H], found[4 * W];
    for (int i = 0; i < W * H; i++) picture[i] = i * i % 64;
    cudaChannelFormatDesc floats = cudaCreateChannelDesc<float>();
    cudaMipmappedArray_t pyramid;
    cudaMallocMipmappedArray(&pyramid, &floats, make_cudaExtent(W, H, 0), LEVELS + 3, cudaArraySurfaceLoadStore);
    cudaArray_t level, smaller;
    cudaGetMipmappedArrayLevel(&level, pyramid, 0);
    cudaMemcpy2DToArray(level, 0, 0, picture, 4 * W, 4 * W, H, cudaMemcpyHostToDevice);
    cudaTextureDesc how = {};
    how.addressMode[0] = how.addressMode[1] = cudaAddressModeClamp;
    how.filterMode = cudaFilterModeLinear;
    how.normalizedCoords = 1;
    for (int n = 1, w = W, h = H; n < LEVELS; n++) {
        w = w > 1 ? w / 2 : 1;
        h = h > 1 ? h / 2 : 1;
        if (cudaGetMipmappedArrayLevel(&smaller, pyramid, n) != cudaSuccess) return 4;
        cudaResourceDesc read = {}, write = {};
        read.resType = write.resType = cudaResourceTypeArray;
        read.res.array.array = level;
        write.res.array.array = smaller;
        cudaTextureObject_t from;
        cudaSurfaceObject_t to;
        cudaCreateTextureObject(&from, &read, &how, NULL);
        cudaCreateSurfaceObject(&to, &write);
        halve<<<1, dim3(16, 8)>>>(from, to, w, h);
        level = smaller;
    }
    cudaExtent size;
    cudaArrayGetInfo(NULL, &size, NULL, level);
    printf("%d %d\n", (int)size.width, (int)size.height);
    cudaResourceDesc all = {};
    all.resType = cudaResourceTypeMipmappedArray;
    all.res.mipmap.mipmap = pyramid;
    how.mipmapFilterMode = cudaFilterModeLinear;
    how.mipmapLevelBias = 0.25f;
    how.minMipmapLevelClamp = 0.5f;
    how.maxMipmapLevelClamp = 3.5f;
    cudaTextureObject_t tex;
    if (cudaCreateTextureObject(&tex, &all, &how, NULL) != cudaSuccess) return 3;
    float* out;
    cudaMalloc(&out, sizeof(found));
    fetch<<<1, W>>>(tex, out);
    cudaMemcpy(found, out, sizeof(found), cudaMemcpyDeviceToHost);
    for (int i = 0; i < 4 * W; i++) printf("%.9g ", found[i]);
    printf("\n");
    if (argc > 1) {
        cudaSurfaceObject_t none;
        int codes[5];
        how.normalizedCoords = 0;
        codes[0] = cudaCreateTextureObject(&tex, &all, &how, NULL);
        codes[1] = cudaCreateSurfaceObject(&none, &all);
        codes[2] = cudaGetMipmappedArrayLevel(&level, pyramid, LEVELS);
        codes[3] = cudaFreeArray(level);
        codes[4] = cudaFreeMipmappedArray(pyramid);
        for (int i = 0; i < 5; i++) printf("%d ", codes[i]);
        printf("%d\n", cudaFreeMipmappedArray(pyramid));
        fetch<<<1, W>>>(tex, out);
    }
    return 0;
}
