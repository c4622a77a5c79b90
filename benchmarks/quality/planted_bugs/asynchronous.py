"""Bugs of Hopper's asynchronous operations: bulk copies, mbarriers that count their bytes, wgmma, proxies, barriers of clusters."""

from .case import Case

HOPPER = "compute_90a"
COPIES = r"""
#define AT(p) "r"((unsigned)__cvta_generic_to_shared(p))
#define MAKE(bar, n) asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: AT(bar), "r"(n) : "memory")
#define EXPECT(bar, bytes) asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" :: AT(bar), "r"(bytes) : "memory")
#define ARRIVE(bar) asm volatile("mbarrier.arrive.shared.b64 _, [%0];" :: AT(bar) : "memory")
#define WAIT(bar, parity) asm volatile("{ .reg .pred p; L: mbarrier.try_wait.parity.shared.b64 p, [%0], %1; @!p bra L; }" \
                                       :: AT(bar), "r"(parity) : "memory")
#define FETCH(to, from, bytes, bar) \
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" \
                 :: AT(to), "l"(from), "r"(bytes), AT(bar) : "memory")
#define PUT(to, from, bytes) asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" \
                                          :: "l"(to), AT(from), "r"(bytes) : "memory")
#define COMMIT asm volatile("cp.async.bulk.commit_group;" ::: "memory")
#define READ asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory")
#define DONE asm volatile("cp.async.bulk.wait_group 0;" ::: "memory")
#define PROXY asm volatile("fence.proxy.async;" ::: "memory")
typedef unsigned long long u64;
"""
PRODUCTS = COPIES + r"""
#define FENCE asm volatile("wgmma.fence.sync.aligned;" ::: "memory")
#define GROUP asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory")
#define FINISH asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory")
#define DESCRIBE(p) ((u64)((unsigned)__cvta_generic_to_shared(p) >> 4) | (u64)64 << 16 | (u64)8 << 32)
#define SMALL(p) ((u64)((unsigned)__cvta_generic_to_shared(p) >> 4) | (u64)8 << 16)    // the same eight rows again and again
#define MULTIPLY(d, a, b) \
    asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, 0;" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "l"(a), "l"(b))
"""
MEET = r"""
#define MEET asm volatile("barrier.cluster.arrive; barrier.cluster.wait;" ::: "memory")
#define k __cluster_dims__(2) k
"""
SOURCE = "__shared__ alignas(128) int s[64];\n"
BARRIER = SOURCE + "__shared__ alignas(8) u64 bar;\nif (t == 0) MAKE(&bar, 1);\n__syncthreads();\n"
TILE = "__shared__ alignas(128) int s[1024];\nfloat d[4] = {1, 2, 3, 4};\nfor (int i = t; i < 1024; i += 128) s[i] = 0;  // BUG\n"
SHOW = "for (int i = 0; i < 4; ++i) y[4 * t + i] = (int)d[i];  // BUG\n"
PIPELINE = """__shared__ alignas(128) int s[1024];
__shared__ alignas(8) u64 full, empty;
if (t == 0) { MAKE(&full, 1); MAKE(&empty, 128); }
__syncthreads();
float d[4] = {};
for (int i = 0; i < 3; ++i) {
  if (t >= 128) {
    if (t == 128) {
      %s
      EXPECT(&full, 512);
      FETCH(s, x, 512, &full);  // BUG
    }
    continue;
  }
  WAIT(&full, i & 1);
  FENCE;
  MULTIPLY(d, SMALL(s), SMALL(s));  // BUG
  GROUP;
  %s
}
if (t < 128) %s"""

