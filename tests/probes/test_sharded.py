"""Weights split over eight devices are measured where they are: vectors alone are communicated."""

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest
from plan.programs import needs_libtpu

from . import eight_devices

TESTS = pathlib.Path(__file__).parents[1]
# A block of four vectors on the longest side, in each of three layers.
VECTORS = 4 * 512 * 3
SMALLEST = min(math.prod(shape) for _, shape, _ in eight_devices.KERNELS.values())


def said(*arguments, **environment):
    ran = subprocess.run(
        [sys.executable, "-m", eight_devices.__name__, *arguments],
        cwd=TESTS,
        env=os.environ | {"JAX_PLATFORMS": "cpu"} | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(ran.stdout.splitlines()[-1])


def no_weight_is_gathered(said):
    assert said["lanczos"]["all-reduce"] <= VECTORS
    assert max(said["lanczos"].values()) <= VECTORS < SMALLEST
    # The decomposition of whole matrices does gather them.
    assert said["exact"]["all-gather"] >= SMALLEST


@pytest.mark.multidevice
def test_on_eight_devices_no_weight_is_gathered():
    no_weight_is_gathered(said(JAX_NUM_CPU_DEVICES="8"))


@pytest.mark.multidevice
@needs_libtpu
def test_on_a_described_tpu_no_weight_is_gathered():
    no_weight_is_gathered(said("tpu", TPU_SKIP_MDS_QUERY="1"))
