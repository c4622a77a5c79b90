"""What holds for all tests: no test fails because the machine is slow or busy, so Hypothesis has no deadline for an example."""

import gc

import hypothesis

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Have Python's collector leave out what collecting the tests made: millions of objects, which cost time at every collection.

    The emulator, too, looks through the collector's objects for arrays whose address a kernel was given.
    """
    gc.collect()
    gc.freeze()
