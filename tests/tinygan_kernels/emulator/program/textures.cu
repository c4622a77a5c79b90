// What CUDA's samples do with textures and surfaces: rotate a picture, read layers and a volume, write a surface, filter bicubically.
// Each result is printed as the sum of its elements times 1, 2, 3, ..., which a test works out with NumPy. With an argument, faults.
#include <stdio.h>
#include <stdlib.h>
const int W = 16, H = 12, D = 5;

cudaTextureObject_t texture_of(const cudaResourceDesc& from, cudaTextureAddressMode mode, cudaTextureFilterMode filter, bool normalized,
                               cudaTextureReadMode read = cudaReadModeElementType) {
    cudaTextureDesc how = {};
    for (int i = 0; i < 3; i++) how.addressMode[i] = mode;
    how.filterMode = filter;
    how.readMode = read;
    how.normalizedCoords = normalized;
    cudaTextureObject_t made = 0;
    if (cudaCreateTextureObject(&made, &from, &how, NULL) != cudaSuccess) exit(3);
    return made;
}
cudaResourceDesc resource(cudaArray_t array) {
    cudaResourceDesc made = {};
    made.resType = cudaResourceTypeArray;
    made.res.array.array = array;
    return made;
}

__global__ void rotate(float* out, cudaTextureObject_t tex, float c, float s) {
    int x = threadIdx.x, y = blockIdx.x;
    float u = (x + 0.5f) / W - 0.5f, v = (y + 0.5f) / H - 0.5f;
    out[y * W + x] = tex2D<float>(tex, u * c - v * s + 0.5f, v * c + u * s + 0.5f);
}
__global__ void layers(float* out, cudaTextureObject_t tex) {
    int x = threadIdx.x, y = blockIdx.x, layer = blockIdx.y;
    out[(layer * H + y) * W + x] = -tex2DLayered<float>(tex, x + 0.5f, y + 0.5f, layer) + layer;
}
__global__ void middle(float* out, cudaTextureObject_t tex) {
    int x = threadIdx.x, y = blockIdx.x;
    out[y * W + x] = tex3D<float>(tex, x + 0.5f, y + 0.5f, 2.0f);
}
__global__ void fill(cudaSurfaceObject_t surface) {
    int x = threadIdx.x, y = blockIdx.x;
    surf2Dwrite(make_uchar4(x, y, x + y, 255), surface, x * (int)sizeof(uchar4), y);
}
__global__ void colours(float* out, cudaTextureObject_t tex) {
    int x = threadIdx.x, y = blockIdx.x;
    float4 c = tex2D<float4>(tex, x + 0.5f, y + 0.5f);
    out[y * W + x] = 255 * (c.x + 2 * c.y + 4 * c.z + 8 * c.w);
}
__device__ float w0(float a) { return a * (a * (-a + 3) - 3) + 1; }
__device__ float w1(float a) { return a * a * (3 * a - 6) + 4; }
__device__ float w2(float a) { return a * (a * (-3 * a + 3) + 3) + 1; }
__device__ float w3(float a) { return a * a * a; }
__global__ void bicubic(float* out, cudaTextureObject_t tex) {
    float x = 0.75f * threadIdx.x, y = 0.75f * blockIdx.x, px = floorf(x), py = floorf(y), fx = x - px, fy = y - py;
    float wx[4] = {w0(fx), w1(fx), w2(fx), w3(fx)}, wy[4] = {w0(fy), w1(fy), w2(fy), w3(fy)}, sum = 0;
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++) sum += wx[i] * wy[j] * tex2D<float>(tex, px + i - 0.5f, py + j - 0.5f);
    out[blockIdx.x * W + threadIdx.x] = sum / 36;
}
__global__ void by_number(float* out, cudaTextureObject_t tex, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = 2 * tex1Dfetch<float>(tex, n - 1 - i);
}

