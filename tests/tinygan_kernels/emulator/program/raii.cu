// Errors of the CUDA runtime as exceptions, memory of the device that its owner gives back, threads and their results, and, with an
// argument, a thread that waits for ever.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <future>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#define checkCudaErrors(call) check((call), #call, __FILE__, __LINE__)
struct CudaError : std::runtime_error { cudaError_t code; CudaError(cudaError_t c, const std::string& w) : std::runtime_error(w + ": " + cudaGetErrorString(c)), code(c) {} };
template <class T> void check(T result, const char* func, const char* file, int line) {
    if (result) throw CudaError((cudaError_t)result, std::string(func));
}
template <class T> class DeviceBuffer {
    T* p_ = nullptr; size_t n_;
public:
    explicit DeviceBuffer(size_t n) : n_(n) { checkCudaErrors(cudaMalloc(&p_, n * sizeof(T))); printf("alloc %zu\n", n); }
    ~DeviceBuffer() { cudaFree(p_); printf("free %zu\n", n_); }
    DeviceBuffer(const DeviceBuffer&) = delete;
    T* get() { return p_; }
    void upload(const std::vector<T>& v) { if (v.size() > n_) throw std::length_error("upload"); checkCudaErrors(cudaMemcpy(p_, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice)); }
};
__global__ void twice(float* x, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] *= 2; }
int work(int n) { if (n == 3) throw std::invalid_argument("three"); return n * n; }
template <class F> void told(F f) {
    try { f(); printf("nothing\n"); } catch (const std::future_error& e) { printf("%s %d\n", e.what(), e.code() == std::future_errc::no_state); }
}
void broken_rules() {
    std::promise<int> p;
    auto f = p.get_future();
    p.set_value(4);
    told([&] { p.set_value(5); });
    told([&] { p.set_exception(std::make_exception_ptr(1)); });
    told([&] { p.get_future(); });
    printf("%d\n", f.get());
    told([&] { f.get(); });
    std::future<int> broken;
    {
        std::promise<int> gone;
        broken = gone.get_future();
        std::promise<int> kept(std::move(gone));
        told([&] { gone.get_future(); });
    }
    told([&] { broken.get(); });
    std::packaged_task<int(int)> task([](int a) { return 2 * a; });
    auto result = task.get_future();
    task(9);
    told([&] { task(1); });
    task.reset();
    auto second = task.get_future();
    task = std::packaged_task<int(int)>();
    told([&] { second.get(); });
    told([&] { task(1); });
    printf("%d %d\n", result.get(), task.valid());
}
int main(int argc, char** argv) {
    try {
        DeviceBuffer<float> a(100);
        std::vector<float> v(100, 1.5f);
        a.upload(v);
        twice<<<1, 128>>>(a.get(), 100);
        checkCudaErrors(cudaGetLastError());
        checkCudaErrors(cudaMemcpy(v.data(), a.get(), 400, cudaMemcpyDeviceToHost));
        printf("%g\n", v[99]);
        twice<<<1, 2000>>>(a.get(), 100);
        checkCudaErrors(cudaGetLastError());
        printf("wrong\n");
    } catch (const CudaError& e) { printf("%s %d\n", e.what(), (int)e.code); }
    try { DeviceBuffer<float> a(10), b((size_t)1 << 50); } catch (const std::exception& e) { printf("%s\n", e.what()); }
    try { DeviceBuffer<int> a(1); a.upload({1, 2}); } catch (const std::logic_error& e) { printf("%s\n", e.what()); }
    std::atomic<int> total{0};
    std::mutex m;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++) threads.emplace_back([&, i] { std::lock_guard<std::mutex> lock(m); total += i; });
    for (auto& t : threads) t.join();
    std::vector<std::future<int>> futures;
    for (int i = 1; i < 5; i++) futures.push_back(std::async(std::launch::async, work, i));
    for (auto& f : futures) try { printf("%d ", f.get()); } catch (const std::invalid_argument& e) { printf("[%s] ", e.what()); }
    std::promise<std::string> promise;
    auto future = promise.get_future();
    std::thread([&] { promise.set_value("kept"); }).join();
    printf("%d %s\n", total.load(), future.get().c_str());
    auto later = std::async(std::launch::deferred, [](int a, int b) { printf("now "); return a + b; }, 3, 4);
    printf("first ");
    printf("%d\n", later.get());
    broken_rules();
    std::packaged_task<int(int)> task(work);
    auto result = task.get_future();
    task(6);
    printf("%d\n", result.get());
    try {
        std::lock_guard<std::mutex> lock(m);
        throw 1;
    } catch (...) { printf("%d\n", m.try_lock()); m.unlock(); }
    std::atomic<bool> go{false};
    if (argc > 1) std::thread([&] { while (!go.load(std::memory_order_acquire)) std::this_thread::yield(); }).join();
}
