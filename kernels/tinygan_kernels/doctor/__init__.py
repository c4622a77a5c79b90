"""Say what is installed for CUDA on this machine, what of it does not fit together, and what to install instead.

    tinygan kernels doctor         python -m tinygan_kernels.doctor

In reading order: driver (the driver and the GPUs, by nvidia-smi), installed (packages, and the compilers that they load),
diagnoses (the rules). Nothing is downloaded or changed, and packages are imported in other processes alone, so that a broken
one breaks no more than its own line.
"""
