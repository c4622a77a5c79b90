"""`kill -9` and Ctrl-C, on real processes: whatever is stopped, resumed, ends to the last bit as what was never stopped."""

import itertools
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_runs import assert_same_runs, everything
from told import told

from tinygan.training import checkpoint
from tinygan.training.checkpoint import CHECKPOINT

SUPPORT = Path(__file__).parents[2] / "support"
# a narrow network: at its end a run draws 125,000 samples, which takes the reference longer than all the steps
TRAIN = ("ring", "--hidden", "8", "--batch", "8", "--steps", "60", "--save-every", "3", "--backend", "reference", "--decay", "0.5")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, which this system lacks")
@pytest.mark.parametrize("kind", ["digits", "dcgan", "ring"])
def test_killed_again_and_again(tmp_path, kind):
    """digits, an MLP with R1 and EMA; a DCGAN with batch norm; ring with falling rates, also killed within every kind of write."""
    script = [sys.executable, SUPPORT / "kill_and_resume.py", kind, tmp_path]
    done = subprocess.run(script, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    steps = [int(step) for step in done.stdout.split()]
    assert len(set(steps)) >= 3 and steps == sorted(steps), "too few kills hit the run in its course to tell anything"
    assert_same_runs(tmp_path / "killed", tmp_path / "whole")
    assert everything(tmp_path / "whole")[1]["step"] == 90
    assert sorted(os.listdir(tmp_path / "killed")) == sorted(os.listdir(tmp_path / "whole"))


def command(*arguments) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "tinygan", "train", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True)


def wait_for(path, seconds=3600):
    """Wait until a run has written `path`. The bound is there for a run that does not, however slow the machine."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come in {seconds} s"
        time.sleep(0.01)


def test_the_command_line_killed_and_resumed(tmp_path):
    """A command that is killed and resumed ends with the same files, its pictures included."""
    whole = tmp_path / "whole"
    beside = command(*TRAIN, "--out", whole)
    for attempt in itertools.count():  # on a busy machine a run may end before this test gets to kill it: then another one
        killed = tmp_path / f"killed{attempt}"
        process = command(*TRAIN, "--out", killed)
        wait_for(killed / CHECKPOINT)
        time.sleep(random.uniform(0, 0.2))
        process.kill()
        process.communicate()
        if process.returncode:
            break
    stdout, stderr = command(*TRAIN, "--out", killed, "--resume").communicate()
    assert "step 60" in stdout and told(stderr) == []
    assert told(beside.communicate()[1]) == []
    assert_same_runs(killed, whole)
    names = sorted(os.listdir(whole))
    assert names == [CHECKPOINT, "config.json", "curves.png", "metrics.jsonl", "optimum.png", "samples.png"]
    assert sorted(os.listdir(killed)) == names
    assert all((killed / name).read_bytes() == (whole / name).read_bytes() for name in names if name != CHECKPOINT)


def test_interrupted(tmp_path):
    """Ctrl-C, SIGTERM and SIGHUP: exit 130, the step at hand saved, and a command that can be pasted as it is, blanks in names
    included. What it starts goes on from that step: the next signal ends it, and it finishes in the end.
    """
    out = tmp_path / "my run"
    arguments, saved = [*TRAIN[:5], "--steps", "100000000", "--save-every", "30", "--backend", "reference", "--out", out], 0
    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        process = command(*arguments)
        wait_for(out / CHECKPOINT)
        while checkpoint.load(out / CHECKPOINT)[1]["step"] == saved:  # so that the signal comes in the run's course
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=3600)
        assert process.returncode == 130 and stdout == "" and len(told(stderr)) == 1
        step = checkpoint.load(out / CHECKPOINT)[1]["step"]
        assert step >= saved + 30 - saved % 30 and f"step {step} is saved" in stderr
        words = shlex.split(stderr.split("Go on with: ")[1])
        assert words == ["tinygan", "train", "ring", "--out", str(out), "--resume"]
        arguments, saved = words[2:], step
    stdout, stderr = command(*arguments, "--steps", str(saved + 5)).communicate(timeout=3600)
    assert f"step {saved + 5:,}" in stdout and told(stderr) == []
