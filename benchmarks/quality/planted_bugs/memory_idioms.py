"""Bugs of memory that come with an idiom: frames that ended, vectors, constant memory, carved-up buffers, uninitialised results."""

from .case import Case

FRAME = """__device__ __noinline__ int* filled(int n) {
  int own[4];
  for (int i = 0; i < 4; ++i) own[(i + n) & 3] = i;
  int* p = own;
  asm volatile("" : "+l"(p) :: "memory");
  return p;
}
__device__ __noinline__ int kept(int* own, int n) {
  for (int i = 0; i < 4; ++i) own[(i + n) & 3] = i;
  return own[n & 3];
}
"""
STALE = """__device__ __noinline__ int sum(const int* x, int n, bool first) {
  int own[4];
  if ({{first|true}}) for (int i = 0; i < 4; ++i) own[(i + n) & 3] = x[i];
  int s = 0;
  for (int i = 0; i < 4; ++i)
    s += own[(i * n + 1) & 3];  // BUG
  return s;
}
"""

CASES = (
    Case("a pointer to the frame of a function that returned", "memcheck",
         "int mine[4];\n{{int* p = filled(n);\ny[t] = p[n & 3];  // BUG\n|y[t] = kept(mine, n);}}", before=FRAME),
    Case("a local array that only the first call sets", "initcheck",
         "int a = sum(x, n, true), b = sum(x, n + 1, false);\ny[t] = a + b;", n=63, before=STALE),
    Case("another thread's stack array, through a pointer in shared memory", "memcheck",
         "__shared__ int* p;\n__shared__ int all[4];\nint own[4];\nfor (int i = 0; i < 4; ++i) own[(i + n) & 3] = t + i;\n"
         "if (t == 0) { for (int i = 0; i < 4; ++i) all[i] = own[i]; p = {{own|all}}; }\n__syncthreads();\n"
         "int* q = p;  // BUG\ny[t] = q[n & 3];  // BUG"),
    Case("past the end of constant memory", "memcheck",
         "y[t] = table[(t + n) % {{17|16}}];  // BUG", before="__constant__ int table[16] = {1, 2, 3};"),
    Case("a write to constant memory through a pointer", "memcheck",
         "int* p = (int*){{table|y}};\nasm volatile(\"\" : \"+l\"(p));  // the compiler knows no more where p points\n"
         "p[t & 3] = n;  // BUG", block=4, before="__constant__ int table[16] = {1, 2, 3};"),
    Case("a __device__ array that is one too short", "memcheck",
         "weights[t] = x[t];  // BUG\ny[t] = weights[t] + n;", before="__device__ int weights[{{63|64}}], other[64];"),
    Case("the right neighbour of the last element", "memcheck",
         "int i = blockIdx.x * 64 + t;\nif (i < n) y[i] = x[i] + x[{{i + 1|min(i + 1, n - 1)}}];  // BUG", grid=4, n=256),
    Case("an index that overflows 32 bits", "memcheck",
         "int i = t + (n * {{50000000|0}});\n"
         "if (i < 256) y[t] = x[i];  // BUG", n=64),
    Case("a loop down with an unsigned index", "memcheck",
         "int s = 0;\nfor ({{unsigned|int}} i = n - 1; i >= 0 && i != -5; --i)\n  s += x[i];  // BUG\n"
         "y[t] = s;", n=8, block=32),
    Case("a vector store past the end", "memcheck",
         "int i = (t + n) * 4;\nif (i < 4096{{ + 4|}})\n  *(int4*)(y + i) = make_int4(1, 2, 3, 4);  // BUG", n=961),
    Case("a pair that is read from an odd index", "memcheck",
         "int2 v = *(int2*)(x + 2 * t {{+ 1|}});  // BUG\ny[t] = v.x - v.y;"),
    Case("a double at a float's address", "memcheck",
         "extern __shared__ __align__(8) char raw[];\ndouble* d = (double*)(raw + {{4 * n|8 * n}});\nd[t] = t;  // BUG\n"
         "__syncthreads();\ny[t] = (int)d[63 - t];  // BUG", n=1, shared_mem=1024),
    Case("an asynchronous copy of 16 bytes that is not aligned", "memcheck",
         "__shared__ __align__(16) int s[256];\nunsigned to = (unsigned)__cvta_generic_to_shared(s + 4 * t);\n"
         "asm volatile(\"cp.async.cg.shared.global [%0], [%1], 16;\" :: \"r\"(to), \"l\"(x + 4 * t {{+ 2|}}) : \"memory\");  // "
         "BUG\n"
         "asm volatile(\"cp.async.wait_all;\" ::: \"memory\");\ny[t] = s[4 * t];", block=32),
    Case("an asynchronous copy past the end of its source", "memcheck",
         "__shared__ __align__(16) int s[512];\nunsigned to = (unsigned)__cvta_generic_to_shared(s + 4 * t);\n"
         "if (t < {{n + 1|n}})\n"
         "asm volatile(\"cp.async.cg.shared.global [%0], [%1], 16;\" :: \"r\"(to), \"l\"(x + 4 * t) : \"memory\");"
         "  // BUG\nasm volatile(\"cp.async.wait_all;\" ::: \"memory\");\nif (t < n) y[t] = s[4 * t];", block=96),
    Case("dynamic shared memory carved up beyond its size", "memcheck",
         "extern __shared__ int d[];\nint *a = d, *b = d + {{n + 64|n}};\na[t] = x[t];\nb[t] = -t;  // BUG\n"
         "__syncthreads();\ny[t] = a[63 - t] + b[63 - t];  // BUG", shared_mem=512),
    Case("shared memory before its start", "memcheck",
         "__shared__ int s[64];\ns[t] = x[t];\n__syncthreads();\ny[t] = s[{{t - n / 64|max(t - n / 64, 0)}}];  // BUG"),
    Case("the array before, by a negative index", "memcheck",
         "__shared__ int a[64], b[64];\na[t] = t; b[t] = -t;\n__syncthreads();\ny[t] = b[t - {{n / 64|0}}] + a[t];  // BUG"),
    Case("a column of warp sums that is one too short", "memcheck",
         "__shared__ int sums[{{3|4}}], total[4];\nif (t < 4) total[t] = 0;\n__syncthreads();\n"
         "if (t % 32 == 0) sums[t / 32] = x[t];  // BUG\n__syncthreads();\nif (t == 0) total[0] = sums[0] + sums[n / 64];\n"
         "__syncthreads();\ny[t] = total[0];", block=128),
    Case("an output that is added to and was never set", "initcheck",
         "{{|y[t] = 0;\n__syncthreads();}}\natomicAdd(&y[t / 2], x[t]);  // BUG", fresh=True),
    Case("a result that only some threads write", "initcheck",
         "if ({{t % 2 == 0|t >= 0}}) y[t] = x[t];\n__syncthreads();\ny[t + 64] = y[63 - t];  // BUG",
         fresh=True),
    Case("a ragged tile whose rest is not filled", "initcheck",
         "__shared__ int tile[64];\nif (t < n) tile[t] = x[t];\n{{|else tile[t] = 0;}}\n__syncthreads();\nint s = 0;\n"
         "for (int i = 0; i < 64; ++i)\n  s += tile[i];  // BUG\ny[t] = s;", n=50),
    Case("shared memory that is taken to be zero", "initcheck",
         "__shared__ int bins[16];\n{{|if (t < 16) bins[t] = 0;}}\n__syncthreads();\natomicAdd(&bins[x[t] & 15], 1);  // BUG\n"
         "__syncthreads();\nif (t < 16) y[t] = bins[t];"),
    Case("a maximum that starts from nothing", "initcheck",
         "__shared__ int top;\nif (t == 0{{ && n < 0|}}) top = x[0];\n__syncthreads();\natomicMax(&top, x[t]);  // BUG\n"
         "__syncthreads();\ny[t] = top;"),
    Case("a struct of which a field is not set", "initcheck",
         "struct Pair { int key, value; };\nPair own[4];\nPair* kept = own;\n"
         "asm volatile(\"\" : \"+l\"(kept) :: \"memory\");\nfor (int i = 0; i < 4; ++i) { own[(i + n) & 3].key = x[i]; "
         "{{|own[(i + n) & 3].value = i;}} }\nasm volatile(\"\" ::: \"memory\");\nint s = 0;\nfor (int i = 0; i < 4; ++i)\n"
         "  s += own[(i * n) & 3].value;  // BUG\ny[t] = s;", n=5),
)
