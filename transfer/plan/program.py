"""The program that trains a group of trials, compiled for a slice of TPUs."""

import dataclasses
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from transfer import sharding
from transfer.config import Experiment
from transfer.data import ImageConfig
from transfer.data.images.shape import image_shape
from transfer.errors import TransferError
from transfer.sweeps import TrialGroup
from transfer.tpu.topology import Topology
from transfer.training import Population, TrialInputs
from transfer.training.task import task_of


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
    def text(self) -> str:
        """The scheduled program, as the compiler prints it."""
        return self.compiled.as_text() or ""


def group_mesh(experiment: Experiment, group: TrialGroup, topology: Topology) -> Mesh:
    """How a group lies on a slice, as `train` would lay it out there."""
    return sharding.make_mesh(
        experiment.mesh,
        trials=len(group.trials),
        batch_size=experiment.training.at_once(experiment.data.batch_size),
        parameters=experiment.layout(group.width).parameters,
        devices=topology.devices,
        memory=topology.chip.usable * 2**30,
    )


def compile_group(
    experiment: Experiment, group: TrialGroup, topology: Topology, mesh: Mesh | None = None
) -> Program:
    """Compile the program `run` of a group's population, as `train` would on this slice.

    It lies on the group's own mesh, or on another of the slice if one is given. It takes any number
    of steps up to `training.log_every`, which is an argument, so that what it costs is the cost of
    one step times that. Raises `TooLargeError` when it does not fit.
    """
    mesh = mesh or group_mesh(experiment, group, topology)
    population, trials, batches = _population(experiment, group, mesh)
    started = time.perf_counter()
    lowered = population.lower_run(trials, batches)
    traced = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        raise TooLargeError(_needed(str(error)), dict(population.mesh.shape)) from None
    return Program(
        population=population,
        trials=len(group.trials),
        batch_size=experiment.data.batch_size,
        compiled=compiled,
        arguments=lowered.args_info[0],
        traced=traced - started,
        seconds=time.perf_counter() - traced,
    )


def _population(
    experiment: Experiment, group: TrialGroup, mesh: Mesh
) -> tuple[Population, TrialInputs, Any]:
    training, data = experiment.training, experiment.data
    layout = experiment.layout(group.width)
    task, steps = task_of(data), experiment.steps(group.width)
    batch = batch_shapes(experiment)
    inputs, _ = jax.eval_shape(task.split, batch)
    population = Population(
        experiment.at(group.width).on("tpu", inputs),
        layout,
        experiment.recipe.build(group.recipe),
        training,
        steps,
        task,
        mesh,
        training.execution or "vectorized",
        experiment.horizon(group.width, group.recipe),
    )
    settings = [(setting.hyperparameters, setting.seed) for setting in group.trials]
    padding = -len(settings) % mesh.shape[sharding.TRIAL]
    trials, seeds = TrialInputs.of([*settings, *[settings[-1]] * padding])
    leading = (min(training.log_every, steps), len(seeds))
    return (
        population,
        _shapes(trials, (), sharding.per_trial(mesh)),
        _shapes(batch, leading, sharding.batches(mesh)),
    )


def batch_shapes(experiment: Experiment) -> Any:
    """Shapes of one batch, without any data."""
    data = experiment.data
    if isinstance(data, ImageConfig):
        shape = (data.batch_size, *image_shape(data))
        return {
            "image": jax.ShapeDtypeStruct(shape, np.float32),
            "label": jax.ShapeDtypeStruct(shape[:1], np.int32),
        }
    return jax.ShapeDtypeStruct((data.batch_size, data.sequence_length + 1), np.int32)


def _shapes(tree: Any, leading: tuple[int, ...], sharding: Any) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), leaf.dtype, sharding=sharding),
        tree,
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
