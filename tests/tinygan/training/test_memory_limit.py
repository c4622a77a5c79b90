"""Runs that cannot fit into memory are refused before they begin, and no run that fits is."""

import math
import tracemalloc

import pytest
from tiny_runs import backend, dataset, refusal

from tinygan.nn.architectures import Architecture, discriminator, generator
from tinygan.options import OptionError
from tinygan.training import memory_limit
from tinygan.training.config import Config
from tinygan.training.memory_limit import free_memory, least_memory, require_memory
from tinygan.training.run import Run
from tinygan.training.samples import Trained

ARCHITECTURES = (
    {}, {"hidden": (5, 7), "hidden_d": (9,)}, {"hidden": ()}, {"maxout": 3}, {"batch_norm": True}, {"pack": 2}, {"z": 1},
    {"fourier": 6, "pack": 2, "signs": 3}, {"arch": "dcgan", "width": 4, "signs": 2},
    {"arch": "dcgan", "width": 4}, {"arch": "dcgan", "width": 3, "spectral": True, "pack": 2},
)


@pytest.mark.parametrize("options", ARCHITECTURES, ids=str)
def test_weights_are_counted_as_the_networks_have_them(options):
    a = Architecture(sample=(16, 16, 3), bounded=True, **options)
    for make, (counted, outputs) in zip((generator, discriminator), zip(a.weights, a.outputs, strict=True), strict=True):
        network = make(a, backend("reference"), 0)
        assert counted == sum(math.prod(t.shape) for t in network.parameters().values())
        assert 0 < outputs < 10**6


@pytest.fixture(scope="module")
def whatever_is_kept():
    """Import and keep what the first runs of a process do, of either architecture, so that no memory of that is counted."""
    for options in ({"data": "ring", "unroll": 1, "hidden": (4,)}, {"data": "pictures", "arch": "dcgan", "width": 2}):
        config = Config(steps=1, batch=4, backend="reference", **options)
        Run(config, dataset(config.data), backend("reference"), None).train()


@pytest.mark.parametrize("options", [
    {"hidden": (400, 400)}, {"unroll": 6, "hidden": (200, 200)}, {"unroll": 6, "hidden": (20, 20), "batch": 500},
    {"batch": 20_000, "hidden": (20, 20)}, {"k": 14, "batch": 100, "z": 300, "hidden": (8,)},
    {"r1": 0.0, "pack": 4, "batch": 800, "unroll": 3}, {"data": "pictures", "arch": "dcgan", "width": 8, "batch": 64},
], ids=str)
def test_what_is_asked_for_is_less_than_what_a_run_takes(options, whatever_is_kept):
    """So no run is refused that would fit; and not less than a fortieth, or nothing would be."""
    config = Config(**{"data": "ring", "steps": 1, "backend": "reference", **options})
    data = dataset(config.data)
    tracemalloc.start()
    Run(config, data, backend("reference"), None).train()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    least = sum(least_memory(config, config.architecture(data.codec)).values())
    assert taken / 40 < least <= taken


@pytest.mark.parametrize("options", [
    {"hidden": (2000, 2000)}, {"z": 20_000}, {"batch": 100_000, "k": 10}, {"unroll": 100, "hidden": (200, 200)}, {"maxout": 100},
    {"data": "pictures", "arch": "dcgan", "width": 500},
], ids=str)
def test_a_run_that_does_not_fit_is_refused_before_anything_is_made(monkeypatch, options):
    """The message says how much it would need and how much there is, and names the options that decide it."""
    monkeypatch.setattr(memory_limit, "free_memory", lambda: 10**7)
    config, data = Config(**{"data": "ring", "backend": "reference", **options}), dataset(options.get("data", "ring"))
    tracemalloc.start()
    message = refusal(Run, config, data, backend("reference"), None, error=OptionError)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "would need at least" in message and "10.0 MB are free" in message and taken < 10**6
    assert any(name in message for name in options), message


@pytest.mark.parametrize("options", [
    {"hidden": (100_000_000,)}, {"hidden": (10**400,)}, {"z": 10**13}, {"batch": 10**12}, {"unroll": 10**9}, {"k": 10**9},
    {"data": "pictures", "arch": "dcgan", "width": 10**7}, {"maxout": 10**12},
], ids=[str(i) for i in range(8)])
def test_steps_that_never_end_are_refused(options):
    """By the range of the option, or by what the run would need here."""
    given = {"data": "ring", "backend": "reference", **options}
    refusal(lambda: Run(Config(**given), dataset(given["data"]), backend("reference"), None), error=OptionError)


@pytest.mark.parametrize("name", ["unroll", "k"])
def test_moves_within_a_step_are_limited(name):
    assert "between" in refusal(Config, data="ring", **{name: 10**9}, error=OptionError)
    assert getattr(Config(data="ring", **{name: 1000}), name) == 1000


def test_samples_that_do_not_fit_are_refused():
    ring = dataset("ring")
    G = generator(Config(data="ring").architecture(ring.codec), backend("reference"), 0)
    trained = Trained(Config(data="ring"), ring.codec, G, 0)
    assert "are free" in refusal(trained.sample, 10**13, error=OptionError)
    assert trained.sample(3).shape == (3, 2)


def test_a_run_that_fits_the_free_memory_exactly_is_taken(monkeypatch):
    config = Config(data="ring", backend="reference")
    a = config.architecture(dataset("ring").codec)
    least = sum(least_memory(config, a).values())
    monkeypatch.setattr(memory_limit, "free_memory", lambda: least)
    require_memory(config, a)
    monkeypatch.setattr(memory_limit, "free_memory", lambda: least - 1)
    assert "hidden" in refusal(require_memory, config, a, error=OptionError)
    monkeypatch.setattr(memory_limit, "free_memory", lambda: None)  # a system that does not tell
    require_memory(config, a)


def test_how_much_is_free(tmp_path):
    free = free_memory()
    assert free is not None and 10**7 < free < 10**16
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  9 kB\nMemAvailable:  3 kB\nSwapFree:  2 kB\n")
    assert memory_limit._of_linux(meminfo) == 5 * 1024
    meminfo.write_text("MemTotal: 9 kB\n")
    assert memory_limit._of_linux(meminfo) is None and memory_limit._of_linux(tmp_path / "none") is None


def test_what_a_container_leaves(tmp_path):
    (tmp_path / "memory").mkdir()
    assert memory_limit._of_container(tmp_path) is None
    for names in (("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"), (
            "memory.max", "memory.current", "memory.stat")):
        for name, text in zip(names, ("1000\n", "700\n", "anon 100\nactive_file 60\ninactive_file 40\n"), strict=True):
            (tmp_path / name).write_text(text)
        assert memory_limit._of_container(tmp_path) == 400
        (tmp_path / names[0]).write_text("500\n")
        assert memory_limit._of_container(tmp_path) == 0
        (tmp_path / names[0]).write_text("max\n" if names[0] == "memory.max" else "900\n")
    assert memory_limit._of_container(tmp_path) == 300, "version 2 has no limit here, version 1 has"
