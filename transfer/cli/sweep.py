"""Trains every trial of the sweep that --config declares and adds it to --run.

Running the same command again does only what is missing.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.cli.config_flag import define_config


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)


def run(values: absl_flags.FlagValues) -> int:
    """Run the sweep."""
    platform.prepare()
    from transfer.cli.console import say, with_progress
    from transfer.sweep import claim, declared_groups, load_for, run_groups

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    groups = declared_groups(experiment)
    dataset = load_for(experiment, groups)
    claim(directory, experiment, dataset.fingerprint, "sweep")
    failures = with_progress(
        directory,
        experiment,
        groups,
        lambda progress: run_groups(experiment, directory, dataset, groups, progress),
    )
    flags.require_success(failures)
    say(
        f"Trials are in {directory}/trials.parquet. Next: transfer report --run={directory}, or "
        f"transfer predict --run={directory} --width=WIDTH."
    )
    return 0
