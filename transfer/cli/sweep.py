"""Trains every trial of the sweep that --config declares and adds it to --run.

Running the same command again does only what is missing. --launcher=ray runs groups, the trials of
one width and recipe, side by side on a cluster, or on one that it starts here.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, launcher, platform
from transfer.cli.config_flag import define_config
from transfer.cli.preflight import load_for


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)
    launcher.define(values)


def run(values: absl_flags.FlagValues) -> int:
    """Run the sweep."""
    platform.prepare()
    launching = launcher.read(values)
    from transfer.cli.console import say, with_progress
    from transfer.sweep import claim, declared_groups, run_groups

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    groups = declared_groups(experiment)
    dataset = load_for(experiment, groups)
    claim(directory, experiment, dataset.fingerprint, "sweep")
    failures = with_progress(
        directory,
        experiment,
        groups,
        lambda progress: (
            run_groups(experiment, directory, dataset, groups, progress)
            if launching is None
            else launching(experiment, directory, dataset.fingerprint, groups, progress)
        ),
    )
    flags.require_success(failures)
    say(
        f"Trials are in {directory}/trials.parquet. Next: transfer report --run={directory}, or "
        f"transfer predict --run={directory} --width=WIDTH."
    )
    return 0
