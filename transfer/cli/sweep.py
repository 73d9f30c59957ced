"""Trains every trial of the sweep that --config declares and adds it to --run.

Running the same command again does only what is missing. --launcher=ray runs groups, the trials of
one width, side by side on a cluster, or on one that it starts here.
"""

import typing
from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, launcher, platform
from transfer.cli.config_flag import define_config
from transfer.cli.multi_process_cli import multi_process

if typing.TYPE_CHECKING:
    from transfer.sweeps import Launcher


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)
    flags.define_compilation_cache(values)
    launcher.define(values)


def run(values: absl_flags.FlagValues) -> int:
    """Run the sweep."""
    platform.prepare(compilation_cache=values["compilation_cache"].value)
    launching = launcher.read(values)
    if launching is not None:
        # This process is alone, also on a machine of a pod: what works together is elsewhere.
        return _run(values, launching)
    with multi_process() as asked_to_stop:
        from transfer.sweeps import LocalLauncher

        return _run(values, LocalLauncher(asked_to_stop))


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
