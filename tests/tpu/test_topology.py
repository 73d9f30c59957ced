import dataclasses
import importlib.util
import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

from transfer.errors import TransferError
from transfer.sharding import MeshConfig, make_mesh
from transfer.tpu import CHIPS, Topology

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="describing a slice needs libtpu"
)


@dataclasses.dataclass(frozen=True)
class Device:
    coords: tuple[int, ...]


def along(*sides):
    """Devices of a slice at the places that are given by a range or a number for each side."""
    grid = np.meshgrid(*(np.atleast_1d(side) for side in (*sides, *(0,) * (3 - len(sides)))))
    return np.array(
        [Device(tuple(map(int, place))) for place in zip(*map(np.ravel, grid), strict=True)]
    )


@pytest.mark.parametrize(
    ("text", "chips", "wraps"),
    [
        ("v4:2x2x1", 4, (False, False, False)),
        ("v5p:2x4x4", 32, (False, False, False)),
        ("v5p:4x4x4", 64, (True, True, True)),
        ("v5p:8x8x12", 768, (True, True, True)),
        ("v7x:4x4x8", 128, (True, True, True)),
        ("v5e:4x8", 32, (False, False)),
        ("v6e:8x16", 128, (False, True)),
        ("v6e:16x16", 256, (True, True)),
    ],
)
def test_slices_and_which_of_their_ends_are_joined(text, chips, wraps):
    topology = Topology.parse(text)
    assert (topology.chips, topology.wraps, str(topology)) == (chips, wraps, text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("v6p:4x4", ("v6p", "v6e")),
        ("v5p", ("v5p", "2x2x1")),
        ("v5p:4x4", ("4x4", "v5p", 4, 6144)),
        ("v5p:0x4x4", ("0x4x4", "v5p")),
        ("v5p:6x4x4", ("6x4x4", "v5p")),
        ("v5p:32x32x32", ("32x32x32", 6144)),
        ("v6e:32x32", ("v6e", "1x1, 2x2, 2x4, 4x4, 4x8, 8x8, 8x16, 16x16")),
        ("v6e:2x2x1", ("2x2x1", "v6e")),
        ("v6e:-2x2", ("-2x2", "v6e")),
    ],
)
def test_what_is_no_slice_is_refused_with_what_would_be(text, names):
    with refused(*names):
        Topology.parse(text)


@given(st.sampled_from(sorted(CHIPS)), st.lists(st.integers(0, 40), max_size=4))
def test_any_text_is_a_slice_with_devices_or_is_refused(kind, sides):
    try:
        topology = Topology.parse(f"{kind}:{'x'.join(map(str, sides))}")
    except TransferError:
        return
    assert len(topology.wraps) == topology.chip.sides == len(sides)
    assert 1 <= topology.chips <= topology.chip.largest


def test_a_group_along_sides_sends_over_all_their_links():
    torus, link = Topology.parse("v5p:4x4x8"), CHIPS["v5p"].link
    assert torus.bandwidth(along(range(4))) == 2 * link
    assert torus.bandwidth(along(range(4), range(4))) == 4 * link
    assert torus.bandwidth(along(range(4), range(4), range(8))) == 6 * link
    # Half of a side is no ring.
    assert torus.bandwidth(along(0, 0, range(4))) == link
    mesh = Topology.parse("v6e:4x4")
    assert mesh.bandwidth(along(range(4), range(4))) == 2 * CHIPS["v6e"].link


def test_the_two_devices_of_a_chip_talk_to_each_other_directly():
    chip = Topology.parse("v7x:4x4x4")
    assert chip.bandwidth(along(0, 0, (0, 0))) == 6 * CHIPS["v7x"].link


