"""One process that waits for another in vain."""

import os
import subprocess
import sys

import pytest

from transfer.distributed import timeouts

# The other process is made up; no collective is needed to wait.
STUCK = """
import time
import jax
from transfer.distributed.timeouts import collective_timeout

jax.process_count = lambda: 2
with collective_timeout():
    print("done in time", flush=True)
with collective_timeout():
    time.sleep(60)
"""
NEVER_CAME = """
import sys
from transfer.cli.main import main
from transfer.distributed import job

job._SECONDS_TO_START = 1
sys.exit(main(["transfer", "train", *sys.argv[1:]]))
"""


# By name: a program and the environment that it runs in.
WAITING = {
    "stuck": (STUCK, {"TRANSFER_PEER_TIMEOUT": "1"}),
    **{
        f"never came, {index}": (
            NEVER_CAME,
            {
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{index}",
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": index,
            },
        )
        for index in ("0", "1")
    },
}


@pytest.fixture(scope="module")
def ended():
    """Each process once it has given up: its status and what it said; all wait at once."""
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, (code, environment) in WAITING.items()
    }
    said = {name: each.communicate() for name, each in started.items()}
    return {name: (each.returncode, *said[name]) for name, each in started.items()}


def test_a_process_that_waits_for_one_that_is_stuck_gives_up(ended):
    status, output, error = ended["stuck"]

    assert output == "done in time\n"
    assert status == timeouts.PEER_LOST
    (sentence,) = error.splitlines()
    assert sentence.startswith("transfer: process 0 of 2 has waited for the others for 6 s")


@pytest.mark.parametrize("index", ["0", "1"])
def test_a_process_whose_others_never_come_gives_up(ended, index):
    status, _, error = ended[f"never came, {index}"]
    assert status == timeouts.PEER_LOST
    (sentence,) = error.splitlines()
    assert "never came" in sentence or "did not find each other" in sentence
