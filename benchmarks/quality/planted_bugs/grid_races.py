"""Races between blocks: fences, flags, locks, scans."""

from .case import Case

LAST = """__shared__ bool last;
if (t == 0) {
  y[blockIdx.x] = blockIdx.x + 1;
  {{%s|__threadfence();}}
  last = atomicInc(&done, gridDim.x - 1) == gridDim.x - 1;
}
__syncthreads();
if (last && t == 0) {
  int s = 0;
  for (int i = 0; i < gridDim.x; i++)
    s += y[i];  // BUG
  y[100] = s;
}"""
CHAIN = """if (t == 0) {
  int b = blockIdx.x, before = 0;
  if (b) {
    while (!%(load)s);
    %(acquire)s
    before = y[b - 1];  // BUG
  }
  y[b] = before + x[b];  // BUG
  %(release)s
  %(store)s;
}"""
VOLATILE = {"load": "*(volatile int*)&flag[b - 1]", "store": "*(volatile int*)&flag[b] = 1"}
FLAGS = "__device__ int flag[64];"
ASM = FLAGS + """
__device__ int load(int* p) { int f;
  asm volatile("ld.{{%s|acquire.gpu}}.global.s32 %%0, [%%1];" : "=r"(f) : "l"(p) : "memory"); return f; }
__device__ void store(int* p) {
  asm volatile("st.{{%s|release.gpu}}.global.s32 [%%0], %%1;" :: "l"(p), "r"(1) : "memory"); }
"""
LOCK = "__device__ int lock;"
LOCKED = """if (t == 0) {
  {{%s|while (atomicCAS(&lock, 0, 1)); __threadfence();}}
  y[0] += 1;  // BUG
  {{%s|__threadfence(); atomicExch(&lock, 0);}}
}"""
TRITON = """__shared__ int go;
if (t == 0) { int old;
  do { asm volatile("atom.global.{{%s|acq_rel}}.gpu.cas.b32 %%0, [%%1], 0, 1;" : "=r"(old) : "l"(&lock) : "memory"); }
  while (old); go = 1; }
__syncthreads();
y[t] += go;  // BUG
{{%s|__syncthreads();}}
if (t == 0) { int old;
  asm volatile("atom.global.{{%s|acq_rel}}.gpu.exch.b32 %%0, [%%1], 0;" : "=r"(old) : "l"(&lock) : "memory"); }"""
STATUS = """struct Scan { volatile int flag; int sum, prefix; };
__device__ Scan status[64];"""
LOOK_BACK = """__shared__ int before;
int b = blockIdx.x;
if (t == 0) {
  int sum = x[b], prefix = 0;
  status[b].sum = sum;
  {{%s|__threadfence();}}
  if (!%d) status[b].flag = 1;
  for (int p = b - 1; p >= 0; --p) {
    int f;
    while ((f = status[p].flag) == 0);
    __threadfence();
    if (f == 2) { prefix += status[p].prefix; break; }  // BUG
    prefix += status[p].sum;  // BUG
  }
  status[b].prefix = prefix + sum;
  {{%s|__threadfence();}}
  status[b].flag = 2;
  before = prefix;
}
__syncthreads();
y[b * 64 + t] = before + t;"""