@needs_libtpu
def test_two_groups_with_a_device_each_of_every_chip_share_its_links():
    slice, link = Topology.parse("v7x:4x4x4"), CHIPS["v7x"].link
    mesh = make_mesh(
        MeshConfig(trial=2, fsdp=64), trials=2, batch_size=64, devices=slice.devices, memory=1e11
    )
    trials = mesh.devices.reshape(2, 64)
    assert all(len({tuple(each.coords) for each in trial}) == 64 for trial in trials)
    assert [slice.bandwidth(trial) for trial in trials] == [6 * link / 2] * 2
    # The control: one group of both devices of every chip has the links to itself.
    assert slice.bandwidth(mesh.devices) == 6 * link
    # In an all-to-all a chip passes on what both of its devices send, of one group or of two.
    apart, together = 63 / 64 * 2 * link / 2, 127 / 128 * 2 * link / 2
    assert slice.all_to_all_bandwidth(trials[0]) == pytest.approx(apart)
    assert slice.all_to_all_bandwidth(mesh.devices) == pytest.approx(together)


def crossing(length, ring):
    """How often the busiest link of a row passes on a part, in an all-to-all of one part for each.

    Each part goes the shorter way; of two that are as long, half of it goes each.
    """
    right, left = np.zeros(length), np.zeros(length)
    for source, target in itertools.permutations(range(length), 2):
        ahead = (target - source) % length
        share = (target > source) if not ring else (np.sign(length / 2 - ahead) + 1) / 2
        for step in range(ahead if ring else target - source):
            right[(source + step) % length] += share
        for step in range(length - ahead if ring else source - target):
            left[(source - 1 - step) % length] += 1 - share
    return max(right.max(), left.max())


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("v5p:4x4x8", (range(4),)),
        ("v5p:4x4x8", (0, 0, range(8))),
        ("v5p:4x4x8", (0, 0, range(4))),
        ("v6e:2x4", (range(2),)),
        ("v6e:4x8", (0, range(8))),
        ("v6e:16x16", (range(16),)),
    ],
)
def test_an_all_to_all_takes_as_long_as_its_busiest_link(text, group):
    topology, devices = Topology.parse(text), along(*group)
    side = next(place for place, each in enumerate(group) if each)
    ring = topology.wraps[side] and devices.size == topology.sides[side]
    # Each device sends a byte to each other one.
    seconds = crossing(devices.size, ring) / topology.chip.link
    assert (devices.size - 1) / topology.all_to_all_bandwidth(devices) == pytest.approx(seconds)


def test_over_several_sides_an_all_to_all_waits_for_the_longest():
    torus, link = Topology.parse("v5p:4x4x8"), CHIPS["v5p"].link
    assert torus.all_to_all_bandwidth(along(range(4), 0, range(8))) == 31 / 32 * 4 / 8 * 2 * link
    # Where nothing is passed on it is as fast as a ring.
    pair = along(0, 0, range(2))
    assert torus.all_to_all_bandwidth(pair) == torus.bandwidth(pair) == link


@pytest.mark.parametrize("chip", CHIPS.values(), ids=CHIPS)
def test_the_table_is_in_line_with_itself(chip):
    # A program may take what is sold, to within what the runtime keeps and the page rounds.
    assert 0.95 * chip.memory < chip.usable * chip.devices < 1.01 * chip.memory
    # Every chip of the table does between 150 and 600 FLOPs in the time of a byte.
    assert 150 < chip.peak / chip.bandwidth < 600
    assert all(len(sides) == chip.sides for sides in chip.slices)
    assert (chip.between > 0) == (chip.devices > 1)


DESCRIBED = """
from transfer.tpu import Topology
for text in ("v4:4x4x4", "v5e:1x1", "v5p:2x2x4", "v6e:8x16", "v7x:4x4x8"):
    topology = Topology.parse(text)
    sides = tuple(zip(*(device.coords for device in topology.devices)))[: len(topology.sides)]
    assert tuple(max(side) + 1 for side in sides) == topology.sides, text
    print(len(topology.devices))
"""


@needs_libtpu
def test_every_kind_of_slice_can_be_described_and_libtpu_stays_quiet():
    found = subprocess.run(
        [sys.executable, "-c", DESCRIBED], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    # One device a chip, but two where a chip has no megacore.
    assert found.stdout.split() == ["64", "1", "16", "128", "256"]
