"""What eight devices train together is what one trains, and no device holds all of it."""

import json
import math
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from compilation import QUICK

from transfer.plan.cost import cost
from transfer.plan.hlo import parse
from transfer.sharding import MeshConfig

from . import eight_devices
from .eight_devices import MIXED, OPTIMIZERS, SAMPLE
from .sharded import MESHES, STEPS, WIDE, whole_run

pytestmark = pytest.mark.multidevice

TESTS = pathlib.Path(__file__).parents[1]
AXES = ("trial", "data", "fsdp", "tensor")
SHAPES = dict(
    zip(MESHES, [(8, 1, 1, 1), (1, 8, 1, 1), (1, 1, 8, 1), (1, 2, 1, 4), (2, 1, 2, 2)], strict=True)
)
TRAINED = [
    *(("transformer", mesh) for mesh in MESHES),
    *(
        pytest.param("resnet", mesh, marks=() if mesh in SAMPLE else pytest.mark.full)
        for mesh in MESHES
    ),
]
# Sums of eight parts round otherwise than sums in a row, by about 1e-7 a step.
CLOSE = 1e-5
# In bfloat16 a device rounds its part of a weight's gradient, and one alone the sum: by up to 2^-9
# of each element, which training may double over so few steps.
ROUNDED = 2.0**-8


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    # Also where a single test asks for what only `--full` trains.
    full = any(item.get_closest_marker("full") for item in request.session.items)
    folder = tmp_path_factory.mktemp("eight_devices")
    subprocess.run(
        [sys.executable, "-m", eight_devices.__name__, str(folder), *["full"] * full],
        cwd=TESTS,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8", "XLA_FLAGS": QUICK},
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def said(folder):
    return json.loads((folder / "said.json").read_text())


def difference(folder, name, quantity):
    """The largest relative difference from one device over all steps."""
    kind, _ = name.split(", ", 1)
    found, expected = (
        np.load(folder / f"{each}.npz")[quantity] for each in (name, f"{kind}, one device")
    )
    assert found.shape[1] == STEPS
    assert np.isfinite(found).all()
    return np.max(np.abs(found / expected[: len(found)] - 1))


def exchanged(said, name):
    """Along which axes of the mesh devices exchange what, by kind."""
    shape = dict(zip(AXES, SHAPES[name.split(", ")[1]], strict=True))
    found = {}
    for message in cost(parse(said[name]["program"]), 8).messages:
        found.setdefault(message.kind, set()).update(message.axes(shape))
    return found


@pytest.mark.parametrize("quantity", ["loss", "grad_norm"])
@pytest.mark.parametrize(("kind", "mesh"), TRAINED)
def test_losses_are_those_of_one_device(folder, kind, mesh, quantity):
    assert difference(folder, f"{kind}, {mesh}", quantity) < CLOSE


def test_vectorised_trials_are_split_too(folder):
    assert difference(folder, f"transformer, {MIXED}, vectorized", "loss") < CLOSE


def test_gradients_that_are_not_summed_are_noticed(folder):
    """Every device keeps its own examples' gradient, times eight: as large, but not the same."""
    assert difference(folder, "transformer, fsdp 8, unsummed", "loss") > 100 * CLOSE


@pytest.mark.parametrize("quantity", ["loss", "grad_norm"])
def test_losses_in_bfloat16_are_those_of_one_device_but_for_its_rounding(folder, quantity):
    assert CLOSE < difference(folder, "bfloat16, fsdp 8", quantity) < ROUNDED
    # What is wrong is told from rounding all the same.
    assert difference(folder, "transformer, fsdp 8, unsummed", quantity) > 2 * ROUNDED


def test_the_first_loss_in_bfloat16_is_that_of_one_device(folder):
    """An example knows nothing of the others; only gradients are summed over devices.

    Products of other shapes sum in another order, which moves some values by a rounding of
    bfloat16, 2^-8: the mean of 64 tokens then moves by an eighth of it.
    """
    split, alone = (
        np.load(folder / f"bfloat16, {name}.npz")["loss"][:, 0] for name in ("fsdp 8", "one device")
    )
    np.testing.assert_allclose(split, alone, rtol=2.0**-8 / 8)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_of_whole_matrices_are_split_too(folder, optimizer):
    assert difference(folder, f"{optimizer}, {MIXED}", "loss") < CLOSE


def test_trials_exchange_nothing(said):
    assert exchanged(said, "transformer, trial 8") == {}
    for name in (f"transformer, {MIXED}", f"transformer, {MIXED}, vectorized", f"resnet, {MIXED}"):
        found = exchanged(said, name)
        assert set().union(*found.values()) == {"fsdp", "tensor"}


def test_weights_are_gathered_and_their_gradients_scattered(said):
    found = exchanged(said, "transformer, fsdp 8")
    assert found["all-gather"] == found["reduce-scatter"] == {"fsdp"}
    # Beside data alone nothing is gathered.
    assert exchanged(said, "transformer, data 8") == {"all-reduce": {"data"}}


@pytest.mark.parametrize(
    ("mesh", "whole", "part"),
    [
        ("trial 8", [8, 2, 16, 4, 4], [1, 2, 16, 4, 4]),
        ("data 8", [1, 2, 16, 4, 4], [1, 2, 16, 4, 4]),
        ("fsdp 8", [1, 2, 16, 4, 4], [1, 2, 2, 4, 4]),
        ("tensor 4 x data 2", [1, 2, 16, 4, 4], [1, 2, 16, 1, 4]),
        (MIXED, [2, 2, 16, 4, 4], [1, 2, 8, 2, 4]),
    ],
)
def test_a_device_holds_its_part_of_a_weight_and_of_its_moments(said, mesh, whole, part):
    """The kernel of the queries: layers, embed, heads, head dimension."""
    path = "blocks.attention.query.kernel"
    parts = said[f"transformer, {mesh}"]["parts"]
    found = [shapes for name, shapes in parts.items() if name.endswith(path)]
    assert found == [[whole, part]] * 3  # itself and AdamW's two averages; vectors are not made


def test_no_device_holds_more_than_its_share(said):
    """Along `fsdp`, of all that is as large as a matrix."""
    for name in ("transformer, fsdp 8", "resnet, fsdp 8"):
        for path, (whole, part) in said[name]["parts"].items():
            split = math.prod(whole) // math.prod(part)
            # Gains and biases, statistics, and a stem of three channels stay whole.
            assert split == 8 or math.prod(whole) <= 3 * 3 * 3 * 8, path


def largest_gathered(program):
    """Bytes that a device sends of the largest array that is put together of parts."""
    messages = cost(parse(program), 8).messages
    return max(message.sent for message in messages if message.kind != "all-reduce")


def test_measuring_gathers_no_weight(said):
    # Each of eight devices sends seven parts of a matrix of 128 x 128 in float32 to gather it.
    weight = 7 / 8 * 4 * WIDE.width**2
    assert largest_gathered(said["measuring"]) < weight / 2
    assert largest_gathered(said["measuring, gathered"]) >= weight


def test_a_whole_run_measures_what_it_does_on_one_device(folder):
    assert jax.device_count() == 1
    alone, split = whole_run(MeshConfig()), np.load(folder / "whole run.npz")

    assert set(split) == set(alone)
    assert {"loss", "held-out loss", "gain", "spectrum"} <= set(alone)
    for name, values in alone.items():
        # A bound is a residual, small beside the value that it is of.
        tolerance = {"rtol": 1e-3, "atol": 1e-4} if name == "bounds" else {"rtol": 1e-4}
        np.testing.assert_allclose(split[name], values, **tolerance, err_msg=name)
