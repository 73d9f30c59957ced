"""Prints the top singular value of each kind of sublayer against width, from the trials in --run.

Values are of effective weights after the last step, averaged over layers and seeds, at the learning
rate nearest the transferred one; the slope is of log2 sigma_1 over log2 width.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)


def run(values: absl_flags.FlagValues) -> int:
    """Print the table."""
    from transfer.analysis import judge, reference_trials
    from transfer.cli.console import console
    from transfer.report import spectrum_table

    directory = flags.run_directory(values)
    trials = reference_trials(directory.require_trials())
    task, provenance = flags.recorded_origin(directory)
    verdict = judge(trials, directory.spectrum(), task=task, provenance=provenance)
    console.print(spectrum_table(verdict))
    return 0
