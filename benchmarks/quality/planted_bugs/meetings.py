"""Barriers, masks of collectives, and launches that do not end."""

from .case import Case

CASES = (
    Case("a barrier for a part of a warp", "synccheck",
         "if (t < n)\n  __syncthreads();  // BUG\nelse\n  __syncthreads();  // BUG\ny[t] = 1;".replace("n", "{{40|64}}", 1)),
    Case("a barrier in if and else", "synccheck",
         "if (t < {{32|64}}) {\n  y[t] = 1;\n  __syncthreads();  // BUG\n} else {\n  y[t] = 2;\n  __syncthreads();  // BUG\n}"),
    Case("a barrier in a loop of different lengths", "synccheck",
         "for (int i = 0; i < {{t / 16 + 1|4}}; ++i) {\n  y[t] += i;\n  __syncthreads();  // BUG\n}\ny[t] += 1;\n"
         "__syncthreads();  // BUG\n"
         "y[t] += 2;"),
    Case("warps that wait at barriers of different numbers", "synccheck",
         "if (t < 32) asm volatile(\"bar.sync 1, 64;\");  // BUG\nelse asm volatile(\"bar.sync {{2|1}}, 64;\");  // BUG"),
    Case("a barrier for more threads than come", "synccheck",
         "asm volatile(\"bar.sync 1, {{96|64}};\");  // BUG\ny[t] = 1;"),
    Case("threads that left, and a count that includes them", "synccheck",
         "if (t >= 32) return;\nasm volatile(\"bar.sync 1, {{64|32}};\");  // BUG\ny[t] = 1;"),
    Case("a shuffle that names absent lanes", "synccheck",
         "if (t < 16)\n  y[t] = __shfl_xor_sync({{0xffffffff|0xffff}}, x[t], 1);  // BUG", block=32),
    Case("a ballot that names absent lanes", "synccheck",
         "if (t % 2)\n  y[t] = __ballot_sync({{0xffffffff|0xaaaaaaaa}}, x[t] > 5);  // BUG", block=32),
    Case("a mask that leaves out its caller", "synccheck",
         "y[t] = __shfl_sync({{0x7fffffff|0xffffffff}}, x[t], 3);  // BUG", block=32),
    Case("a vote whose mask leaves out its caller", "synccheck",
         "if (t < 20)\n  y[t] = __any_sync({{0xffff|0xfffff}}, x[t] > 5);  // BUG", block=32),
    Case("a __syncwarp whose mask leaves out its caller", "synccheck",
         "y[t] = 1;\nif (t < 8)\n  __syncwarp({{0x0f|0xff}});  // BUG", block=32),
    Case("a shuffle from a lane outside the mask", "synccheck",
         "if (t < 16)\n  y[t] = __shfl_sync(0xffff, x[t], {{20|4}});  // BUG", block=32),
    Case("a butterfly that leaves the mask", "synccheck",
         "if (t < 16)\n  y[t] = __shfl_xor_sync(0xffff, x[t], {{16|8}});  // BUG", block=32),
    Case("a shift that leaves the mask", "synccheck",
         "if (t < 16) {\n  int v = x[t];\n  v += __shfl_down_sync(0xffff, v, {{16|8}});  // BUG\n  y[t] = v;\n}", block=32),
    Case("a __syncwarp that names absent lanes", "synccheck",
         "if (t < 16)\n  __syncwarp({{0xffffffff|0xffff}});  // BUG\ny[t] = 1;\n"
         "if (t >= 16) y[t] = __any_sync(0xffff0000, 1);", block=32),
    Case("a flag that nobody sets", "synccheck",
         "if (t == 0 && blockIdx.x == 0) { __threadfence(); *(volatile int*)(y + {{1|0}}) = 1; }\n"
         "while (!*(volatile int*)y);  // BUG", grid=2),
    Case("a lock that is taken twice", "synccheck",
         "if (t == 0) {\n  while (atomicCAS(y, 0, 1));\n  {{while (atomicCAS(y, 0, 1));  // BUG\n|}}  __threadfence();\n"
         "  atomicExch(y, 0);\n}"),
    Case("two blocks that wait for each other", "synccheck",
         "if (t == 0) {\n  volatile int* f = y;\n  int b = blockIdx.x;\n  {{|f[b] = 1;}}\n  while (!f[1 - b]);  // BUG\n"
         "  f[b] = 1;\n}", grid=2),
    Case("a loop whose step is zero", "synccheck",
         "volatile int* p = y;\nfor (int i = 0; i < 10; i += n - {{64|63}})\n  p[t] = p[t];  // BUG"),
    Case("one number for the barriers of two pairs of warps", "synccheck",
         "__shared__ int s[128];\nint pair = t / 64;\ns[t] = x[t];\n"
         "asm volatile(\"bar.sync %0, 64;\" :: \"r\"({{1|1 + pair}}) : \"memory\");  // BUG\ny[t] = s[t ^ 32];", block=128),
    Case("a barrier that others have used, with nothing that orders the two uses", "synccheck",
         "int v = 0, w = t / 32;\nif (w > 1) for (int i = 0; i < n; ++i) v += x[(t + i) & 255];\n{{|__syncthreads();}}\n"
         "if (w < 2) asm volatile(\"bar.sync 1, 64;\" ::: \"memory\");\n{{|__syncthreads();}}\n"
         "if (w > 1) asm volatile(\"bar.sync 1, 64;\" ::: \"memory\");  // BUG\ny[t] = v;", block=128, n=8),
    Case("a vote in a loop that lanes leave one by one", "synccheck",
         "int i = t;\nwhile (i < n) {\n  if (__any_sync({{0xffffffff|__activemask()}}, x[i] == 1000)) break;  // BUG\n"
         "  i += t + 1;\n}\n"
         "y[t] = i;", block=32),
    Case("philosophers who all take their left fork first", "synccheck",
         "if (t == 0) {\n  int b = blockIdx.x, c = (b + 1) % 3, one = {{b|min(b, c)}}, other = {{c|max(b, c)}};\n"
         "  while (atomicCAS(&forks[one], 0, 1));\n  {{atomicAdd(&seated, 1);\n  while (atomicAdd(&seated, 0) < 3);|}}\n"
         "  while (atomicCAS(&forks[other], 0, 1));  // BUG\n  __threadfence();\n  y[0] += 1;\n  __threadfence();\n"
         "  atomicExch(&forks[other], 0);\n  atomicExch(&forks[one], 0);\n}", grid=3, before="__device__ int forks[3], seated;"),
    Case("a sum over 20 lanes that takes in the lanes beyond", "synccheck",
         "if (t < 20) {\n  int v = x[t];\n  for (int d = 16; d; d /= 2) {\n    int u = __shfl_down_sync(0xfffff, v, d);  // BUG\n"
         "    v += {{u|t + d < 20 ? u : 0}};\n  }\n  if (t == 0) y[0] = v;\n}", block=32),
    Case("a maximum over 24 lanes that takes in the lanes beyond", "synccheck",
         "if (t < 24) {\n  int v = x[t];\n  for (int d = 16; d; d /= 2) {\n    int u = __shfl_down_sync(0xffffff, v, d);  // BUG\n"
         "    if ({{true|t + d < 24}}) v = max(v, u);\n  }\n  if (t == 0) y[0] = v;\n}", block=32),
    Case("a sum by halves over 12 lanes", "synccheck",
         "if (t < {{12|16}}) {\n  int v = x[t];\n  for (int d = 8; d; d /= 2)\n"
         "    v += __shfl_down_sync({{0xfff|0xffff}}, v, d);  // BUG\n  if (t == 0) y[0] = v;\n}", block=32),
)
