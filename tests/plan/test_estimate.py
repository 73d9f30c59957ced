"""The roofline, of numbers that are easy to divide."""

import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from transfer.plan.collectives import Collective
from transfer.plan.cost import Cost
from transfer.plan.estimate import CostEstimate, estimate, exchanges
from transfer.tpu import CHIPS, Topology

from .programs import read

TORUS = Topology.parse("v5p:4x4x4")
V5P = CHIPS["v5p"]
MESH = {"trial": 4, "fsdp": 16}
GIB = 2.0**30


@pytest.fixture
def devices():
    """Trials along x, and each trial's 16 devices over y and z."""
    places = itertools.product(range(4), repeat=3)
    return np.array([SimpleNamespace(coords=place) for place in places]).reshape(4, 16)


def test_a_step_is_limited_by_the_longest_of_products_and_the_least_traffic():
    cost = Cost(flops=0.25 * V5P.peak, bytes=0.75 * V5P.bandwidth)
    made = estimate(cost, 0.5 * V5P.bandwidth, [], TORUS, model_flops=0.2 * V5P.peak)
    assert (made.products, made.traffic, made.exchange, made.moved) == (0.25, 0.5, 0, 0.75)
    # What the program moves is no bound, but what it takes where nothing overlaps.
    assert (made.step, made.apart, made.bound) == (0.5, 1.0, "traffic")
    assert made.utilisation == pytest.approx(0.4)
    less = estimate(cost, 0.2 * V5P.bandwidth, [], TORUS, model_flops=0.2 * V5P.peak)
    assert (less.step, less.bound) == (0.25, "products")


def test_a_device_that_is_half_a_chip_has_half_of_its_peak():
    chip = CHIPS["v7x"]
    half = Topology.parse("v7x:4x4x4")
    cost = Cost(flops=chip.peak, bytes=chip.bandwidth)
    made = estimate(cost, chip.bandwidth / 2, [], half, chip.peak)
    assert (made.products, made.traffic, made.moved) == (2.0, 1.0, 2.0)
    assert made.utilisation == 1.0


def test_products_alone_reach_the_peak_at_most():
    made = CostEstimate(products=2.0, traffic=1.0, exchange=0.5, moved=3.0, useful=1.5)
    assert (made.bound, made.utilisation) == ("products", 0.75)


def test_a_permutation_that_moves_a_part_of_the_devices_has_a_time(devices):
    line = "collective-permute(%x), source_target_pairs={{0,0},{1,2},{2,1},{3,3}}"
    program = f"""ENTRY %main (x: f32[256]) -> f32[256] {{
  %x = f32[256]{{0}} parameter(0)
  ROOT %y = f32[256]{{0}} {line}
}}
"""
    (moved,) = exchanges(read(program, 64), TORUS, MESH, devices)
    assert (moved.axes, moved.seconds) == (("fsdp",), pytest.approx(1024 / V5P.link))


def test_messages_are_grouped_by_kind_and_axes_and_timed_by_their_links(devices):
    rows = tuple(tuple(range(16 * trial, 16 * trial + 16)) for trial in range(4))
    columns = tuple(tuple(range(each, 64, 16)) for each in range(16))
    messages = Counter(
        {
            Collective("all-gather", rows, 2 * GIB): 3,
            Collective("all-gather", rows, GIB): 1,
            Collective("all-reduce", columns, GIB): 2,
        }
    )
    gathered, reduced = exchanges(Cost(messages=messages), TORUS, MESH, devices)
    assert (gathered.kind, gathered.axes, gathered.times) == ("all-gather", ("fsdp",), 4)
    # Over two whole sides, each way; the reduction over one.
    assert gathered.sent == 7 * GIB
    assert gathered.seconds == pytest.approx(7 * GIB / (4 * V5P.link))
    assert (reduced.axes, reduced.seconds) == (("trial",), pytest.approx(2 * GIB / (2 * V5P.link)))


def test_what_an_all_to_all_passes_on_takes_time(devices):
    columns = tuple(tuple(range(each, 64, 16)) for each in range(16))
    messages = Counter({Collective("all-to-all", columns, GIB): 1})
    (found,) = exchanges(Cost(messages=messages), TORUS, MESH, devices)
    # Of 4/3 GiB that each has 3/4 are sent, and 4/4 times what it has goes over its two links.
    assert (found.sent, found.seconds) == (GIB, pytest.approx(4 / 3 * GIB / (2 * V5P.link)))
