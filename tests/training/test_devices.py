import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from compilation import QUICK

from transfer.training import Checkpoints, restore_parameters

from . import four_devices
from .four_devices import POPULATIONS, TRUNK, flat, settings
from .tiny import STEPS, train

pytestmark = pytest.mark.multidevice

TESTS = pathlib.Path(__file__).parents[1]
# A batch summed in four parts rounds otherwise than one summed in a row, by about 1e-7 a step.
CLOSE = {"rtol": 1e-5}
COLLECTIVES = re.compile(r"all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("four_devices")
    subprocess.run(
        [sys.executable, "-m", four_devices.__name__, str(folder)],
        cwd=TESTS,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4", "XLA_FLAGS": QUICK},
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def said(folder):
    return json.loads((folder / "said.json").read_text())


@pytest.fixture(scope="module")
def on_one_device():
    assert jax.device_count() == 1
    return train(settings(5))


@pytest.mark.parametrize(
    ("count", "mesh", "devices", "rows"),
    [
        (1, "1 trial x 4 data", 4, 1),
        (2, "2 trial x 2 data", 4, 1),
        (3, "3 trial x 1 data", 3, 1),
        (4, "4 trial x 1 data", 4, 1),
        (5, "4 trial x 1 data", 4, 2),  # padded to eight
    ],
)
def test_trials_come_first_and_the_rest_of_the_devices_share_the_batch(
    said, count, mesh, devices, rows
):
    assert said["devices"] == 4
    assert said[str(count)]["execution"].endswith(mesh)
    assert (said[str(count)]["devices"], said[str(count)]["rows"]) == (devices, rows)


@pytest.mark.parametrize("count", POPULATIONS)
def test_losses_on_four_devices_equal_those_on_one(folder, on_one_device, count):
    measured = np.load(folder / f"{count}.npz")

    assert measured["loss"].shape == (count, STEPS)
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(measured[name], on_one_device.history[name][:count], **CLOSE)
    np.testing.assert_allclose(
        measured["eval_loss"], on_one_device.held_out["loss"][:count], **CLOSE
    )


@pytest.mark.parametrize("count", [3, 4, 5])
def test_trials_on_different_devices_do_not_communicate(said, count):
    assert COLLECTIVES.findall(said[str(count)]["program"]) == []


@pytest.mark.parametrize("count", [1, 2])
def test_devices_that_share_a_batch_reduce_gradients(said, count):
    assert "all-reduce" in COLLECTIVES.findall(said[str(count)]["program"])


def test_a_checkpoint_of_four_devices_is_resumed_on_one(folder, on_one_device):
    first_step = []
    with Checkpoints(folder / "checkpoints") as checkpoints:
        outcome = train(
            settings(1),
            checkpoints=checkpoints,
            progress=lambda fraction, loss: first_step.append(fraction),
        )

    assert first_step == [1.0]
    until = slice(four_devices.STOP)
    np.testing.assert_array_equal(
        outcome.history["loss"][0, until], np.load(folder / "1.npz")["loss"][0, until]
    )
    np.testing.assert_allclose(
        outcome.history["loss"][0], on_one_device.history["loss"][0], **CLOSE
    )
    restored, _ = restore_parameters(folder / "checkpoints")
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a, b[0]), restored, outcome.state.parameters
    )


def test_a_trunk_whose_weights_are_sharded_gives_the_same_at_its_horizons(folder, said):
    parameters, average = said["trunk"]
    assert parameters == average
    assert any("fsdp" in spec for spec in average)
    found, expected = np.load(folder / "trunk.npz"), flat(train(settings(3), **TRUNK))
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, **CLOSE)