float* out;
void show(const char* name, int n) {
    static float host[W * H * D];
    cudaMemcpy(host, out, n * sizeof(float), cudaMemcpyDeviceToHost);
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (i + 1.0) * host[i];
    printf("%s %.9g\n", name, sum);
}
int captured(cudaArray_t flat, float* picture) {  // the graph does the copies in a stream that is captured, as often as it runs
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t work;
    cudaArray_t other;
    size_t nodes = 0;
    float first[4] = {7}, *pinned;
    cudaChannelFormatDesc floats = cudaCreateChannelDesc<float>();
    cudaMallocArray(&other, &floats, W, H);
    cudaMallocHost(&pinned, 16 * W);
    cudaStreamCreate(&stream);
    cudaMemcpy3DParms copy = {0};
    copy.srcArray = flat;
    copy.dstArray = other;
    copy.extent = make_cudaExtent(W, H, 1);
    copy.kind = cudaMemcpyDeviceToDevice;
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    cudaMemcpy2DToArrayAsync(flat, 0, 0, picture, 64, 64, H, cudaMemcpyHostToDevice, stream);
    cudaMemcpy3DAsync(&copy, stream);
    cudaMemcpyFromArrayAsync(first, other, 0, 0, 16, cudaMemcpyDeviceToHost, stream);
    cudaStreamEndCapture(stream, &graph);
    cudaGraphGetNodes(graph, NULL, &nodes);
    cudaGraphInstantiate(&work, graph, NULL, NULL, 0);
    printf("%g", first[0]);
    for (int i = 8; i < 10; i++) {
        picture[0] = i;
        cudaGraphLaunch(work, stream);
        cudaStreamSynchronize(stream);
        printf(" %g", first[0]);
    }
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    printf(" %d %d", (int)nodes, cudaMemcpy2DToArray(flat, 0, 0, picture, 64, 64, H, cudaMemcpyHostToDevice));
    printf(" %d\n", cudaStreamEndCapture(stream, &graph));
    cudaStream_t beside;
    cudaStreamCreate(&beside);
    copy.dstArray = 0;
    copy.extent = make_cudaExtent(W, 2, 1);
    copy.kind = cudaMemcpyDeviceToHost;
    for (int half = 0; half < 2; half++) {  // to the left and to the right of each row, so that neither meets the other
        copy.dstPtr = make_cudaPitchedPtr(pinned + half * W, 8 * W, 4 * W, 2);
        cudaMemcpy3DAsync(&copy, half ? beside : stream);
    }
    return (int)pinned[4 * W - 1];
}
int main(int argc, char** argv) {
    static float picture[W * H], volume[W * H * D];
    for (int i = 0; i < W * H; i++) picture[i] = i * i % 97;
    for (int i = 0; i < W * H * D; i++) volume[i] = i * 7 % 101;
    cudaMalloc(&out, W * H * D * sizeof(float));
    cudaChannelFormatDesc floats = cudaCreateChannelDesc<float>();

    cudaArray_t flat;
    cudaMallocArray(&flat, &floats, W, H);
    cudaMemcpy2DToArray(flat, 0, 0, picture, W * sizeof(float), W * sizeof(float), H, cudaMemcpyHostToDevice);
    if (argc > 1 && atoi(argv[1]) == 6) return captured(flat, picture);
    cudaTextureObject_t turned = texture_of(resource(flat), cudaAddressModeWrap, cudaFilterModeLinear, true);
    rotate<<<H, W>>>(out, turned, 0.8f, 0.6f);
    show("rotate", W * H);
    cudaTextureObject_t plain = texture_of(resource(flat), cudaAddressModeClamp, cudaFilterModePoint, false);
    bicubic<<<H, W>>>(out, plain);
    show("bicubic", W * H);

    cudaArray_t stack, solid;
    cudaExtent size = make_cudaExtent(W, H, D);
    cudaMalloc3DArray(&stack, &floats, size, cudaArrayLayered);
    cudaMalloc3DArray(&solid, &floats, size);
    cudaMemcpy3DParms copy = {0};
    copy.srcPtr = make_cudaPitchedPtr(volume, W * sizeof(float), W, H);
    copy.dstArray = stack;
    copy.extent = size;
    copy.kind = cudaMemcpyHostToDevice;
    cudaMemcpy3D(&copy);
    copy.dstArray = solid;
    cudaMemcpy3D(&copy);
    layers<<<dim3(H, D), W>>>(out, texture_of(resource(stack), cudaAddressModeWrap, cudaFilterModeLinear, false));
    show("layers", W * H * D);
    middle<<<H, W>>>(out, texture_of(resource(solid), cudaAddressModeClamp, cudaFilterModeLinear, false));
    show("middle", W * H);

    cudaArray_t painted;
    cudaChannelFormatDesc bytes = cudaCreateChannelDesc<uchar4>();
    cudaMallocArray(&painted, &bytes, W, H, cudaArraySurfaceLoadStore);
    cudaResourceDesc canvas = resource(painted);
    cudaSurfaceObject_t surface;
    cudaCreateSurfaceObject(&surface, &canvas);
    fill<<<H, W>>>(surface);
    colours<<<H, W>>>(out, texture_of(canvas, cudaAddressModeClamp, cudaFilterModePoint, false, cudaReadModeNormalizedFloat));
    show("colours", W * H);
    unsigned char back[2 * 8];
    cudaMemcpy2DFromArray(back, 8, painted, 4, 3, 8, 2, cudaMemcpyDeviceToHost);
    for (int i = 0; i < 16; i++) printf("%d ", back[i]);
    printf("\n");

    float* row;
    cudaMalloc(&row, W * sizeof(float));
    cudaMemcpy(row, picture, W * sizeof(float), cudaMemcpyHostToDevice);
    cudaResourceDesc linear = {};
    linear.resType = cudaResourceTypeLinear;
    linear.res.linear.devPtr = row;
    linear.res.linear.desc = floats;
    linear.res.linear.sizeInBytes = W * sizeof(float);
    cudaTextureObject_t numbered = texture_of(linear, cudaAddressModeClamp, cudaFilterModePoint, false);
    by_number<<<1, 32>>>(out, numbered, W);
    show("by_number", W);

    cudaChannelFormatDesc format;
    cudaExtent extent;
    unsigned flags = 9;
    cudaArrayGetInfo(&format, &extent, &flags, stack);
    printf("%d %d %d, %d %d %d, %u\n", format.x, format.y, (int)format.f, (int)extent.width, (int)extent.height, (int)extent.depth, flags);
    switch (argc > 1 ? atoi(argv[1]) : 0) {
        case 1: cudaFreeArray(flat); rotate<<<H, W>>>(out, turned, 1, 0); break;
        case 3: cudaFree(row); by_number<<<1, 32>>>(out, numbered, W); break;
        case 4: {
            cudaArray_t fresh;
            cudaMallocArray(&fresh, &floats, W, H);
            cudaMemcpy2DFromArray(picture, 64, fresh, 0, 0, 64, H, cudaMemcpyDeviceToHost);
            break;
        }
        case 5: {  // calls that CUDA refuses; only the first that frees the array is right
            cudaArray_t level;
            cudaSurfaceObject_t none;
            cudaResourceDesc sampled = resource(flat);
            int codes[9];
            codes[0] = cudaMemcpy2DToArray(flat, 4, 0, picture, 64, 64, H, cudaMemcpyHostToDevice);
            codes[1] = cudaMemcpy(flat, picture, 64, cudaMemcpyHostToDevice);
            codes[2] = cudaGetMipmappedArrayLevel(&level, (cudaMipmappedArray_t)flat, 0);
            codes[3] = cudaCreateSurfaceObject(&none, &sampled);
            codes[4] = cudaDestroySurfaceObject(plain);
            codes[5] = cudaFreeArray(flat);
            codes[6] = cudaFreeArray(flat);
            copy.srcPtr.ysize = H - 1;
            codes[7] = cudaMemcpy3D(&copy);
            copy.srcPtr = make_cudaPitchedPtr(volume, (W - 1) * sizeof(float), W, H);
            codes[8] = cudaMemcpy3D(&copy);
            for (int i = 0; i < 9; i++) printf("%d ", codes[i]);
        }
    }
    cudaDeviceSynchronize();
    return 0;
}
