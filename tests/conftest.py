"""What holds for all tests: no test fails because the machine is slow or busy, so Hypothesis has no deadline for an example."""

import hypothesis

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
