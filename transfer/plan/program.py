"""The program that trains a group of trials, compiled for a slice of TPUs."""

import dataclasses
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import jax
from jax.sharding import Mesh

from transfer.errors import TransferError
from transfer.sharding import TRIAL
from transfer.tpu.topology import Topology
from transfer.training import Population, TrialGroup, build_population, group_mesh


class TooLargeError(Exception):
    """A program needs more bytes of a device than there are, on a mesh of these sizes."""

    def __init__(self, needed: float, mesh: Mapping[str, int]):
        super().__init__(f"{needed:.0f} bytes are needed")
        self.needed = needed
        self.mesh = mesh


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program, what it was given, and how long compiling took.

    `seconds` counts from the traced program, `traced` is what tracing took before.
    """

    population: Population
    trials: int
    batch_size: int
    compiled: jax.stages.Compiled
    arguments: Any
    traced: float
    seconds: float

    @property
    def slots_on_device(self) -> int:
        """How many trials a device has room for."""
        return self.arguments[0].step.shape[0] // self.population.mesh.shape[TRIAL]

    @property
    def trials_on_device(self) -> int:
        """How many trials a device trains."""
        return math.ceil(self.trials / self.population.mesh.shape[TRIAL])

    @property
    def trials_at_once(self) -> int:
        """How many of them it trains at a time: all that are vectorized, else one."""
        return self.trials_on_device if self.population.execution == "vectorized" else 1

    @property
    def text(self) -> str:
        """The scheduled program, as the compiler prints it."""
        return self.compiled.as_text() or ""


def slice_mesh(group: TrialGroup, topology: Topology) -> Mesh:
    """Lay a group out on a slice as `train` would lay it out there."""
    memory = topology.chip.usable * 2**30
    return group_mesh(group, devices=topology.devices, memory=memory)


def compile_group(group: TrialGroup, topology: Topology, mesh: Mesh | None = None) -> Program:
    """Compile the program `run` of a group's population, as `train` would on this slice.

    It lies on the group's own mesh, or on another of the slice if one is given. It takes any number
    of steps up to `training.log_every`, which is an argument, so that what it costs is the cost of
    one step times that. Raises `TooLargeError` when it does not fit.
    """
    built = build_population(group, mesh or slice_mesh(group, topology))
    started = time.perf_counter()
    lowered = built.population.lower_run(built.trials, built.batches)
    traced = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        raise TooLargeError(_needed(str(error)), dict(built.population.mesh.shape)) from None
    return Program(
        population=built.population,
        trials=len(group.trials),
        batch_size=group.shape.batch_size,
        compiled=compiled,
        arguments=lowered.args_info[0],
        traced=traced - started,
        seconds=time.perf_counter() - traced,
    )


_UNITS: Mapping[str, int] = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _needed(message: str) -> float:
    """Bytes that a refused program needs, from what the compiler says.

    Raises `TransferError` with what it says about anything else.
    """
    found = re.search(r"Used ([\d.]+)([KMGT]) of|\(([\d.]+)([KMGT])\) exceeds", message)
    if "RESOURCE_EXHAUSTED" not in message or not found:
        raise TransferError(
            f"The program does not compile: {message.partition(chr(10))[0]}"
        ) from None
    number, unit = [part for part in found.groups() if part]
    return math.ceil(float(number) * _UNITS[unit])
