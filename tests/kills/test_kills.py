"""Long work survives being killed, at any moment."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from . import matrix

# The former kill each verb at each moment once.
SAMPLE, FULL = 6, 24


@pytest.mark.multidevice
def test_what_was_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path, pytestconfig):
    kills = FULL if pytestconfig.getoption("full") else SAMPLE
    child = subprocess.run(
        [sys.executable, "-m", matrix.__name__, str(tmp_path), str(kills), "0"],
        cwd=pathlib.Path(__file__).parents[1],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout)
    assert sum(said["kills"].values()) >= kills
    for verb in ("train in a checkpoint", "train at random", "sweep at random", "report at random"):
        assert any(kind.startswith(verb) for kind in said["kills"])
    # Quickstart, which listens too, is asked in tests/cli/test_quickstart.py.
    for verb in ("train", "sweep"):
        assert said["asked to stop and saved"][verb] > 0
    # Killed writers leave what is no checkpoint. One in its midst may have come too late.
    assert said["torn checkpoints"] > 0 or kills == SAMPLE
