"""What a command says on stderr, without its progress, of which there is the more the slower the machine is."""

import re

PROGRESS = re.compile(r"step [\d,]+/[\d,]+  .* s left$")


def told(stderr: str) -> list[str]:
    """Return the lines of what a command wrote to stderr, but for plain lines of progress (tinygan/fitting/progress.py)."""
    return [line for line in stderr.splitlines() if not PROGRESS.match(line)]
