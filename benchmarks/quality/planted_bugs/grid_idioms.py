"""Races between blocks and launches that do not end, with an idiom each: locks, publication, read-only data, the grid's barrier."""

from .case import Case

TICKET = """if (t == 0) {
  int mine = atomicAdd(&next, 1);
  while (*(volatile int*)&serving != mine);
  %s
  y[0] += 1;  // BUG
  %s
  *(volatile int*)&serving = mine + 1;
}"""
TICKETS = "__device__ int next, serving;"
ONCE = """if (t == 0) {
  if (!*(volatile int*)&ready) {
    while (atomicCAS(&lock, 0, 1));
    __threadfence();
    if (!*(volatile int*)&ready) {
      value = x[5];  // BUG
      %s
      *(volatile int*)&ready = 1;
    }
    __threadfence();
    atomicExch(&lock, 0);
  }
  %s
  y[blockIdx.x] = value;  // BUG
}"""
SEQUENCE = """if (t == 0) {
  volatile unsigned* s = &sequence;
  if (blockIdx.x == 0) {
    for (int i = 1; i < 4; ++i) {
      *s = 2 * i - 1;
      __threadfence();
      {{pair[0] = i; pair[1] = i;|((volatile int*)pair)[0] = i; ((volatile int*)pair)[1] = i;}}  // BUG
      __threadfence();
      *s = 2 * i;
    }
  } else {
    unsigned before, after;
    int a, b;
    do {
      while ((before = *s) & 1);
      __threadfence();
      {{a = pair[0]; b = pair[1];|a = ((volatile int*)pair)[0]; b = ((volatile int*)pair)[1];}}  // BUG
      __threadfence();
      after = *s;
    } while (before != after);
    y[0] = a - b;
  }
}"""
PETERSON = """if (t == 0) {
  volatile int* want = flags;
  volatile int* turn = flags + 2;
  int me = blockIdx.x;
  want[me] = 1;
  *turn = 1 - me;
  __threadfence();
  while (want[1 - me] && *turn == 1 - me);
  %s
  y[0] += 1;  // BUG
  %s
  want[me] = 0;
}"""

