"""The measurements that `benchmarks.speed.tune` puts together: one module for each room of the CPU backend that makes choices."""
