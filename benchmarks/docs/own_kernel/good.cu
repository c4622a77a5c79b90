// launch: mm<<<dim3((N + 31) / 32, (M + 31) / 32), dim3(32, 32)>>>(a, b, c, M, N, K)
__global__ void mm(const float* a, const float* b, float* c, int M, int N, int K) {
    __shared__ float as[32][32], bs[32][32];
    int x = threadIdx.x, y = threadIdx.y;
    int row = blockIdx.y * 32 + y, col = blockIdx.x * 32 + x;
    float sum = 0;
    for (int k0 = 0; k0 < K; k0 += 32) {
        as[y][x] = row < M && k0 + x < K ? a[row * K + k0 + x] : 0;
        bs[y][x] = col < N && k0 + y < K ? b[(k0 + y) * N + col] : 0;
        __syncthreads();
        for (int k = 0; k < 32; ++k) sum += as[y][k] * bs[k][x];
        __syncthreads();
    }
    if (row < M && col < N) c[row * N + col] = sum;
}
