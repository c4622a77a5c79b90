"""Races inside a block and inside a warp, in shared and in global memory."""

from .case import Case

REDUCE = """__shared__ int s[64];
s[t] = x[t];
__syncthreads();
for (int d = 32; d; d >>= 1) {
  if (t < d) s[t] += s[t + d];  // BUG
  {{%s|__syncthreads();}}
}
y[t] = s[0];  // BUG"""
COPY = """__shared__ __align__(16) int s[64];
unsigned to = (unsigned)__cvta_generic_to_shared(&s[t]);
asm volatile("cp.async.ca.shared.global [%%0], [%%1], 4; cp.async.commit_group;" :: "r"(to), "l"(x + t) : "memory");
%s"""
WAIT = 'asm volatile("cp.async.wait_group 0;" ::: "memory");'

CASES = (
    Case("read after write", "racecheck",
         "__shared__ int s[64];\ns[t] = x[t];\n{{|__syncthreads();}}\ny[t] = s[63 - t];  // BUG"),
    Case("write after read", "racecheck",
         "__shared__ int s[64];\ns[t] = x[t];\n__syncthreads();\nint v = s[63 - t];\n{{|__syncthreads();}}\ns[t] = v + 1;  // BUG\n"
         "__syncthreads();\ny[t] = s[t];"),
    Case("write after write", "racecheck",
         "__shared__ int s[64];\ns[{{t & 31|t}}] = t;  // BUG\n__syncthreads();\ny[t] = s[t & 31];"),
    Case("a loop without its second barrier", "racecheck",
         "__shared__ int s[64];\nint sum = 0;\nfor (int j = 0; j < 3; ++j) {\n  s[t] = x[t + 64 * j];  // BUG\n  __syncthreads();\n"
         "  sum += s[63 - t];\n  {{|__syncthreads();}}\n}\ny[t] = sum;"),
    Case("a reduction with a barrier for warps alone", "racecheck", REDUCE % "__syncwarp();"),
    Case("a reduction without barriers", "racecheck", REDUCE % ""),
    Case("a reduction whose last steps trust the warp", "racecheck",
         "__shared__ int s[64];\ns[t] = x[t];\n__syncthreads();\nif (t < 32) {\n  int v = s[t] + s[t + 32];\n  s[t] = v;\n"
         "  for (int d = 16; d; d >>= 1) {\n    {{|__syncwarp();}}\n    int w = t + d < 32 ? s[t + d] : 0;  // BUG\n"
         "    {{|__syncwarp();}}\n"
         "    s[t] += w;  // BUG\n  }\n}\nif (t == 0) y[0] = s[0];"),
    Case("an exchange inside a warp", "racecheck",
         "__shared__ int s[32];\ns[t] = x[t];\n{{|__syncwarp();}}\ny[t] = s[t ^ 1];  // BUG", block=32),
    Case("a partial __syncwarp read across", "racecheck",
         "__shared__ int s[32];\ns[t] = x[t];\nif (t < 16) __syncwarp(0xffff); else __syncwarp(0xffff0000);\n"
         "y[t] = s[t ^ {{16|8}}];  // BUG", block=32),
    Case("an exclusive scan in place", "racecheck",
         "__shared__ int s[64];\ns[t] = x[t];\n__syncthreads();\nfor (int d = 1; d < 64; d *= 2) {\n"
         "  int v = t >= d ? s[t - d] : 0;  // BUG\n"
         "  {{|__syncthreads();}}\n  s[t] += v;  // BUG\n  __syncthreads();\n}\ny[t] = s[t];"),
    Case("a transposed tile", "racecheck",
         "__shared__ int tile[8][9];\nint r = t / 8, c = t % 8;\ntile[r][c] = x[t];\n{{__syncwarp();|__syncthreads();}}\n"
         "y[t] = tile[c][r];  // BUG"),
    Case("a histogram without atomics", "racecheck",
         "__shared__ int bins[4];\nif (t < 4) bins[t] = 0;\n__syncthreads();\n"
         "{{bins[x[t] & 3] += 1|atomicAdd(&bins[x[t] & 3], 1)}};  // BUG\n"
         "__syncthreads();\nif (t < 4) y[t] = bins[t];"),
    Case("a sum read while others add", "racecheck",
         "__shared__ int sum;\nif (t == 0) sum = 0;\n__syncthreads();\natomicAdd(&sum, t);\n{{|__syncthreads();}}\n"
         "y[t] = sum;  // BUG"),
    Case("a maximum by compare-and-swap", "racecheck",
         "__shared__ int top;\nif (t == 0) top = -1;\n__syncthreads();\n"
         "{{if (x[t] > top) top = x[t];  // BUG\n|int old = top, seen;\n"
         "do { seen = old; old = atomicCAS(&top, seen, max(seen, x[t])); } "
         "while (old != seen);\n}}__syncthreads();\ny[t] = top;"),
    Case("a float added by compare-and-swap", "racecheck",
         "__shared__ int sum;\nif (t == 0) sum = __float_as_int(0.0f);\n__syncthreads();\n"
         "{{sum = __float_as_int(__int_as_float(sum) + t);  // BUG\n|int old = sum, seen;\n"
         "do { seen = old; old = atomicCAS(&sum, seen, "
         "__float_as_int(__int_as_float(seen) + t)); } while (old != seen);\n}}__syncthreads();\ny[t] = sum;"),
    Case("a lock in shared memory", "racecheck",
         "__shared__ int lock, sum;\nif (t == 0) lock = sum = 0;\n__syncthreads();\nif (t % 32 == 0) {\n"
         "  while (atomicCAS(&lock, 0, 1));\n  __threadfence_block();\n  sum += t + 1;  // BUG\n  {{|__threadfence_block();}}\n"
         "  atomicExch(&lock, 0);\n}\n__syncthreads();\ny[t] = sum;", block=128),
    Case("a flag in shared memory", "racecheck",
         "__shared__ volatile int flag;\n__shared__ int value;\nif (t == 0) flag = 0;\n__syncthreads();\n"
         "if (t == 0) { value = x[n]; {{|__threadfence_block();}} flag = 1; }\n"
         "else if (t == 32) { while (!flag); __threadfence_block();\n  y[0] = value;  // BUG\n}"),
    Case("warps that meet at a named barrier", "racecheck",
         "__shared__ int s[96];\nint w = t / 32;\ns[t] = x[t];\nif (w < 2) asm volatile(\"bar.sync 1, 64;\" ::: \"memory\");\n"
         "y[t] = w == 0 ? s[t + 32] : w == 1 ? s[t - 32] : s[t - {{32|0}}];  // BUG", block=96),
    Case("a producer that arrives too early", "racecheck",
         "__shared__ int s[32];\nif (t < 32) {\n  {{asm volatile(\"bar.arrive 1, 64;\" ::: \"memory\"); s[t] = x[t];|"
         "s[t] = x[t]; asm volatile(\"bar.arrive 1, 64;\" ::: \"memory\");}}  // BUG\n} else {\n"
         "  asm volatile(\"bar.sync 1, 64;\" ::: \"memory\");\n  y[t] = s[t - 32];  // BUG\n}"),
    Case("a buffer filled again before it is empty", "racecheck",
         "__shared__ int s[32];\nfor (int j = 0; j < 3; ++j) {\n  if (t < 32) {\n"
         "    {{|if (j) asm volatile(\"bar.sync 2, 64;\" ::: \"memory\");}}\n    s[t] = x[t + j];  // BUG\n"
         "    asm volatile(\"bar.arrive 1, 64;\" ::: \"memory\");\n  } else {\n"
         "    asm volatile(\"bar.sync 1, 64;\" ::: \"memory\");\n"
         "    y[t] += s[63 - t];  // BUG\n    {{|if (j < 2) asm volatile(\"bar.arrive 2, 64;\" ::: \"memory\");}}\n  }\n}"),
    Case("an asynchronous copy read before the wait", "racecheck",
         COPY % ("{{|" + WAIT + "}}\ny[t] = s[t];  // BUG\n{{" + WAIT + "|}}")),
    Case("an asynchronous copy read by others without a barrier", "racecheck",
         COPY % (WAIT + "\n{{|__syncthreads();}}\ny[t] = s[63 - t];  // BUG")),
    Case("the source of an asynchronous copy overwritten", "racecheck",
         COPY % ("{{x[t] = -1;  // BUG\n" + WAIT + "|" + WAIT + "\nx[t] = -1;}}\ny[t] = s[t];")),
    Case("global memory exchanged inside a block", "racecheck",
         "y[t] = x[t];\n{{|__syncthreads();}}\nint v = y[63 - t];  // BUG\ny[t + 64] = v;"),
    Case("global memory exchanged inside a warp", "racecheck",
         "y[t] = x[t];\n{{|__syncwarp();}}\nint v = y[31 - t];  // BUG\ny[t + 64] = v;", block=32),
    Case("a shift in global memory", "racecheck",
         "int v = x[t + 1];\n{{|__syncthreads();}}\nx[t] = v;  // BUG"),
    Case("global memory written twice inside a block", "racecheck",
         "y[{{t / 2|t}}] = t;  // BUG"),
    Case("a counter in global memory", "racecheck",
         "{{y[0] += 1|atomicAdd(y, 1)}};  // BUG"),
)
