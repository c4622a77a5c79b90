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
)
