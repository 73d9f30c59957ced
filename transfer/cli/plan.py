"""Compiles the training program of --config for a slice of TPUs that need not be there.

It says what the program takes of every chip's memory, what it computes, moves and sends, how fast a
step is at best, and where it does not fit, what would. With --sweep it plans the whole sweep that
the configuration declares. Needs libtpu (pip install "width-transfer[tpu]"), but neither a TPU nor
data.

--topology is a kind of chip and the sides of a slice: v4, v5p or v7x as in v5p:4x4x4, v5e or v6e as
in v6e:16x16. --mesh.fsdp=64 is short for --config.mesh.fsdp=64. With --run, the same goes to
plan.json there. The exit status is 0 only if it fits.
"""

import dataclasses
import typing
from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config
from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    from transfer.config import Experiment
    from transfer.tpu import Topology

_AXES = ("trial", "data", "fsdp", "tensor")


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)
    absl_flags.DEFINE_string(
        "topology", None, "the slice, such as v5p:4x4x4 or v6e:16x16", flag_values=values
    )
    absl_flags.DEFINE_bool(
        "sweep", False, "plan the sweep rather than a single run", flag_values=values
    )
    for axis in _AXES:
        absl_flags.DEFINE_integer(
            f"mesh.{axis}", None, f"short for --config.mesh.{axis}", flag_values=values
        )


def run(values: absl_flags.FlagValues) -> int:
    """Plan and print; the exit status tells whether it fits."""
    # Nothing runs, so that a TPU that is there is left to others.
    platform.prepare("cpu")
    from transfer.cli.console import say
    from transfer.run_directory import PLAN
    from transfer.tpu import Topology

    experiment = _experiment(values)
    if not values["topology"].value:
        raise TransferError("No slice was given; expected --topology, such as v5p:4x4x4.")
    topology = Topology.parse(values["topology"].value)
    _ = topology.devices  # says at once that libtpu is missing
    directory = flags.run_directory(values) if values["run"].value else None
    plan = _plan_sweep if values["sweep"].value else _plan_run
    fits, content = plan(experiment, topology)
    if directory is not None:
        say(f"Plan: {directory.write_json(PLAN, content)}.")
    return 0 if fits else 1


def _experiment(values: absl_flags.FlagValues) -> "Experiment":
    experiment = flags.experiment(values)
    given = {axis: values[f"mesh.{axis}"].value for axis in _AXES}
    sizes = {axis: size for axis, size in given.items() if size is not None}
    return dataclasses.replace(experiment, mesh=dataclasses.replace(experiment.mesh, **sizes))


def _plan_run(experiment: "Experiment", topology: "Topology") -> tuple[bool, dict[str, typing.Any]]:
    from transfer.cli.console import console, say
    from transfer.plan import fit, plan_table, too_large

    with console.status("compiling"):
        found = fit(experiment.single_run(), topology)
    if not found.fits:
        say(too_large(found, f"The run of {experiment.name}", topology))
    if found.plan is not None:
        console.print(plan_table(found.plan))
    return found.fits, found.to_json()


def _plan_sweep(
    experiment: "Experiment", topology: "Topology"
) -> tuple[bool, dict[str, typing.Any]]:
    from transfer.cli.console import console, measuring, say
    from transfer.plan import plan_sweep, sweep_table, too_large
    from transfer.sweeps import declared_groups, most_rounds

    groups = declared_groups(experiment)
    with measuring("compiling") as progress:
        sweep = plan_sweep(groups, topology, progress, most_rounds(experiment.sweep))
    for group, found in zip(groups, sweep.groups, strict=True):
        if not found.fits:
            say(too_large(found, str(group), topology))
    console.print(sweep_table(sweep))
    return all(found.fits for found in sweep.groups), sweep.to_json()
