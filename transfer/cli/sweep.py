"""Trains every trial of the sweep that --config declares and adds it to --run.

Running the same command again does only what is missing. --launcher=ray runs groups, the trials of
one width, side by side on a cluster, or on one that it starts here.

--dry_run trains nothing and says what the sweep takes on this machine, in FLOPs, time and memory by
width, what of it is in --run already, and what tuning at model.width would take instead. With
--budget, in FLOPs or in time here, it proposes widths, steps, seeds and learning rates of a sweep
for that target, with the regret that it expects.
"""

import typing
from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, launcher, platform
from transfer.cli.config_flag import define_config
from transfer.cli.multi_process_cli import multi_process
from transfer.errors import TransferError

if typing.TYPE_CHECKING:
    from transfer.run_directory import RunDirectory
    from transfer.sweeps import Launcher


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)
    flags.define_compilation_cache(values)
    launcher.define(values)
    absl_flags.DEFINE_bool("dry_run", False, "say what the sweep takes, and train nothing", values)
    absl_flags.DEFINE_string(
        "budget", None, "with --dry_run: propose a sweep for 1e15 (FLOPs) or 30m (time)", values
    )


def run(values: absl_flags.FlagValues) -> int:
    """Run the sweep."""
    platform.prepare(compilation_cache=values["compilation_cache"].value)
    if values["budget"].value and not values["dry_run"].value:
        raise TransferError("--budget proposes a sweep and trains none; expected --dry_run too.")
    if values["dry_run"].value:
        return _dry_run(values)
    launching = launcher.read(values)
    if launching is not None:
        # This process is alone, also on a machine of a pod: what works together is elsewhere.
        return _run(values, launching)
    with multi_process() as asked_to_stop:
        from transfer.sweeps import LocalLauncher

        return _run(values, LocalLauncher(asked_to_stop))


def _dry_run(values: absl_flags.FlagValues) -> int:
    from transfer.cli.dry_run import show

    experiment = flags.experiment(values)
    show(experiment, _recorded(values), values["budget"].value)
    return 0


def _recorded(values: absl_flags.FlagValues) -> "RunDirectory | None":
    """Return the run directory if one was given, which need not be there yet."""
    return flags.run_directory(values) if values["run"].value else None


def _run(values: absl_flags.FlagValues, launching: "Launcher") -> int:
    from transfer.cli.console import SweepProgress, say
    from transfer.sweeps import run_sweep

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    with SweepProgress() as progress:
        run_sweep(experiment, directory.path, progress, launcher=launching)
    run = flags.shown("run", directory)
    say(
        f"Trials are in {directory}/trials.parquet. Next: transfer report {run}, or "
        f"transfer predict {run} --width=WIDTH."
    )
    return 0
