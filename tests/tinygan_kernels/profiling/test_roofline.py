"""The roofline: bounds computed by hand, from data sheets that are named."""

import pytest
from tinygan_kernels.profiling import roofline


def test_bounds_by_hand():
    gpu = roofline.Gpu("example", "sm_00", 10.0, 500.0, 1, "nowhere")
    busy = roofline.bound(gpu, 1e9, 1e6)
    assert (busy.tflops, busy.microseconds, busy.limit) == (pytest.approx(10), pytest.approx(100), "arithmetic")
    starved = roofline.bound(gpu, 1e6, 1e6)
    assert (starved.tflops, starved.microseconds, starved.limit) == (pytest.approx(0.5), pytest.approx(2), "memory")
    assert roofline.ridge(gpu) == 20
    assert roofline.bound(gpu, 0, 0).tflops == 0


def test_every_gpu_names_its_data_sheet():
    assert all("NVIDIA" in gpu.source and gpu.tflops > 0 and gpu.bandwidth > 0 for gpu in roofline.GPUS)
    assert {"T4", "A100 SXM 80 GB", "RTX A6000", "RTX 4090", "H100 SXM"} <= {gpu.name for gpu in roofline.GPUS}
