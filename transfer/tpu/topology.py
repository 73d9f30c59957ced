"""TPU slices described as the real ones are wired; no TPU needs to be attached."""

import dataclasses
import importlib.util
import math
import os
import re
from functools import cached_property
from typing import Any

import numpy as np

from transfer.errors import TransferError, nearest
from transfer.tpu.chips import CHIPS, Chip

# A side of a cube, from which slices of more than one host are put together by optical switches.
_CUBE = 4
# A side of 16 is a whole pod of v5e or v6e, whose ends are joined.
_POD_SIDE = 16
# libtpu looks for TPU hardware and complains if there is none, unless these settings are given.
_QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5p-8",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice: its kind of chip and its sides, counted in chips.

    Example:
      >>> topology = Topology.parse("v5p:4x4x8")
      >>> topology.chips, topology.wraps
      (128, (True, True, True))
      >>> Topology.parse("v6e:8x16").wraps
      (False, True)
    """

    kind: str
    sides: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> "Topology":
        """Read KIND:AxB or KIND:AxBxC; raises `TransferError` for what is no slice."""
        kind, _, sides = text.partition(":")
        if kind not in CHIPS:
            raise TransferError(
                f'The topology "{text}" is of no known kind{nearest(kind, CHIPS)}; expected one of '
                f"{', '.join(CHIPS)} and its sides, such as v5p:4x4x4 or v6e:16x16."
            )
        chip = CHIPS[kind]
        found = tuple(map(int, sides.split("x"))) if re.fullmatch(r"\d+(x\d+)*", sides) else ()
        if not _is_slice(chip, found):
            raise TransferError(f'The topology "{text}" is no slice of {kind}; {_expected(chip)}.')
        return cls(kind, found)

    def __str__(self) -> str:
        return f"{self.kind}:{'x'.join(map(str, self.sides))}"

    @property
    def chip(self) -> Chip:
        """What each of its chips can do."""
        return CHIPS[self.kind]

    @property
    def chips(self) -> int:
        """How many chips it has."""
        return math.prod(self.sides)

    @property
    def usable(self) -> float:
        """GiB that programs may take on all of its chips."""
        return self.chips * self.chip.devices * self.chip.usable

    @property
    def wraps(self) -> tuple[bool, ...]:
        """Whether the ends of each side are joined.

        Slices of whole cubes of 4 x 4 x 4 are tori. Those of v5e and v6e are cut out of a pod of
        16 x 16, whose own ends alone are joined.
        """
        if self.chip.sides == 3:
            return (all(side % _CUBE == 0 for side in self.sides),) * 3
        return tuple(side == _POD_SIDE for side in self.sides)

    @cached_property
    def devices(self) -> list[Any]:
        """Its devices, which compile but hold nothing and run nothing.

        Raises `TransferError` when libtpu, which knows the chips, is not installed.
        """
        if importlib.util.find_spec("libtpu") is None:
            raise TransferError(
                "Compiling for a TPU needs libtpu, which is not installed; expected pip "
                'install "width-transfer[tpu]" or pip install libtpu, which need no TPU but Linux '
                "on x86-64."
            )
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        # Imported here, so that the names of slices are known without JAX.
        from jax.experimental import topologies

        described = topologies.get_topology_desc(
            f"{self.chip.topology}:{'x'.join(map(str, self.sides))}",
            platform="tpu",
            # Left out, the slice would be a mesh without its wraparound links, for which XLA gives
            # up all-gathers for all-reduces.
            wrap=(*self.wraps, False)[:3],
            chips_per_host_bounds=(*(min(2, side) for side in self.sides[:2]), 1),
            **({"chip_config_name": "megacore"} if self.chip.megacore else {}),
        )
        return list(described.devices)

    def bandwidth(self, devices: np.ndarray) -> float:
        """Bytes/s that each of a group of devices can send in a collective by rings over them.

        A ring uses both directions of every side that the group lies along, where the group takes
        the whole side and its ends are joined; else one. The links are the chip's: where not all of
        its devices are in the group, the others send at the same time, in groups of their own.
        Source: the scaling book, "Sharded matrices", whose all-gather over several sides takes them
        all at once.
        """
        sides = self._along(devices)
        if not sides:
            return self.chip.between
        return sum(links for _, links in sides) * _each_chip(devices) / self.chip.devices

    def all_to_all_bandwidth(self, devices: np.ndarray) -> float:
        """Bytes/s that each of a group of devices can send in an all-to-all over them.

        What goes far is passed on by all in between. Half of what the chips on one side of a middle
        have is for those on the other, so that of n chips along a side the links across the middle,
        in one direction of a line and in two of a ring, carry n / 4 times what a chip has. Source:
        the scaling book, "Sharded matrices": a quarter of an all-gather's time on a ring.
        """
        sides = self._along(devices)
        if not sides:
            return self.chip.between
        # All but its own part of what a device has is sent.
        sent = (devices.size - 1) / devices.size
        return sent * min(4 * links / length for length, links in sides) / self.chip.devices

    def _along(self, devices: np.ndarray) -> list[tuple[int, float]]:
        """The sides that a group lies along: how many chips, and bytes/s of a chip's links."""
        places = np.array([device.coords for device in devices.flat])
        lengths = [len(np.unique(places[:, side])) for side in range(len(self.sides))]
        return [
            (length, self.chip.link * (2 if wraps and length == side else 1))
            for length, side, wraps in zip(lengths, self.sides, self.wraps, strict=True)
            if length > 1
        ]


def _each_chip(devices: np.ndarray) -> float:
    """How many devices of a group lie on each of its chips."""
    return devices.size / len({tuple(device.coords) for device in devices.flat})


def _is_slice(chip: Chip, sides: tuple[int, ...]) -> bool:
    if sides in chip.slices:
        return True
    return (
        chip.sides == 3 == len(sides)
        and all(side and side % _CUBE == 0 for side in sides)
        and math.prod(sides) <= chip.largest
    )


def _expected(chip: Chip) -> str:
    known = ", ".join("x".join(map(str, sides)) for sides in chip.slices)
    if chip.sides == 2:
        return f"expected one of {known}"
    return f"expected one of {known}, or sides in multiples of 4 up to {chip.largest} chips"