CASES = (
    Case("a bulk copy of what was stored, without a proxy fence", "racecheck",
         SOURCE + "s[t] = t;\n{{|PROXY;}}\n__syncthreads();\nif (t == 0) {\n  PUT(y, s, 256);  // BUG\n  COMMIT;\n  DONE;\n}",
         before=COPIES, arch=HOPPER),
    Case("a bulk copy whose fence comes before the store", "racecheck",
         SOURCE + "{{PROXY;\ns[t] = t;|s[t] = t;\nPROXY;}}\n__syncthreads();\nif (t == 0) {\n  PUT(y, s, 256);  // BUG\n  COMMIT;\n"
         "  DONE;\n}", before=COPIES, arch=HOPPER),
    Case("a source that is overwritten before the bulk group is read", "racecheck",
         SOURCE + "s[t] = t;\nPROXY;\n__syncthreads();\nif (t == 0) {\n  PUT(y, s, 256);\n  COMMIT;\n  {{|READ;}}\n}\n"
         "__syncthreads();\ns[t] = 0;  // BUG\nif (t == 0) DONE;", before=COPIES, arch=HOPPER),
    Case("a block that ends before its bulk copy has read", "racecheck",
         SOURCE + "s[t] = t;\nPROXY;\n__syncthreads();\nif (t == 0) {\n  PUT(y, s, 256);  // BUG\n  COMMIT;\n  {{|READ;}}\n}",
         before=COPIES, arch=HOPPER),
    Case("a bulk group that is waited for and was never committed", "racecheck",
         SOURCE + "s[t] = t;\nPROXY;\n__syncthreads();\nif (t == 0) {\n  PUT(y, s, 256);  // BUG\n  {{|COMMIT;}}\n  READ;\n}",
         before=COPIES, arch=HOPPER),
    Case("results of a bulk copy that only its reads were waited for", "racecheck",
         SOURCE + "s[t] = t;\nPROXY;\n__syncthreads();\nif (t == 0) {\n  PUT(y, s, 256);\n  COMMIT;\n  {{READ|DONE}};\n}\n"
         "__syncthreads();\ny[64 + t] = y[63 - t];  // BUG", before=COPIES, arch=HOPPER),
    Case("a tile that is read without a wait for its bytes", "racecheck",
         BARRIER + "if (t == 0) {\n  EXPECT(&bar, 256);\n  FETCH(s, x, 256, &bar);\n}\n__syncthreads();\n{{|WAIT(&bar, 0);}}\n"
         "y[t] = s[63 - t];  // BUG", before=COPIES, arch=HOPPER),
    Case("a tile that its own thread reads without a wait", "racecheck",
         BARRIER + "if (t == 0) {\n  EXPECT(&bar, 256);\n  FETCH(s, x, 256, &bar);\n  {{|WAIT(&bar, 0);}}\n"
         "  y[0] = s[5];  // BUG\n}",
         before=COPIES, arch=HOPPER),
    Case("a wait for the wrong phase", "synccheck",
         BARRIER + "if (t == 0) {\n  EXPECT(&bar, 256);\n  FETCH(s, x, 256, &bar);\n}\nWAIT(&bar, {{1|0}});  // BUG\n"
         "y[t] = s[63 - t];", before=COPIES, arch=HOPPER),
    Case("more bytes expected than come", "synccheck",
         BARRIER + "if (t == 0) {\n  EXPECT(&bar, {{512|256}});\n  FETCH(s, x, 256, &bar);\n}\nWAIT(&bar, 0);  // BUG\n"
         "y[t] = s[63 - t];", before=COPIES, arch=HOPPER),
    Case("a product whose result is stored before the wait", "racecheck",
         TILE + "PROXY;\n__syncthreads();\nFENCE;\nMULTIPLY(d, DESCRIBE(s), DESCRIBE(s));\nGROUP;\n{{|FINISH;}}\n" + SHOW
         + "{{FINISH;|}}", block=128, before=PRODUCTS, arch=HOPPER),
    Case("a product that was never committed", "racecheck",
         TILE + "PROXY;\n__syncthreads();\nFENCE;\nMULTIPLY(d, DESCRIBE(s), DESCRIBE(s));\n{{|GROUP;}}\nFINISH;\n" + SHOW,
         block=128, before=PRODUCTS, arch=HOPPER),
    Case("a product without a wgmma.fence", "racecheck",
         TILE + "PROXY;\n__syncthreads();\nd[1] *= n;\n{{|FENCE;}}\nMULTIPLY(d, DESCRIBE(s), DESCRIBE(s));  // BUG\nGROUP;\n"
         "FINISH;\n" + SHOW, block=128, before=PRODUCTS, arch=HOPPER),
    Case("accumulators that are scaled between two products, without a fence", "racecheck",
         TILE + "PROXY;\n__syncthreads();\nFENCE;\nMULTIPLY(d, DESCRIBE(s), DESCRIBE(s));\nGROUP;\nFINISH;\n"
         "for (int i = 0; i < 4; ++i) d[i] *= n;\n{{|FENCE;}}\nMULTIPLY(d, DESCRIBE(s), DESCRIBE(s));  // BUG\nGROUP;\n"
         "FINISH;\n" + SHOW, block=128, before=PRODUCTS, arch=HOPPER),
    Case("a product of what was stored, without a proxy fence", "racecheck",
         TILE + "{{|PROXY;}}\n__syncthreads();\nFENCE;\nMULTIPLY(d, DESCRIBE(s), DESCRIBE(s));  // BUG\nGROUP;\nFINISH;\n" + SHOW,
         block=128, before=PRODUCTS, arch=HOPPER),
    Case("a matrix that is overwritten while a product reads it", "racecheck",
         TILE + "PROXY;\n__syncthreads();\nFENCE;\nMULTIPLY(d, DESCRIBE(s), DESCRIBE(s));\nGROUP;\n{{|FINISH;\n__syncthreads();}}\n"
         "s[t] = 1;  // BUG\n{{FINISH;|}}\n" + SHOW, block=128, before=PRODUCTS, arch=HOPPER),
    Case("a stage that is handed back before the product has read it", "racecheck",
         PIPELINE % ("WAIT(&empty, (i & 1) ^ 1);", "{{ARRIVE(&empty);\n  FINISH|FINISH;\n  ARRIVE(&empty)}};", SHOW),
         block=160, before=PRODUCTS, arch=HOPPER),
    Case("a stage that is filled without a wait for its readers", "racecheck",
         PIPELINE % ("{{|WAIT(&empty, (i & 1) ^ 1);}}", "FINISH;\n  ARRIVE(&empty);", SHOW),
         block=160, before=PRODUCTS, arch=HOPPER),
    Case("a warpgroup of which a warp does not take part", "synccheck",
         TILE + "PROXY;\n__syncthreads();\nif ({{t < 96|t < 128}}) {\n  FENCE;\n  MULTIPLY(d, DESCRIBE(s), DESCRIBE(s));  // BUG\n"
         "  GROUP;\n  FINISH;\n}\n" + SHOW, block=128, before=PRODUCTS, arch=HOPPER),
    Case("a cluster's barrier that is waited for without an arrival", "synccheck",
         "{{|asm volatile(\"barrier.cluster.arrive;\" ::: \"memory\");}}\n"
         "asm volatile(\"barrier.cluster.wait;\" ::: \"memory\");  // BUG\ny[t] = t;", arch=HOPPER),
    Case("a block of a cluster that ends while another reads its shared memory", "racecheck",
         SOURCE + "s[t] = x[t];\nMEET;\nint v;\nunsigned other;\n"
         "asm(\"mapa.shared::cluster.u32 %0, %1, %2;\" : \"=r\"(other) : AT(s + 63 - t), \"r\"(blockIdx.x ^ 1));\n"
         "asm volatile(\"ld.shared::cluster.u32 %0, [%1];\" : \"=r\"(v) : \"r\"(other) : \"memory\");  // BUG\n"
         "y[blockIdx.x * 64 + t] = v;\n{{|MEET;}}", grid=2, before=COPIES + MEET, arch=HOPPER),
    Case("the neighbour's shared memory read before the cluster has met", "racecheck",
         SOURCE + "s[t] = x[t];\n{{__syncthreads()|MEET}};\nint v;\nunsigned other;\n"
         "asm(\"mapa.shared::cluster.u32 %0, %1, %2;\" : \"=r\"(other) : AT(s + 63 - t), \"r\"(blockIdx.x ^ 1));\n"
         "asm volatile(\"ld.shared::cluster.u32 %0, [%1];\" : \"=r\"(v) : \"r\"(other) : \"memory\");  // BUG\n"
         "y[blockIdx.x * 64 + t] = v;\nMEET;", grid=2, before=COPIES + MEET, arch=HOPPER),
    Case("an mbarrier that is tested once and not waited for", "racecheck",
         "__shared__ int s[64];\n__shared__ alignas(8) u64 bar;\nif (t == 0) MAKE(&bar, 64);\n__syncthreads();\n"
         "if (t >= 32) for (int i = 0; i < n; i++) y[t + 64] += i;\ns[t] = x[t];  // BUG\nu64 token;\nint done;\n"
         "asm volatile(\"mbarrier.arrive.shared.b64 %0, [%1];\" : \"=l\"(token) : AT(&bar) : \"memory\");\n"
         "do asm volatile(\"{ .reg .pred p; mbarrier.test_wait.shared.b64 p, [%1], %2; selp.s32 %0, 1, 0, p; }\"\n"
         "                : \"=r\"(done) : AT(&bar), \"l\"(token) : \"memory\");\nwhile ({{false|!done}});\n"
         "y[t] = s[t ^ 32] + done;  // BUG", before=COPIES),
)  # fmt: skip
