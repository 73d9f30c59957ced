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


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
        capture_output=True,
        text=True,
    )


def test_a_process_that_waits_for_one_that_is_stuck_gives_up():
    ended = run(STUCK, TRANSFER_PEER_TIMEOUT="1")

    assert ended.stdout == "done in time\n"
    assert ended.returncode == timeouts.PEER_LOST
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("transfer: process 0 of 2 has waited for the others for 6 s")


@pytest.mark.parametrize("index", ["0", "1"])
def test_a_process_whose_others_never_come_gives_up(index):
    ended = run(
        NEVER_CAME,
        JAX_COORDINATOR_ADDRESS="127.0.0.1:0" if index == "0" else "127.0.0.1:1",
        JAX_NUM_PROCESSES="2",
        JAX_PROCESS_ID=index,
    )
    assert ended.returncode == timeouts.PEER_LOST
    (sentence,) = ended.stderr.splitlines()
    assert "never came" in sentence or "did not find each other" in sentence
