"""Trains every trial of the sweep that --config declares and adds it to --run.

Running the same command again does only what is missing.
"""

from absl import flags as absl_flags

from transfer.cli import flags, platform


def define(values: absl_flags.FlagValues) -> None:
    """Define the verb's flags."""
    flags.define_config(values)
    flags.define_run(values)


def run(values: absl_flags.FlagValues) -> int:
    """Run the sweep."""
    platform.prepare()
    from transfer.cli.console import console, with_progress
    from transfer.data import load_dataset
    from transfer.sweep import claim, declared_groups, run_groups

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    groups = declared_groups(experiment)
    dataset = load_dataset(experiment.data)
    claim(directory, experiment, dataset.fingerprint, "sweep")
    failures = with_progress(
        directory,
        experiment,
        groups,
        lambda progress: run_groups(experiment, directory, dataset, groups, progress),
    )
    flags.require_success(failures)
    console.print(
        f"Trials are in {directory}/trials.parquet. Next: transfer report --run={directory}, or "
        f"transfer predict --run={directory} --width=WIDTH."
    )
    return 0
