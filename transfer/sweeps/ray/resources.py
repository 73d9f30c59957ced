"""What a group is given of a cluster."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.errors import TransferError
from transfer.models import parameter_count
from transfer.tpu import Topology
from transfer.training import TrialGroup

# A trial's parameters, their gradients and two moments in float32, and as much again for what a
# step computes from them. Activations are on top; `transfer plan` compiles and counts them.
_BYTES_PER_PARAMETER = 2 * 4 * 4
# The label by which a machine of a TPU slice says what the slice is.
POD_TYPE = "ray.io/tpu-pod-type"
# What Ray calls a kind of chip, where that is not its name here.
_NAMES = {"v5e": "v5litepod"}


@dataclasses.dataclass(frozen=True)
class Resources:
    """How many processes train a group, and what each of them is given.

    A process of a TPU slice has all chips of one of its machines.
    """

    processes: int
    cpus: int
    gpus: int = 0
    slice: str = ""

    @property
    def description(self) -> str:
        """What is asked for, in words."""
        if self.slice:
            return f"a TPU slice {self.slice}"
        each = f"{self.cpus} CPU cores" + (f" and {self.gpus} GPUs" if self.gpus else "")
        return each if self.processes == 1 else f"{self.processes} times {each}"

    @property
    def generation(self) -> str:
        """What Ray calls the chips of its slice."""
        kind = Topology.parse(self.slice).kind
        return _NAMES.get(kind, kind)

    @property
    def pod_type(self) -> str:
        """What Ray calls its slice: the chips and how many cores they have."""
        topology = Topology.parse(self.slice)
        return f"{self.generation}-{topology.chips * topology.chip.cores}"

    def fits(self, nodes: Sequence[Mapping[str, Any]]) -> bool:
        """Whether machines with these labels and resources have room for it when idle."""
        if self.slice:
            return any(
                node.get(POD_TYPE) == self.pod_type and node.get("CPU", 0) >= self.cpus
                for node in nodes
            )
        places = (
            min(
                node.get("CPU", 0) // self.cpus,
                node.get("GPU", 0) // self.gpus if self.gpus else math.inf,
            )
            for node in nodes
        )
        return sum(places) >= self.processes


@dataclasses.dataclass(frozen=True)
class ResourceRequest:
    """What was asked for; 0 and empty leave it to what a group needs.

    `slices` are TPU slices such as `v6e:4x4`, of which a group gets the smallest that holds it.
    """

    processes: int = 0
    cpus: int = 0
    gpus: int = 0
    slices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("processes", "cpus", "gpus"):
            if getattr(self, name) < 0:
                raise TransferError(
                    f"--{name} is {getattr(self, name)}; expected a whole number above 0, or none "
                    "for what a group needs."
                )
        if self.slices and (self.gpus or self.processes):
            raise TransferError(
                "--slices names TPU slices, which have as many processes as machines and no GPUs; "
                "expected no --processes and no --gpus beside it."
            )


def resources_for(
    group: TrialGroup,
    request: ResourceRequest,
    nodes: Sequence[Mapping[str, Any]],
) -> Resources:
    """Return what a group is given on machines with these labels and resources, as Ray names them.

    Trials share nothing, so on CPUs a group is given a core for each of its trials, as far as one
    machine has them; where there are GPUs, one GPU.

    Raises `TransferError` when no slice holds the group, and when there are TPUs but neither slices
    nor cores were asked for.
    """
    trials = len(group.trials)
    cores = max((int(node.get("CPU", 0)) for node in nodes), default=1) or 1
    processes = request.processes or 1
    if request.slices:
        return Resources(1, request.cpus or 1, slice=_smallest(group, request.slices))
    if request.gpus or any(node.get("GPU", 0) for node in nodes):
        return Resources(processes, request.cpus or 1, gpus=request.gpus or 1)
    if not request.cpus and any(node.get("TPU", 0) for node in nodes):
        raise TransferError(
            "The cluster has TPUs, but it was not said which slices they are; expected --slices "
            "such as v6e:4x4, or --cpus to train on its CPU cores."
        )
    return Resources(processes, request.cpus or min(-(-trials // processes), cores))


def memory(group: TrialGroup) -> int:
    """Return the bytes of a group's parameters, gradients, moments and steps."""
    parameters = parameter_count(group.layout.parameters)
    return _BYTES_PER_PARAMETER * parameters * len(group.trials)


def _smallest(group: TrialGroup, slices: Sequence[str]) -> str:
    """Return the slice with the least memory that holds a group."""
    needed = memory(group)
    known = sorted(map(Topology.parse, slices), key=lambda topology: topology.usable)
    for topology in known:
        if topology.usable * 2**30 >= needed:
            return str(topology)
    raise TransferError(
        f"{group} needs {needed / 2**30:.0f} GiB and the largest of "
        f"--slices, {known[-1]}, has {known[-1].usable:.0f}; expected a larger one, or fewer "
        "trials in a group."
    )
