"""PTX is linked for an architecture, and the linker's log is read."""

import pytest
from linker_log import LOG
from tinygan_kernels.emulator import EmulatorError
from tinygan_kernels.emulator.host import nvjitlink, nvrtc


def test_the_variant_of_an_architecture_that_ptx_is_written_for_is_linked():
    assert nvjitlink.variant(".version 8.8\n.target sm_90a\n", "sm_90") == "sm_90a"
    assert nvjitlink.variant(".version 8.8\n.target sm_80\n", "sm_90") == "sm_90"
    assert nvjitlink.variant(".version 8.8\n.target sm_100a\n", "sm_90") == "sm_90"


def test_a_linker_that_is_older_than_the_compiler_is_named(monkeypatch):
    ptx = ".version 99.0\n.target sm_80\n.address_size 64\n.visible .entry k() { ret; }"
    with pytest.raises(EmulatorError, match=r"does not compile for this architecture \([^)]*\)+$"):
        nvjitlink.link(ptx, "sm_80")
    monkeypatch.setattr(nvrtc, "version", lambda: (99, 1))
    with pytest.raises(nvjitlink.LinkError, match=r"is older than NVRTC 99\.1, whose .*'nvidia-nvjitlink>=99\.1'"):
        nvjitlink.link(ptx, "sm_80")


def test_a_log_is_read_for_all_its_kernels():
    found = nvjitlink.resources_in(LOG)
    assert found["mine"] == {"registers": 128, "spill_stores": 124, "spill_loads": 96, "stack": 224, "shared": 5376}
    assert {entry: numbers["registers"] for entry, numbers in found.items()} == {"other": 10, "mine": 128}
    assert found["other"]["shared"] == 0
    assert nvjitlink.resources_in("") == {}
