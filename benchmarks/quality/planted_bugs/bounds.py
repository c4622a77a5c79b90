"""Bugs that memcheck and initcheck have to find."""

from .case import Case

CASES = (
    Case("a write past the end", "memcheck", "x[t + {{200|0}}] = 1;  // BUG"),
    Case("off by one", "memcheck", "int s = 0;\nfor (int i = t; i {{<=|<}} n; i += 64)\n  s += x[i];  // BUG\ny[t] = s;", n=256),
    Case("a read before the start", "memcheck", "y[t] = x[t - {{1|0}}];  // BUG"),
    Case("an atomic past the end", "memcheck", "atomicAdd(x + t * {{5|4}}, 1);  // BUG"),
    Case("an index of another block's", "memcheck",
         "int i = blockIdx.x * {{128|64}} + t;\nx[i] = 1;  // BUG", grid=4),
    Case("rows and columns exchanged", "memcheck",
         "int r = t / 8, c = t % 8;\ny[t] = x[{{c * 40 + r|r * 8 + c}}];  // BUG"),
    Case("a vector that is not aligned", "memcheck", "int4 v = *(int4*)(x + t * {{1|4}});  // BUG\ny[t] = v.x + v.w;", block=32),
    Case("a null pointer", "memcheck", "int* p = (int*)(n == {{64|0}} ? 0ull : (unsigned long long)x);\np[t] = 1;  // BUG"),
    Case("an address near the end of 64 bits", "memcheck",
         "unsigned long long a = n == {{64|0}} ? 0x7ffffffffffffff8ull : (unsigned long long)x;\ny[t] = *(int*)a;  // BUG"),
    Case("past the end of shared memory", "memcheck",
         "__shared__ int s[64];\ns[t] = t;\n__syncthreads();\ny[t] = s[t + {{n|0}}];  // BUG"),
    Case("a shared array read over into the next", "memcheck",
         "__shared__ int a[64], b[64];\na[t] = t; b[t] = -t;\n__syncthreads();\ny[t] = a[t + {{n / 64|0}}] + b[t];  // BUG"),
    Case("a shared array written over into the next", "memcheck",
         "__shared__ int a[32], b[64];\nb[t] = 0;\n__syncthreads();\nif (t < n{{|/ 2}}) a[t] = t;  // BUG\n__syncthreads();\n"
         "y[t] = b[t] + a[t & 31];", n=64),
    Case("a static array run over into the dynamic one", "memcheck",
         "__shared__ int a[32];\nextern __shared__ int d[];\nd[t] = t;\n__syncthreads();\na[t & {{63|31}}] = 7 + 0 * n;  // BUG\n"
         "__syncthreads();\ny[t] = d[t] + a[t & 31];", shared_mem=256),
    Case("a padded tile without its padding", "memcheck",
         "__shared__ int tile[8][{{8|9}}], sums[8];\nif (t < 8) sums[t] = 0;\n__syncthreads();\n"
         "(&tile[0][0])[t / 8 * 9 + t % 8] = x[t];  // BUG\n__syncthreads();\ny[t] = sums[t & 7] + tile[t & 7][0];"),
    Case("past the end of a local array", "memcheck",
         "int own[4] = {1, 2, 3, 4};\nfor (int i = 0; i < n; ++i) own[(i * 7) {{% 5|% 4}}] += x[i];  // BUG\n"
         "y[t] = own[t & 3];", n=8),
    Case("a local array of which a part is not set", "initcheck",
         "int own[8];\nfor (int i = 0; i < n; ++i) own[i * 3 & {{3|7}}] = x[i];\ny[t] = own[t & 7];  // BUG", n=8),
    Case("shared memory that one thread does not set", "initcheck",
         "__shared__ int s[64];\nif (t != {{n|-1}}) s[t] = t;\n__syncthreads();\ny[t] = s[63 - t];  // BUG", n=9),
    Case("a sum that is not set to zero", "initcheck",
         "__shared__ int sum;\n{{|if (t == 0) sum = 0;}}\n__syncthreads();\natomicAdd(&sum, t);  // BUG\n__syncthreads();\n"
         "y[t] = sum;"),
    Case("shared memory read where only a part is filled", "initcheck",
         "extern __shared__ int d[];\nif (t < n) d[t] = x[t];\n__syncthreads();\nif (t < {{n + 1|n}}) y[t] = d[t];  // BUG",
         n=30, shared_mem=256),
)
