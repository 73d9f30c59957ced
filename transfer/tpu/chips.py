"""Specifications of TPU chips: one table, with its sources.

[cloud] is Google's page of each chip, docs.cloud.google.com/tpu/docs/{v4, v5e, v5p, v6e, tpu7x}:
peak, memory, its bandwidth, slices. [book] is "How to Scale Your Model" of Google DeepMind,
jax-ml.github.io/scaling-book/tpus, section "TPU specs": the bandwidth of a link, a tenth below what
[cloud] publishes, for that much of it is reached. [libtpu] is what libtpu 0.0.42 answers to a
program that is too large: the memory that one may take. [pallas] is JAX's own table for kernels,
jax/_src/pallas/mosaic/tpu_info.py: the memory on the chip.
"""

import dataclasses
from collections.abc import Mapping

GiB = 2.0**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """One kind of TPU.

    Fields:
      topology: libtpu's name of the kind.
      devices: how many devices JAX sees in a chip. Two cores are one device, a "megacore", where
        the chip has that.
      megacore: whether that has to be asked for.
      peak: bfloat16 FLOP/s of a chip.
      memory: GiB of a chip, as sold.
      usable: GiB of a device that a program may take.
      bandwidth: bytes/s between a chip and its memory.
      on_chip: MiB that a device has on the chip itself: VMEM, and on a v4 its CMEM.
      link: bytes/s of one link between neighboring chips, in one direction.
      between: bytes/s between the two devices of a chip, in one direction; 0 where there is one.
      sides: dimensions of the torus; each chip has a link either way in each.
      slices: the small slices by their sides; of three, larger ones have sides in multiples of 4.
      largest: chips of the largest slice.
    """

    topology: str
    devices: int = 1
    megacore: bool = False
    peak: float
    memory: int
    usable: float
    bandwidth: float
    on_chip: int
    link: float
    between: float = 0.0
    sides: int
    slices: tuple[tuple[int, ...], ...]
    largest: int

    @property
    def cores(self) -> int:
        """How many TensorCores a chip has, by which the types of slices are numbered."""
        return 2 if self.megacore else self.devices

    @property
    def device_peak(self) -> float:
        """bfloat16 FLOP/s of a device."""
        return self.peak / self.devices

    @property
    def device_bandwidth(self) -> float:
        """Bytes/s between a device and its memory."""
        return self.bandwidth / self.devices


_FLAT = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
_CUBES = ((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4))

CHIPS: Mapping[str, Chip] = {
    "v4": Chip(
        topology="v4",
        megacore=True,
        peak=275e12,
        memory=32,
        usable=30.75,
        bandwidth=1.2e12,
        on_chip=160,
        link=4.5e10,
        sides=3,
        slices=_CUBES,
        largest=4096,
    ),
    "v5e": Chip(
        topology="v5e",
        peak=197e12,
        memory=16,
        usable=15.75,
        bandwidth=8.19e11,
        on_chip=128,
        link=4.5e10,
        sides=2,
        slices=_FLAT,
        largest=256,
    ),
    "v5p": Chip(
        topology="v5p",
        megacore=True,
        peak=459e12,
        memory=95,
        usable=95.74,
        bandwidth=2.765e12,
        on_chip=128,
        link=9e10,
        sides=3,
        slices=_CUBES,
        largest=6144,
    ),
    "v6e": Chip(
        topology="v6e",
        peak=918e12,
        memory=32,
        usable=31.25,
        bandwidth=1.638e12,
        on_chip=128,
        link=9e10,
        sides=2,
        slices=_FLAT,
        largest=256,
    ),
    # Two chiplets, each with half the memory and linked six times as fast as chips are [cloud].
    "v7x": Chip(
        topology="tpu7x",
        devices=2,
        peak=2307e12,
        memory=192,
        usable=94.75,
        bandwidth=7.38e12,
        on_chip=64,
        link=9e10,
        between=6 * 9e10,
        sides=3,
        slices=_CUBES,
        largest=9216,
    ),
}
