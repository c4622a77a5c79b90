// What nvcc's programs find without an #include of their own, whole numbers as arguments of <math.h>, and memory that nobody wrote.
__global__ void roots(double* y, int n, long m, unsigned u, float f) {
    int i = threadIdx.x;
    double of[] = {sqrt(n), log2(n), pow(2, n), pow(n, m), fmod(n, 3), atan2(n, u), fabs(-n), floor(n), fmax(n, 2.5), fmin(f, 2.0),
                   pow(f, 2.0), hypot(n, u), round(m), cbrt(u)};
    y[i] = of[i];
}
__global__ void add(int* sum, const double* x) { atomicAdd(sum, (int)(x[threadIdx.x] + 0.25)); }
__global__ void child() {}
__global__ void parent() { child<<<1, 1>>>(); }

int main(int argc, char** argv) {
    const int count = 14;
    double *y, own[count];
    int n = 8, *sum;
    long m = 3;
    unsigned u = 27;
    float f = 1.5f;
    double of[] = {sqrt(n), log2(n), pow(2, n), pow(n, m), fmod(n, 3), atan2(n, u), fabs(-n), floor(n), fmax(n, 2.5), fmin(f, 2.0),
                   pow(f, 2.0), hypot(n, u), round(m), cbrt(u)};
    memset(own, 0, sizeof own);
    cudaMallocManaged(&y, sizeof own);
    cudaMallocManaged(&sum, sizeof *sum);
    roots<<<1, count>>>(y, n, m, u, f);
    cudaDeviceSynchronize();
    for (int i = 0; i < count; i++) printf("%.12g %.12g\n", of[i], y[i]);
    double first = drand48();
    srand48(42);
    double second = drand48();
    long third = lrand48(), fourth = mrand48();
    unsigned short state[3] = {1, 2, 3};
    double fifth = erand48(state);
    long sixth = nrand48(state), seventh = jrand48(state);
    printf("%.17g %.17g %ld %ld %.17g %ld %ld\n", first, second, third, fourth, fifth, sixth, seventh);
    if (argc > 1 && atoi(argv[1]) == 1) parent<<<1, 1>>>();
    if (argc > 1 && atoi(argv[1]) == 2) *sum = 0;
    add<<<1, count>>>(sum, y);
    cudaDeviceSynchronize();
    printf("%d\n", *sum);
    exit(strlen(argv[0]) > 0 ? 3 : 4);
}