CASES = (
    Case("blocks that write one place", "racecheck", "y[{{t|blockIdx.x * 64 + t}}] = blockIdx.x;  // BUG", grid=4),
    Case("a block that reads its neighbour's result", "racecheck",
         "int i = blockIdx.x * 64 + t;\ny[i] = t;  // BUG\nx[i & 255] = y[{{i ^ 64|i}}];  // BUG", grid=2),
    Case("a write of what all blocks read", "racecheck",
         "y[blockIdx.x * 64 + t + 1] = y[0];\nif (blockIdx.x == 2 && t == 5) y[{{0|1000}}] = 2;  // BUG", grid=4),
    Case("blocks that share a word at their border", "racecheck",
         "int i = blockIdx.x * {{63|64}} + t;\ny[i] = blockIdx.x;  // BUG", grid=3),
    Case("a flag that is polled first and then taken by an atomic, without the writer's fence", "racecheck", """if (t == 0) {
  if (blockIdx.x == 0) {
    y[0] = 5;  // BUG
    {{|__threadfence();}}
    atomicExch(&go, 1);
  } else {
    while (!*(volatile int*)&go);
    while (!atomicAdd(&go, 0));
    y[100] = y[0];  // BUG
  }
}""", grid=2, before="__device__ int go;"),
    Case("the last block without a fence", "racecheck", LAST % "", grid=8, before="__device__ unsigned done;"),
    Case("the last block with a block's fence", "racecheck", LAST % "__threadfence_block();", grid=8,
         before="__device__ unsigned done;"),
    Case("the last block that writes what all have read", "racecheck",
         "if (t == 0) {\n  int v = y[0];\n  {{|__threadfence();}}\n  if (atomicAdd(&done, 1) == gridDim.x - 1)\n"
         "    y[0] = v + 7;  // BUG\n}",
         grid=3, before="__device__ unsigned done;"),
    Case("a flag without the writer's fence", "racecheck",
         CHAIN % {**VOLATILE, "acquire": "__threadfence();", "release": "{{|__threadfence();}}"}, grid=5, before=FLAGS),
    Case("a flag without the reader's fence", "racecheck",
         CHAIN % {**VOLATILE, "acquire": "{{|__threadfence();}}", "release": "__threadfence();"}, grid=5, before=FLAGS),
    Case("a flag with a block's fences", "racecheck",
         CHAIN % {**VOLATILE, "acquire": "__threadfence{{_block|}}();",
                  "release": "__threadfence{{_block|}}();"}, grid=5, before=FLAGS),
    Case("a flag set before the value", "racecheck",
         "if (t == 0) {\n  if (blockIdx.x) {\n    while (!*(volatile int*)flag);\n    __threadfence();\n"
         "    y[1] = y[0];  // BUG\n  } else {\n"
         "    {{*(volatile int*)flag = 1; __threadfence();\n    y[0] = 5;  // BUG\n"
         "|y[0] = 5; __threadfence(); *(volatile int*)flag = 1;\n}}"
         "  }\n}", grid=2, before=FLAGS),
    Case("a flag by relaxed accesses", "racecheck",
         CHAIN % {"load": "load(flag + b - 1)", "store": "store(flag + b)", "acquire": "", "release": ""}, grid=5,
         before=ASM % ("relaxed.gpu", "relaxed.gpu")),
    Case("a flag whose release has a block's scope", "racecheck",
         CHAIN % {"load": "load(flag + b - 1)", "store": "store(flag + b)", "acquire": "", "release": ""}, grid=5,
         before=ASM % ("acquire.gpu", "release.cta")),
    Case("a flag whose acquire is a relaxed load", "racecheck",
         CHAIN % {"load": "load(flag + b - 1)", "store": "store(flag + b)", "acquire": "", "release": ""}, grid=5,
         before=ASM % ("relaxed.gpu", "release.gpu")),
    Case("a chain of flags polled by atomics", "racecheck",
         CHAIN % {"load": "atomicAdd(&flag[b - 1], 0)", "store": "atomicExch(&flag[b], 1)", "acquire": "",
                  "release": "{{|__threadfence();}}"}, grid=5, before=FLAGS),
    Case("a flag that is an ordinary variable", "racecheck",
         "if (t == 0 && blockIdx.x == 0) { y[0] = 5; __threadfence(); *(volatile int*)flag = 1; }\nelse if (t == 0) {\n"
         "  {{if (*flag) y[1] = y[0];  // BUG\n|while (!*(volatile int*)flag); __threadfence(); y[1] = y[0];\n"
         "}}}", grid=2, before=FLAGS),
    Case("three blocks, of which the second passes on without a fence", "racecheck",
         "if (t == 0) {\n  volatile int* f = flag;\n  if (blockIdx.x == 0) { y[0] = 5; __threadfence(); f[0] = 1; }\n"
         "  if (blockIdx.x == 1) { while (!f[0]); {{|__threadfence();}} f[1] = 1; }\n"
         "  if (blockIdx.x == 2) { while (!f[1]); __threadfence();\n    y[1] = y[0];  // BUG\n  }\n}", grid=3, before=FLAGS),
    Case("what a block's other threads wrote, without a barrier before the flag", "racecheck",
         "if (blockIdx.x == 0) {\n  y[t] = t;  // BUG\n  {{|__syncthreads();}}\n"
         "  if (t == 0) { __threadfence(); *(volatile int*)flag = 1; }\n"
         "} else {\n  if (t == 0) { while (!*(volatile int*)flag); __threadfence(); }\n  __syncthreads();\n"
         "  y[t + 64] = y[t];  // BUG\n}",
         grid=2, before=FLAGS),
    Case("what a flag protects, read by others without a barrier", "racecheck",
         "if (blockIdx.x == 0) {\n  y[t] = t;\n  __syncthreads();\n  if (t == 0) { __threadfence(); *(volatile int*)flag = 1; }\n"
         "} else {\n  if (t == 0) { while (!*(volatile int*)flag); __threadfence(); }\n  {{|__syncthreads();}}\n"
         "  y[t + 64] = y[t];  // BUG\n}", grid=2, before=FLAGS),
    Case("a sum without a lock", "racecheck", LOCKED % ("", ""), grid=4, before=LOCK),
    Case("a lock released without a fence", "racecheck",
         LOCKED % ("while (atomicCAS(&lock, 0, 1)); __threadfence();", "atomicExch(&lock, 0);"), grid=4, before=LOCK),
    Case("a lock released with a block's fence", "racecheck",
         LOCKED % ("while (atomicCAS(&lock, 0, 1)); __threadfence();", "__threadfence_block(); atomicExch(&lock, 0);"),
         grid=4, before=LOCK),
    Case("a lock released by an ordinary store", "racecheck",
         "if (t == 0) {\n  while (atomicCAS(&lock, 0, 1));  // BUG\n  __threadfence();\n  y[0] += 1;\n  __threadfence();\n"
         "  {{lock = 0|atomicExch(&lock, 0)}};  // BUG\n}", grid=4, before=LOCK),
    Case("Triton's lock, released before the others are done", "racecheck",
         TRITON % ("acq_rel", "", "acq_rel"), grid=3, before=LOCK),
    Case("Triton's lock by relaxed atomics", "racecheck", TRITON % ("relaxed", "__syncthreads();", "relaxed"), grid=3, before=LOCK),
    Case("a scan that looks back at sums without a fence", "racecheck",
         LOOK_BACK % ("", 0, "__threadfence();"), grid=6, before=STATUS),
    Case("a scan that looks back at prefixes without a fence", "racecheck", LOOK_BACK % ("", 1, ""), grid=6, before=STATUS),
    Case("atomics of a block's scope on what all blocks add to", "racecheck", "atomicAdd{{_block|}}(y, 1);  // BUG", grid=4),
    Case("a total read while blocks add", "racecheck",
         "atomicAdd(y, 1);\nif (t == 0 && blockIdx.x == 3)\n  y[1] = {{y[0]|atomicAdd(y, 0)}};  // BUG", grid=4),
    Case("a barrier of the grid without fences", "racecheck",
         "y[blockIdx.x * 64 + t] = t;  // BUG\n__syncthreads();\nif (t == 0) {\n  {{|__threadfence();}}\n  atomicAdd(&lock, 1);\n"
         "  while (*(volatile int*)&lock < gridDim.x);\n  {{|__threadfence();}}\n}\n__syncthreads();\n"
         "int v = y[(blockIdx.x + 1) % gridDim.x * 64 + t];  // BUG\ny[2048 + blockIdx.x * 64 + t] = v;", grid=4, before=LOCK),
)
