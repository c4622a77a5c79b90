"""Bugs with malloc and free in kernels, and addresses that look right: packed structures, rows with an odd pitch, cut pointers."""

from .case import Case

CASES = (
    Case("a block of malloc's that is freed while others read it", "racecheck",
         "__shared__ int* p;\nif (t == 0) { p = (int*)malloc(256); for (int i = 0; i < 64; i++) p[i] = i; }\n__syncthreads();\n"
         "int v = p[t];\ny[t] = v;\n{{|__syncthreads();}}\nif (t == 0) free(p);  // BUG"),
    Case("a block of malloc's that is freed by one block and read by another", "memcheck",
         "if (blockIdx.x == 0 && t == 0) {\n  int* p = (int*)malloc(64);\n  p[3] = n;\n  shared = p;\n  __threadfence();\n"
         "  atomicExch(&state, 1);\n  {{while (!atomicAdd(&state, 0))|while (atomicAdd(&state, 0) < 2)}};\n  __threadfence();\n"
         "  free(p);\n} else if (t == 0) {\n  while (!atomicAdd(&state, 0));\n  __threadfence();\n  y[0] = shared[3];\n"
         "  __threadfence();\n  atomicAdd(&state, 1);\n}".replace("y[0] = shared[3];", "y[0] = shared[3];  // BUG"), grid=2,
         before="__device__ int state;\n__device__ int* shared;"),
    Case("a block of malloc's that is used after it was freed", "memcheck",
         "int* p = (int*)malloc(16);\np[0] = x[t]; p[1] = 1;\n{{free(p);\ny[t] = p[n & 1];  // BUG\n"
         "|y[t] = p[n & 1];\nfree(p);\n}}"),
    Case("a block of malloc's that one thread frees twice", "memcheck",
         "int* p = (int*)malloc(16);\np[0] = x[t];\ny[t] = p[0];\nfree(p);\n{{if (t == 5) free(p);  // BUG\n|}}"),
    Case("a pointer into a block that is freed", "memcheck",
         "int* p = (int*)malloc(64);\np[0] = y[t];\ny[t] = p[0] + n;\nfree(p {{+ 4|}});  // BUG", block=32),
    Case("past the end of a block of malloc's", "memcheck",
         "int* p = (int*)malloc(16);\nfor (int i = 0; i {{<=|<}} 4; i++)\n  p[i] = i + n;  // BUG\ny[t] = p[1];\nfree(p);"),
    Case("a null pointer of malloc's that nobody looks at", "memcheck",
         "int* p = (int*)malloc({{(size_t)1 << 40|64}});\np[0] = t;  // BUG\ny[t] = p[0] + n;\nfree(p);", block=32),
    Case("a block of malloc's that is read before it is written", "initcheck",
         "int* p = (int*)malloc(64);\n{{|p[3] = n;}}\ny[t] = p[3];  // BUG\nfree(p);", block=32),
    Case("a packed structure whose member is not aligned", "memcheck",
         "int* v = (int*)((char*)x + t * {{5 + 1|8}});\ny[t] = *v;  // BUG"),
    Case("vectors of rows whose pitch is no multiple of 4", "memcheck",
         "int4 v = ((int4*)(x + t / 8 * {{30|32}}))[t % 4];  // BUG\ny[t] = v.x + v.y;"),
    Case("a pointer that is cut to 32 bits", "memcheck",
         "unsigned long long a = (unsigned long long)(x + t);\na = {{(unsigned)a|a}};\ny[t] = *(int*)a;  // BUG"),
    Case("an address of shared memory in an instruction for global memory", "memcheck",
         "__shared__ int s[64];\ns[t] = t;\n__syncthreads();\nint v;\n"
         "asm volatile(\"ld.global.s32 %0, [%1];\" : \"=r\"(v) : \"l\"({{(unsigned long "
         "long)__cvta_generic_to_shared(s + t)|x + t}}) "
         ": \"memory\");  // BUG\ny[t] = v;"),
    Case("rows of ldmatrix that are not aligned", "memcheck",
         "__shared__ __align__(16) short s[80];\nfor (int i = t; i < 80; i += 32) s[i] = i;\n__syncwarp();\n"
         "unsigned d, a = (unsigned)__cvta_generic_to_shared(s + (t & 7) * {{10|8}});\n"
         "asm volatile(\"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];\" : \"=r\"(d) : \"r\"(a) : \"memory\"); "
         " // BUG\ny[t] = d;",
         block=32),
)  # fmt: skip