CASES = (
    Case("a ticket lock without the fence at its release", "racecheck", TICKET % ("__threadfence();", "{{|__threadfence();}}"),
         grid=4, before=TICKETS),
    Case("a ticket lock without the fence at its entry", "racecheck", TICKET % ("{{|__threadfence();}}", "__threadfence();"),
         grid=4, before=TICKETS),
    Case("a lock that is looked at and then taken", "racecheck",
         "if (t == 0) {\n  {{while (*(volatile int*)&lock); *(volatile int*)&lock = 1;|while (atomicCAS(&lock, 0, 1));}}\n"
         "  __threadfence();\n  y[0] += 1;  // BUG\n  __threadfence();\n  {{*(volatile int*)&lock = 0|atomicExch(&lock, 0)}};\n}",
         grid=4, before="__device__ int lock;"),
    Case("double-checked locking without the writer's fence", "racecheck", ONCE % ("{{|__threadfence();}}", "__threadfence();"),
         grid=4, before="__device__ int lock, ready, value;"),
    Case("double-checked locking without the reader's fence", "racecheck", ONCE % ("__threadfence();", "{{|__threadfence();}}"),
         grid=4, before="__device__ int lock, ready, value;"),
    Case("a sequence lock over ordinary accesses", "racecheck", SEQUENCE, grid=2,
         before="__device__ unsigned sequence;\n__device__ int pair[2];"),
    Case("Peterson's lock without fences inside", "racecheck",
         PETERSON % ("{{|__threadfence();}}", "{{|__threadfence();}}"), grid=2, before="__device__ int flags[3];"),
    Case("two locks for one counter", "racecheck",
         "if (t == 0) {\n  int* lock = &locks[{{blockIdx.x & 1|0}}];\n  while (atomicCAS(lock, 0, 1));\n  __threadfence();\n"
         "  y[0] += 1;  // BUG\n  __threadfence();\n  atomicExch(lock, 0);\n}", grid=4, before="__device__ int locks[2];"),
    Case("a read outside the lock", "racecheck",
         "if (t == 0) {\n  {{int old = y[0];  // BUG\n|}}  while (atomicCAS(&lock, 0, 1));\n  __threadfence();\n"
         "  {{|int old = y[0];}}\n  y[0] = old + 1;  // BUG\n  __threadfence();\n  atomicExch(&lock, 0);\n}",
         grid=4, before="__device__ int lock;"),
    Case("a fence before the value in place of after it", "racecheck",
         "if (t == 0 && blockIdx.x == 0) {\n  {{__threadfence();\n  y[0] = 5;|y[0] = 5;\n  __threadfence();}}\n"
         "  *(volatile int*)&go = 1;\n} else if (t == 0) {\n  while (!*(volatile int*)&go);\n  __threadfence();\n"
         "  y[1] = y[0];  // BUG\n}", grid=2, before="__device__ int go;"),
    Case("a value that is read before its flag", "racecheck",
         "if (t == 0 && blockIdx.x == 0) {\n  y[0] = 5;  // BUG\n  __threadfence();\n  *(volatile int*)&go = 1;\n"
         "} else if (t == 0) {\n"
         "  {{int v = y[0];  // BUG\n|}}  while (!*(volatile int*)&go);\n  __threadfence();\n  {{|int v = y[0];}}\n  y[1] = v;\n}",
         grid=2, before="__device__ int go;"),
    Case("the last block, whose other threads' results no fence covers", "racecheck",
         "__shared__ bool last;\ny[blockIdx.x * 64 + t] = t;  // BUG\n{{|__threadfence();\n__syncthreads();}}\n"
         "if (t == 0) { __threadfence(); last = atomicAdd(&done, 1) == gridDim.x - 1; }\n__syncthreads();\n"
         "if (last) {\n  int s = 0;\n  for (int b = 0; b < gridDim.x; ++b)\n    s += y[b * 64 + (t + 32) % 64];  // BUG\n"
         "  x[t] = s;\n}",
         grid=4, before="__device__ int done;"),
    Case("a node that is linked in before it is filled", "racecheck",
         "if (t == 0) {\n  int me = blockIdx.x + 1;\n  {{|node[me] = me * 7; __threadfence();}}\n"
         "  atomicExch(&head, me);\n  {{node[me] = me * 7;  // BUG\n|}}"
         "  int other = atomicAdd(&head, 0);\n  y[me] = node[other];  // BUG\n}", grid=3, before="__device__ int head, node[16];"),
    Case("a load through the read-only cache of what the block has written", "racecheck",
         "y[t] = x[t] + 1;\n__syncthreads();\nint v = {{__ldg(y + (63 - t))|y[63 - t]}};  // BUG\ny[64 + t] = v;"),
    Case("a queue whose head is read and then stored", "racecheck",
         "if (t == 0) {\n  {{int job = head;  // BUG\n  head = job + 1;  // BUG\n|int job = atomicAdd(&head, 1);\n}}"
         "  y[100 + job] = blockIdx.x;\n}", grid=4, before="__device__ int head;"),
    Case("labels lowered by atomics and read plainly", "racecheck",
         "int i = blockIdx.x * 64 + t;\natomicMin(&y[(i * 7) & 255], i - 500);\n"
         "int mine = {{y[i]|atomicMin(&y[i], 1000)}};  // BUG\nx[i] = mine;", grid=4),
    Case("a counter that one block sets back while others count", "racecheck",
         "if (t == 0) {\n  atomicAdd(&count, 1);\n  if (blockIdx.x == 2)\n    {{count = 0|atomicExch(&count, 0)}};  // BUG\n"
         "}", grid=4,
         before="__device__ int count;"),
    Case("a 64-bit store over a counter of 32 bits", "racecheck",
         "if (blockIdx.x == 0) atomicAdd(y + 1, 1);\nelse if (t == 0) {{*(long long*)y = n|y[8] = n}};  // BUG", grid=2),
    Case("a stencil in place over blocks", "racecheck",
         "int i = blockIdx.x * 64 + t;\nint v = i < 255 ? {{x[i + 1]|x[i]}} : 0;  // BUG\n__syncthreads();\nx[i] = v + 1;  // BUG",
         grid=4),
    Case("a transpose in place", "racecheck",
         "int r = blockIdx.x, c = t;\nint v = x[c * 16 + r];  // BUG\n__syncthreads();\n{{x|y}}[r * 16 + c] = v;  // BUG",
         grid=16, block=16),
    Case("a barrier of the grid used a second time", "racecheck",
         "for (int k = 0; k < 2; ++k) {\n  y[k * 1024 + blockIdx.x * 64 + t] = t + k;  // BUG\n  __threadfence();\n"
         "  __syncthreads();\n"
         "  if (t == 0) {\n    atomicAdd(&come, 1);\n    while (*(volatile int*)&come < gridDim.x{{| * (k + 1)}});\n"
         "    __threadfence();\n  }\n  __syncthreads();\n"
         "  int v = y[k * 1024 + (blockIdx.x + 1) % gridDim.x * 64 + t];  // BUG\n"
         "  y[2048 + k * 1024 + blockIdx.x * 64 + t] = v;\n}",
         grid=4, before="__device__ int come;"),
    Case("a barrier of the grid that waits for one block too many", "synccheck",
         "if (t == 0) {\n  atomicAdd(&come, 1);\n  while (*(volatile int*)&come < gridDim.x {{+ 1|}});  // BUG\n}", grid=4,
         before="__device__ int come;"),
    Case("spinning on an ordinary variable", "synccheck",
         "if (t == 0 && blockIdx.x == 0) { while (!{{go|*(volatile int*)&go}});  // BUG\n}\n"
         "if (t == 0 && blockIdx.x == 1) atomicExch(&go, 1);", grid=2, before="__device__ int go;"),
    Case("more blocks than are resident that wait for the last", "synccheck",
         "if (t == 0) {\n  if (blockIdx.x == gridDim.x - 1) atomicExch(&go, 1);\n"
         "  {{else while (!*(volatile int*)&go);  // BUG\n|}}}", grid=110, block=32,
         shared_mem=160 << 10, before="__device__ int go;"),
    Case("a shuffle from lanes that have left", "synccheck",
         "if (t >= n) return;\nint v = x[t];\nv += __shfl_down_sync({{0xffffffff|0xfffff}}, v, 4);  // BUG\n"
         "y[t] = v;", block=32, n=20),
    Case("a match whose mask names absent lanes", "synccheck",
         "if (t < 24)\n  y[t] = __match_any_sync({{0xffffffff|0xffffff}}, x[t] & 3);  // BUG", block=32),
    Case("a barrier that a break jumps over", "synccheck",
         "for (int i = 0; i < 4; ++i) {\n  if (x[t] == n + i) break;\n  __syncthreads();  // BUG\n  y[t] += i;\n}\n"
         "__syncthreads();  // BUG\ny[t + 64] = y[63 - t];".replace("n + i", "{{n + i|1000 + i}}"), n=5),
    Case("a count of a barrier that is no multiple of the warp", "synccheck",
         "if (t < n) asm volatile(\"bar.sync 1, {{40|64}};\" ::: \"memory\");  // BUG\ny[t] = 1;", n=64),
)
