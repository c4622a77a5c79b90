"""The peers' side of the benchmarks: the workloads of workloads.py in PyTorch and in JAX, each written as it runs fastest there.

`torch_step` and `jax_step` need those packages (the extra [peers]); the benchmarks leave a side out where its package is missing.
That both do the same work is tested: from equal weights, on equal data, they give tinygan's losses (tests/test_peers.py).
"""
