"""k-means in a child after a fork, where OpenMP's threads are gone."""

import os
import subprocess
import sys

import pytest

# scikit-learn's threads are started in the parent; the child would wait for them for ever, until the alarm ends it. There are
# more points than the 256 of one chunk, as scikit-learn gives a chunk to a thread.
FORKED = """
import os, signal, sys, warnings
import numpy as np
warnings.simplefilter("ignore", DeprecationWarning)  # "this process is multi-threaded, fork may deadlock"
from tinygan.measure.clusters import cluster_sizes, clustered
from tinygan.measure.metrics import missed_share
rng = np.random.default_rng(0)
real, fake = rng.standard_normal((4000, 3)), rng.standard_normal((3000, 3)) * 0.5 + 0.7
def found():
    return missed_share(real, fake), *cluster_sizes(clustered(real, 8, n_init=1, random_state=0), fake)
print(*found(), flush=True)
child = os.fork()
if child == 0:
    signal.alarm(300)
    print(*found(), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], *found())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_finds_the_clusters_that_its_parent_finds():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", FORKED], env=environment, capture_output=True, text=True, check=True)
    first, child, parent = done.stdout.splitlines()
    assert first == child and parent == f"0 {first}"
