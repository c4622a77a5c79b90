"""Races among atomic and volatile accesses: several writers, sizes that differ, updates in three steps, and what they protect."""

from .case import Case

RING = """__shared__ volatile int head, tail;
__shared__ int ring[4];
if (t == 0) head = tail = 0;
__syncthreads();
if (t == 0) {
  for (int i = 0; i < 6; i++) {
    {{%s|while (i - head >= 4);
    __threadfence_block();}}
    {{%s|ring[i & 3] = x[i];
    __threadfence_block();
    tail = i + 1;}}
  }
} else if (t == 32) {
  for (int i = 0; i < 6; i++) {
    while (tail <= i);
    __threadfence_block();
    y[i] = ring[i & 3];  // BUG
    __threadfence_block();
    head = i + 1;
  }
}"""
ROOM = "while (i - head >= 4);\n    __threadfence_block();"

CASES = (
    Case("a sum of which only the last adder is waited for", "racecheck",
         "__shared__ int sum;\nif (t == 0) sum = 0;\n__syncthreads();\nif (t == 0 || t == 32)\n"
         "  atomicAdd(&sum, x[t + 1]);  // BUG\n"
         "if (t >= {{32|0}}) asm volatile(\"bar.sync 1, {{64|96}};\" ::: \"memory\");\nif (t == 64)\n"
         "  y[0] = sum;  // BUG", block=96),
    Case("a total of blocks of which only the last adder is waited for", "racecheck",
         "if (t == 0 && blockIdx.x < 3) {\n  atomicAdd(&total, x[blockIdx.x + 1]);  // BUG\n  __threadfence();\n"
         "  if ({{blockIdx.x == 2|atomicAdd(&come, 1) == 2}}) { __threadfence(); *(volatile int*)&go = 1; }\n} else if (t == 0) {\n"
         "  while (!*(volatile int*)&go);\n  __threadfence();\n  y[0] = total;  // BUG\n}", grid=4,
         before="__device__ int total, go, come;"),
    Case("an atomic of 64 bits over two counters of 32", "racecheck",
         "__shared__ __align__(8) unsigned c[2];\nif (t < 2) c[t] = 0;\n__syncthreads();\nif (t < 32) atomicAdd(&c[0], 1u);\n"
         "else {{atomicAdd((unsigned long long*)c, 1ull << 32)|atomicAdd(&c[1], 1u)}};  // BUG\n__syncthreads();\n"
         "if (t < 2) y[t] = c[t];"),
    Case("blocks that count one element in 64 bits and in 32", "racecheck",
         "if (blockIdx.x & 1) atomicAdd((unsigned long long*)(y + {{0|2}}), 1ull);  // BUG\nelse atomicAdd(y, 1);  // BUG", grid=4),
    Case("a volatile read of 64 bits whose halves are set one by one", "racecheck",
         "__shared__ __align__(8) volatile int p[2];\nif (t < 2) p[t] = 0;\n__syncthreads();\n"
         "if (t == 32) { p[0] = 1; p[1] = 2; }\n"
         "if (t == 0) {\n  {{long long v = *(volatile long long*)p;  // BUG\n"
         "  y[0] = (int)v + (int)(v >> 32);|y[0] = p[0] + p[1];}}\n}"),
    Case("a volatile counter that blocks increment", "racecheck",
         "if (t == 0) {\n  volatile int* count = y;\n  {{*count = *count + 1|atomicAdd(y, 1)}};  // BUG\n}", grid=4),
    Case("a volatile counter that a block increments while another adds", "racecheck",
         "if (t == 0) {\n  volatile int* count = y;\n  if (blockIdx.x == 1) { {{*count = *count + 1|atomicAdd(y, 1)}}; }  // BUG\n"
         "  else atomicAdd(y, 1);  // BUG\n}", grid=2),
    Case("a ring whose tail moves before the element is there", "racecheck",
         RING % (ROOM, "tail = i + 1;\n    __threadfence_block();\n    ring[i & 3] = x[i];  // BUG")),
    Case("a lock for readers and a writer that readers do not take", "racecheck",
         "__shared__ int readers, writer, value;\nif (t == 0) readers = writer = value = 0;\n__syncthreads();\nif (t == 0) {\n"
         "  while (atomicCAS(&writer, 0, 1));\n  while (atomicAdd(&readers, 0));\n  __threadfence_block();\n  value = 5;  // BUG\n"
         "  __threadfence_block();\n  atomicExch(&writer, 0);\n} else if (t % 32 == 0) {\n"
         "  {{|for (;;) {\n    atomicAdd(&readers, 1);\n    __threadfence_block();\n    if (!atomicAdd(&writer, 0)) break;\n"
         "    atomicSub(&readers, 1);\n    while (atomicAdd(&writer, 0));\n  }}}  y[t] = value;  // BUG\n"
         "  {{|__threadfence_block();\n  atomicSub(&readers, 1);}}\n}".replace("  }}}  y", "  }\n"
         "  __threadfence_block();}}\n  y"), block=96),
    Case("an argument beside the maximum that its finder stores plainly", "racecheck",
         "if (t == 0) {\n  int mine = x[blockIdx.x] + 1;\n"
         "  if (atomicMax(&best, mine) < mine) {{at = blockIdx.x|atomicExch(&at, (int)blockIdx.x)}};  // BUG\n}", grid=4,
         before="__device__ int best, at;"),
    Case("a sum that block 0 sets to zero while others add", "racecheck",
         "{{if (blockIdx.x == 0 && t == 0) y[0] = 0;  // BUG\n|}}atomicAdd(y, 1);  // BUG", grid=3),
    Case("a lock for each row that is chosen by the column", "racecheck",
         "if (t == 0) {\n  int r = blockIdx.x / 2, c = blockIdx.x % 2;\n  while (atomicCAS(&locks[{{c|r}}], 0, 1));\n"
         "  __threadfence();\n"
         "  y[r] += c + 1;  // BUG\n  __threadfence();\n  atomicExch(&locks[{{c|r}}], 0);\n"
         "}", grid=4, before="__device__ int locks[2];"),
)  # fmt: skip
