"""The peers' side of the benchmarks: the same games in PyTorch and in JAX, each written as it runs fastest there.

`torch_step` and `jax_step` have the workloads of workloads.py, `torch_recipe` and `jax_recipe` the recipe of recipe.py, which is
run to a quality. They need those packages (the extra [peers]); the benchmarks leave a side out where its package is missing. That
all do the same work is tested: from equal weights, on equal data, they give tinygan's losses and weights (tests/test_peers.py and
tests/benchmarks/test_speed_to_quality.py).
"""
