"""How long a step takes here: measured on a few steps, or recorded by trials on such devices."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from transfer import sharding
from transfer.run_directory import TrialResult
from transfer.training import TrialGroup, build_population, group_mesh, run_size
from transfer.training.memory import program_bytes

# For how long steps are timed.
_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Timed:
    """What some trials of one width took: seconds of one step of one trial, and its FLOPs.

    `bytes` of a device is None where it was not measured.
    """

    width: int
    seconds: float
    flops: float
    bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds of a step of one trial, as a straight line over its FLOPs.

    Fields:
      timed: what it is known from, by width.
      source: where from, in words.
    """

    timed: tuple[Timed, ...]
    source: str

    def seconds(self, width: int, flops: float) -> float:
        """Of a step of one trial, given its FLOPs: that of its own size where it is known.

        Example:
          >>> pace = Pace((Timed(16, 0.003, 1e6), Timed(64, 0.005, 3e6)), "measured")
          >>> round(pace.seconds(32, 2e6), 6), pace.seconds(64, 3e6)
          (0.004, 0.005)
        """
        known = {(each.width, each.flops): each.seconds for each in self.timed}
        own = [
            known[it] for it in known if it[0] == width and math.isclose(it[1], flops, rel_tol=1e-6)
        ]
        if own:
            return own[0]
        costs = np.array([each.flops for each in self.timed])
        seconds = np.array([each.seconds for each in self.timed])
        if len(costs) == 1:
            return float(seconds[0] * flops / costs[0])
        slope, start = np.polyfit(costs, seconds, 1, w=1 / seconds)
        # A line through noise may fall: nothing that takes more is faster than what was seen.
        least = seconds.min() * min(1.0, flops / costs.min())
        return float(max(start + slope * flops, least))


def recorded_pace(trials: Sequence[TrialResult], devices: Sequence[str] | None) -> Pace | None:
    """Return the pace of a run's trials, or None unless they ran on devices like those here.

    Arguments:
      trials: those without a recorded time do not count.
      devices: on which the run was registered, as `provenance` describes them.
    """
    if devices != described_devices():
        return None
    timed = []
    sizes = {trial: (trial.width, float(f"{trial.flops / trial.steps:.9g}")) for trial in trials}
    for width, flops in sorted(set(sizes.values())):
        mine = [trial for trial, size in sizes.items() if size == (width, flops)]
        seconds = np.array([trial.wall_seconds - trial.compile_seconds for trial in mine])
        known = np.isfinite(seconds) & (seconds > 0)
        if known.any():
            steps = np.array([trial.steps for trial in mine])
            per_step = float(seconds[known].sum() / steps[known].sum())
            timed.append(Timed(width, per_step, flops))
    source = f"recorded by {len(trials)} trials on these devices"
    return Pace(tuple(timed), source) if timed else None


def measured_pace(groups: Sequence[TrialGroup]) -> Pace:
    """Time a few steps of the smallest and of the largest group.

    Nothing is read or learned: weights and batches are zeros, which take as long as others do.

    Raises:
      TransferError: a group does not fit its devices or recipe.
    """
    # All rungs of a width may be of one shape, and are then timed once.
    by_size = {_size(group): group for group in groups}
    chosen = sorted({min(by_size), max(by_size)})
    timed = tuple(_timed(by_size[size]) for size in chosen)
    names = " and ".join(dict.fromkeys(str(by_size[size].shape.width) for size in chosen))
    return Pace(timed, f"measured on a few steps at width {names}")


def described_devices() -> list[str]:
    """Platform and kind of every device of this job, as a run's provenance has them."""
    return [f"{device.platform}: {device.device_kind}" for device in jax.devices()]


def _timed(group: TrialGroup) -> Timed:
    mesh = group_mesh(group)
    built = build_population(group, mesh)
    if built.population.execution == "in_turn":
        # Trials that run one after another take as long each, so a round of them will do.
        group = dataclasses.replace(group, trials=group.trials[: mesh.shape[sharding.TRIAL]])
        mesh = group_mesh(group)
        built = build_population(group, mesh)
    programs = built.population.compile(built.trials, built.batches, built.eval_batches(1))
    trials = jax.device_put(built.inputs, sharding.per_trial(mesh))
    state, batches = (jax.tree.map(_zeros, shapes) for shapes in (programs.state, built.batches))

    def take(state: Any, steps: int) -> tuple[Any, float]:
        began = time.perf_counter()
        state, _ = programs.run(state, trials, batches, np.int32(steps))
        jax.block_until_ready(state)
        return state, time.perf_counter() - began

    state, _ = take(state, 1)  # which compiles
    state, seconds = take(state, 1)
    steps = int(np.clip(_SECONDS / seconds, 1, built.chunk))
    _, seconds = take(state, steps)
    _, flops = run_size(group)
    platform = mesh.devices.flat[0].platform
    return Timed(
        width=group.shape.width,
        seconds=seconds / steps / len(group.trials),
        flops=flops / group.shape.steps,
        bytes=program_bytes(programs.run.wait(), platform),
    )


def _zeros(shape: jax.ShapeDtypeStruct) -> jax.Array:
    return jax.device_put(np.zeros(shape.shape, shape.dtype), shape.sharding)


def _size(group: TrialGroup) -> tuple[int, int]:
    """What the cost of a step grows with, about, and then the width."""
    shape = group.shape
    return shape.width**2 * shape.layers * shape.batch_size, shape.width
