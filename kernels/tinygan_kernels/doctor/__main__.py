"""`python -m tinygan_kernels.doctor`: a line for each thing that was looked at; exit code 1 if there is a problem."""

from __future__ import annotations

import sys

from .diagnoses import PROBLEM, diagnose, summary
from .installed import look


def main() -> int:
    """Print the findings and return the exit code."""
    findings = diagnose(look())
    for finding in findings:
        print(finding)
    print(summary(findings))
    return 1 if any(finding.state == PROBLEM for finding in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
