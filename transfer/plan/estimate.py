"""How long a step takes at best: a roofline of products, memory and links."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from transfer.plan.collectives import Collective
from transfer.plan.cost import Cost
from transfer.tpu.topology import Topology


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exchange:
    """All messages of one kind along the same axes of the mesh, in one step.

    `sent` is bytes that each device sends, `seconds` how long that takes by the links that lie
    along those axes. Of an all-to-all that includes what is passed on for others; a permutation is
    taken to be one between neighbors.
    """

    kind: str
    axes: tuple[str, ...]
    times: int
    sent: float
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """Seconds of one step of all trials, on each device.

    Fields:
      products: of the compiled products at the peak of the matrix units.
      traffic: of the least bytes to and from memory, at its full bandwidth.
      exchange: of all messages, one after another.
      moved: of the bytes that the compiled program moves, which is no bound: another schedule of
        the same products moves fewer.
      useful: the share of the compiled products' time that the model's own would take, in seconds.
    """

    products: float
    traffic: float
    exchange: float
    moved: float
    useful: float

    @property
    def step(self) -> float:
        """The longest of the first three: a step in which all overlap."""
        return max(self.products, self.traffic, self.exchange)

    @property
    def apart(self) -> float:
        """A step in which the program as compiled overlaps nothing."""
        return self.products + self.moved + self.exchange

    @property
    def bound(self) -> str:
        """What limits a step: the longest of the first three."""
        return max(("products", "traffic", "exchange"), key=lambda name: getattr(self, name))

    @property
    def utilisation(self) -> float:
        """The highest share of peak FLOP/s that the model's own FLOPs reach, known as MFU."""
        return self.useful / self.step if self.step else 0.0


def exchanges(
    cost: Cost, topology: Topology, mesh: Mapping[str, int], devices: np.ndarray
) -> list[Exchange]:
    """Group the messages of a step by kind and axes; `devices` are those of the mesh."""
    grouped: dict[tuple[str, tuple[str, ...]], list[tuple[Collective, int]]] = {}
    for message, times in cost.messages.items():
        key = message.kind, message.axes(mesh)
        grouped.setdefault(key, []).append((message, times))
    flat = devices.reshape(-1)
    found = []
    for (kind, axes), messages in grouped.items():
        seconds = sum(
            message.sent * times / _bandwidth(message, topology, flat)
            for message, times in messages
        )
        found.append(
            Exchange(
                kind=kind,
                axes=axes,
                times=sum(times for _, times in messages),
                sent=sum(message.sent * times for message, times in messages),
                seconds=seconds,
            )
        )
    return sorted(found, key=lambda each: -each.sent)


def _bandwidth(message: Collective, topology: Topology, devices: np.ndarray) -> float:
    """The slowest group's."""
    direct = message.kind in ("all-to-all", "ragged-all-to-all")
    of = topology.all_to_all_bandwidth if direct else topology.bandwidth
    return min(of(devices[list(group)]) for group in message.groups)


def estimate(
    cost: Cost,
    least: float,
    messages: Sequence[Exchange],
    topology: Topology,
    model_flops: float,
) -> CostEstimate:
    """Put the roofline together.

    Arguments:
      least: the bytes that a step moves at least.
      model_flops: a device's share of the model's own. They are among the compiled ones, so that
        the utilisation is at most 1.
    """
    chip = topology.chip
    return CostEstimate(
        products=cost.flops / chip.device_peak,
        traffic=least / chip.device_bandwidth,
        exchange=sum(each.seconds for each in messages),
        moved=cost.bytes / chip.device_bandwidth,
        useful=model_flops / chip.device_peak,
    )
