"""Is everything right in the environments that people have: CUDA toolkits, versions of the dependencies, other packages beside."""
