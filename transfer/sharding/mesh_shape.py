"""How many devices lie along each axis of a mesh, where a configuration leaves it open."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from transfer.errors import TransferError

TRIAL, DATA, FSDP, TENSOR = AXES = ("trial", "data", "fsdp", "tensor")
# How many lie along each of them.
Shape = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How many devices lie along each axis of the mesh; 0 leaves it to `make_mesh`.

    `memory` is what training may take of each device, in GiB; 0 leaves it to the device, and on
    CPUs to the machine (`sharding.free_memory`). Trials that take more are trained in parts.
    """

    trial: int = 0
    data: int = 0
    fsdp: int = 0
    tensor: int = 0
    memory: float = 0.0

    def __post_init__(self) -> None:
        for name in AXES:
            if getattr(self, name) < 0:
                raise TransferError(
                    f"mesh.{name} is {getattr(self, name)}; expected a number of devices of at "
                    "least 1, or 0 for one that is chosen."
                )
        if not 0 <= self.memory < math.inf:
            raise TransferError(
                f"mesh.memory is {self.memory}; expected the GiB that training may take of a "
                "device, or 0 for what the device says."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a mesh has to hold, from which the sizes that are not given follow.

    Fields:
      left: devices that each choice of the given sizes leaves.
      examples: of a batch, on each of the devices that are given along it.
      splittable: what divides every axis that `fsdp` splits; 0 where there is none.
      state: bytes of a trial.
      room: bytes that a device has for states.
    """

    given: Mapping[str, int]
    left: int
    trials: int
    examples: int
    splittable: int
    state: float
    room: float

    def chosen(self, serves_all: Callable[[Shape], bool]) -> Shape:
        """The first of all shapes, most trials first, that no other one is twice as fast as."""
        shapes = [self._with(trial) for trial in self._trials()]
        shapes = [shape for shape in shapes if serves_all(shape)] or shapes
        fitting = [shape for shape in shapes if self._held(shape) <= self.room]
        shapes = fitting or [min(shapes, key=self._held)]
        fastest = min(map(self._rounds, shapes))
        return next(shape for shape in shapes if self._rounds(shape) < 2 * fastest)

    def _trials(self) -> Sequence[int]:
        if TRIAL in self.given:
            return [self.given[TRIAL]]
        return range(min(self.trials, self.left), 0, -1)

    def _with(self, trial: int) -> Shape:
        data, fsdp = self.given.get(DATA), self.given.get(FSDP)
        ways = math.gcd(self.left if TRIAL in self.given else self.left // trial, self.examples)
        if fsdp is None:
            most = math.gcd(ways, self.splittable)
            fsdp = most
            if data is None:
                sizes = (size for size in range(1, most) if most % size == 0)
                held = self._held((trial, 1, 1, 1))
                fsdp = next((size for size in sizes if held / size <= self.room), most)
            ways //= fsdp
        return trial, ways if data is None else data, fsdp, self.given.get(TENSOR, 1)

    def _held(self, shape: Shape) -> float:
        """Bytes of a device."""
        trial, _, fsdp, _ = shape
        return self.state * math.ceil(self.trials / trial) / fsdp

    def _rounds(self, shape: Shape) -> float:
        """How long a step of all trials takes, in steps of one trial on one device."""
        trial, data, fsdp, _ = shape
        return math.ceil(self.trials / trial) / (data * fsdp)


def left(given: Mapping[str, int], devices: int) -> int:
    """How many devices each choice of the given sizes leaves to be laid out."""
    taken = math.prod(given.values())
    said = " x ".join(f"mesh.{name} {size}" for name, size in given.items())
    if devices % taken:
        raise TransferError(
            f"{said} takes {taken} devices, but there are {devices}; expected a product that "
            f"divides {devices}."
        )
    if {TRIAL, DATA, FSDP} <= given.keys() and taken < devices:  # along tensor, 1 is chosen
        raise TransferError(
            f"{said} takes {taken} devices and leaves {devices - taken} idle; expected a product "
            f"of {devices}, or 0 for an axis whose size is to be chosen."
        )
    return devices // taken
