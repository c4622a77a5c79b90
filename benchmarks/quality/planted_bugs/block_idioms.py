"""Races inside a block that come with an idiom of parallel programming: tiles, reductions, scans, queues, pipelines."""

from .case import Case

WARP_SUM = "for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(0xffffffff, v, d);"
COPY = 'asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" :: "r"(to), "l"(from) : "memory");'
COMMIT = 'asm volatile("cp.async.commit_group;" ::: "memory");'
BLOCK_SUM = """__device__ __forceinline__ int block_sum(int v, int* part) {
  int t = threadIdx.x;
  for (int d = 16; d; d >>= 1) v += __shfl_xor_sync(0xffffffff, v, d);
  if (t % 32 == 0)
    part[t / 32] = v;  // BUG
  __syncthreads();
  int s = 0;
  for (int i = 0; i < 2; ++i) s += part[i];
  {{|__syncthreads();}}
  return s;
}
"""

CASES = (
    Case("sums of warps read without a barrier", "racecheck",
         f"__shared__ int part[2];\nint v = x[t];\n{WARP_SUM}\nif (t % 32 == 0) part[t / 32] = v;\n{{{{|__syncthreads();}}}}\n"
         "if (t == 0) y[0] = part[0] + part[1];  // BUG"),
    Case("a block's sum that is called twice with one buffer", "racecheck",
         "__shared__ int part[2];\nint a = block_sum(x[t], part);\nint b = block_sum(x[t] * a, part);\ny[t] = a - b;",
         before=BLOCK_SUM),
    Case("a sum that thread 0 hands out without a barrier", "racecheck",
         "__shared__ int mean;\nif (t == 0) {\n  int s = 0;\n  for (int i = 0; i < n; ++i) s += x[i];\n  mean = s / n;\n}\n"
         "{{__syncwarp();|__syncthreads();}}\ny[t] = x[t] - mean;  // BUG"),
    Case("a barrier before the store in place of after it", "racecheck",
         "__shared__ int s[64];\n{{__syncthreads();\ns[t] = x[t];|s[t] = x[t];\n__syncthreads();}}\ny[t] = s[63 - t];  // BUG"),
    Case("a tiled product without the barrier after the tile is used", "racecheck",
         "__shared__ int a[8][8], b[8][8];\nint r = t / 8, c = t % 8, s = 0;\nfor (int k = 0; k < 2; ++k) {\n"
         "  a[r][c] = x[r * 16 + k * 8 + c];  // BUG\n  b[r][c] = x[(k * 8 + r) * 8 + c];  // BUG\n  __syncthreads();\n"
         "  for (int i = 0; i < 8; ++i) s += a[r][i] * b[i][c];\n  {{|__syncthreads();}}\n}\ny[t] = s;"),
    Case("the next tile loaded into the buffer in use", "racecheck",
         "__shared__ int s[2][64];\nint sum = 0;\ns[0][t] = x[t];\n__syncthreads();\nfor (int k = 0; k < 3; ++k) {\n"
         "  if (k < 2) s[{{k|k + 1}} & 1][t] = x[(k + 1) * 64 + t];  // BUG\n  sum += s[k & 1][63 - t];  // BUG\n"
         "  __syncthreads();\n}\n"
         "y[t] = sum;"),
    Case("a double buffer that is waited for one stage too late", "racecheck",
         "__shared__ int s[2][64];\nint sum = 0;\nfor (int k = 0; k < 3; ++k) {\n"
         "  unsigned to = (unsigned)__cvta_generic_to_shared(&s[k & 1][t]);\n  const int* from = x + k * 64 + t;\n"
         f"  {COPY}\n  {COMMIT}\n  if (k) {{\n"
         "    asm volatile(\"cp.async.wait_group {{2|1}};\" ::: \"memory\");\n    __syncthreads();\n"
         "    sum += s[(k - 1) & 1][63 - t];  // BUG\n    __syncthreads();\n  }\n}\n"
         "asm volatile(\"cp.async.wait_all;\" ::: \"memory\");\ny[t] = sum;"),
    Case("shared memory stored to while an asynchronous copy is under way to it", "racecheck",
         "__shared__ int s[64];\nunsigned to = (unsigned)__cvta_generic_to_shared(&s[t]);\nconst int* from = x + t;\n"
         f"{COPY}\n" "{{if (t == 0) s[n & 63] = -1;  // BUG\n|}}asm volatile(\"cp.async.wait_all;\" ::: \"memory\");\n"
         "if (t == 0) s[n & 63] = -1;\n__syncthreads();\ny[t] = s[63 - t];"),
    Case("an asynchronous copy into a buffer that others still read", "racecheck",
         "__shared__ int s[64];\ns[t] = x[t];\n__syncthreads();\nint v = s[63 - t];\n{{|__syncthreads();}}\n"
         "unsigned to = (unsigned)__cvta_generic_to_shared(&s[t]);\nconst int* from = x + 64 + t;\n"
         + COPY + "  // BUG\nasm volatile(\"cp.async.wait_all;\" ::: \"memory\");\ny[t] = v + s[t];"),
    Case("a histogram flushed before all have counted", "racecheck",
         "__shared__ int bins[16];\nif (t < 16) bins[t] = 0;\n__syncthreads();\natomicAdd(&bins[x[t] & 15], 1);\n"
         "{{__syncwarp();|__syncthreads();}}\nif (t < 16) atomicAdd(&y[t], bins[t]);  // BUG"),
    Case("a histogram set to zero while others count", "racecheck",
         "__shared__ int bins[16];\nif (t < 16) bins[t] = 0;\n{{|__syncthreads();}}\natomicAdd(&bins[x[63 - t] & 15], 1);  // BUG\n"
         "__syncthreads();\nif (t < 16) y[t] = bins[t];"),
    Case("a compaction whose counter is set back too early", "racecheck",
         "__shared__ int kept;\nif (t == 0) kept = 0;\n__syncthreads();\nfor (int j = 0; j < 2; ++j) {\n"
         "  if (x[j * 64 + t] % 3) y[j * 64 + atomicAdd(&kept, 1)] = t;\n  __syncthreads();\n  if (t == 0) y[1000 + j] = kept;\n"
         "  {{|__syncthreads();}}\n  if (t == {{32|0}}) kept = 0;  // BUG\n  __syncthreads();\n}"),
    Case("a compaction whose warps read the base without waiting", "racecheck",
         "__shared__ int base[2], total;\nif (t == 0) total = 0;\n__syncthreads();\nbool keep = x[t] & 1;\n"
         "unsigned votes = __ballot_sync(0xffffffff, keep);\nif (t % 32 == 0) base[t / 32] = atomicAdd(&total, __popc(votes));\n"
         "{{|__syncwarp();}}\nint at = base[t / 32] + __popc(votes & ((1u << t % 32) - 1));  // BUG\nif (keep) y[at] = t;"),
    Case("a job that is fetched again while others still use it", "racecheck",
         "__shared__ int job;\nfor (int k = 0; k < 3; ++k) {\n  if (t == 0)\n    job = atomicAdd(&next, 1);  // BUG\n"
         "  __syncthreads();\n"
         "  if (job >= 3) break;\n  y[job * 64 + t] = x[t];\n  {{|__syncthreads();}}\n}", before="__device__ int next;"),
    Case("a sort whose barrier stands outside the inner loop", "racecheck",
         "__shared__ int s[64];\ns[t] = x[63 - t];\n__syncthreads();\nfor (int k = 2; k <= 64; k *= 2) {\n"
         "  for (int j = k / 2; j; j /= 2) {\n    int o = t ^ j;\n"
         "    if (o > t && (s[t] > s[o]) == ((t & k) == 0)) {  // BUG\n      int v = s[t];  // BUG\n      s[t] = s[o];  // BUG\n"
         "      s[o] = v;  // BUG\n    }\n    {{|__syncthreads();}}\n  }\n  __syncthreads();\n}\ny[t] = s[t];"),
    Case("a scan up a tree without a barrier", "racecheck",
         "__shared__ int s[64];\ns[t] = x[t];\nfor (int d = 1; d < 64; d *= 2) {\n  {{|__syncthreads();}}\n"
         "  if ((t + 1) % (2 * d) == 0) s[t] += s[t - d];  // BUG\n}\n__syncthreads();\ny[t] = s[t];"),
    Case("a scan whose two buffers are not exchanged", "racecheck",
         "__shared__ int s[2][64];\nint in = 0;\ns[0][t] = x[t];\n__syncthreads();\nfor (int d = 1; d < 64; d *= 2) {\n"
         "  int out = in {{|^ 1}};\n  int v = s[in][t];\n  if (t >= d) v += s[in][t - d];  // BUG\n  s[out][t] = v;  // BUG\n"
         "  in = out;\n  __syncthreads();\n}\ny[t] = s[in][t];"),
    Case("a stencil that works in place", "racecheck",
         "__shared__ int s[66];\ns[t + 1] = x[t];\nif (t == 0) s[0] = s[65] = 0;\n__syncthreads();\n"
         "{{s[t + 1] = s[t] + s[t + 2];  // BUG\n|int v = s[t] + s[t + 2];\n__syncthreads();\ns[t + 1] = v;\n}}"
         "__syncthreads();\ny[t] = s[t + 1];"),
    Case("a halo that its own thread alone has waited for", "racecheck",
         "__shared__ int s[66];\ns[t + 1] = x[t];\nif (t == 63) s[65] = x[64];\nif (t == 0) s[0] = 0;\n{{|__syncthreads();}}\n"
         "y[t] = s[t] + s[t + 1] + s[t + 2];  // BUG"),
    Case("bits of one byte set by several threads", "racecheck",
         "__shared__ unsigned char set[64];\nset[t] = 0;\n__syncthreads();\nset[t{{ / 2|}}] |= 1 << (t & 1);  // BUG\n"
         "__syncthreads();\ny[t] = set[t];"),
    Case("halves of one word, of which one thread writes the whole", "racecheck",
         "__shared__ __align__(4) short s[64];\nif (t % 2 == 0) *(int*)(s + t) = 0;\n{{|__syncthreads();}}\n"
         "s[t] = t;  // BUG\n__syncthreads();\ny[t] = s[63 - t];", block=64),
    Case("one buffer used as floats and then as integers", "racecheck",
         "__shared__ int raw[64];\nfloat* f = (float*)raw;\nf[t] = x[t] * 0.5f;\n__syncthreads();\nfloat v = f[63 - t];\n"
         "{{|__syncthreads();}}\nraw[t] = t;  // BUG\n__syncthreads();\ny[t] = raw[t ^ 1] + (int)v;"),
    Case("a maximum found by whoever is larger", "racecheck",
         "if (t == 0) y[0] = -1;\n__syncthreads();\n{{if (x[t] > y[0]) y[0] = x[t];  // BUG\n|atomicMax(&y[0], x[t]);\n}}"),
    Case("a stack whose top is not atomic", "racecheck",
         "__shared__ int top;\nif (t == 0) top = 0;\n__syncthreads();\nint at = {{top++|atomicAdd(&top, 1)}};  // BUG\n"
         "y[at + 100] = t;\n__syncthreads();\nif (t == 0) y[0] = top;"),
    Case("an element claimed by a look and a store", "racecheck",
         "__shared__ int owner[8];\nif (t < 8) owner[t] = -1;\n__syncthreads();\n"
         "{{if (owner[t & 7] < 0) owner[t & 7] = t;  // BUG\n|atomicCAS(&owner[t & 7], -1, t);\n}}"
         "__syncthreads();\ny[t] = owner[t & 7];"),
    Case("a value that a ticket's holder stores after the others read", "racecheck",
         "__shared__ int count, last;\nif (t == 0) count = last = 0;\n__syncthreads();\nint mine = atomicAdd(&count, 1);\n"
         "if (mine == 10) last = t + 1;\n{{|__syncthreads();}}\ny[t] = last;  // BUG"),
)
