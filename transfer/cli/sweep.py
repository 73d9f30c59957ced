"""Trains every trial of the sweep that --config declares and adds it to --run.

Running the same command again does only what is missing. --launcher=ray runs groups, the trials of
one width and recipe, side by side on a cluster, or on one that it starts here.
"""

import functools
from collections.abc import Sequence
from typing import Any

from absl import flags as absl_flags

from transfer.cli import flags, launcher, platform
from transfer.cli.config_flag import define_config
from transfer.cli.multi_process_cli import multi_process


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    define_config(values, argv)
    flags.define_run(values)
    launcher.define(values)


def run(values: absl_flags.FlagValues) -> int:
    """Run the sweep."""
    platform.prepare()
    launching = launcher.read(values)
    if launching is not None:
        # Alone, also on a machine of a pod: what works together is elsewhere.
        return _run(values, launching, here=False)
    with multi_process() as asked_to_stop:
        return _run(values, functools.partial(_here, asked_to_stop=asked_to_stop), here=True)


def _run(values: absl_flags.FlagValues, launch: launcher.Launch, *, here: bool) -> int:
    from transfer.cli.console import say, with_progress
    from transfer.distributed.exchange import first_process_first, is_first
    from transfer.sweeps import claim, declared_groups, load_for, remove_orphans

    experiment, directory = flags.experiment(values), flags.run_directory(values)
    groups = declared_groups(experiment)
    with first_process_first():
        dataset = load_for(experiment, groups, here=here)
        if is_first():
            claim(directory, experiment, dataset.fingerprint, "sweep")
    remove_orphans(directory, experiment, groups)
    failures = with_progress(
        directory,
        experiment,
        groups,
        functools.partial(launch, experiment, directory, dataset, groups),
    )
    flags.require_success(failures)
    say(
        f"Trials are in {directory}/trials.parquet. Next: transfer report --run={directory}, or "
        f"transfer predict --run={directory} --width=WIDTH."
    )
    return 0


def _here(*what: Any, **how: Any) -> list[str]:
    from transfer.sweeps import run_groups

    return run_groups(*what, **how)
