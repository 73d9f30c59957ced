"""Writes report/verdict.json, report.html and figures of the trials in --run, prints the verdict.

report.html is one file that opens offline in any browser."""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)


def run(values: absl_flags.FlagValues) -> int:
    """Write the report."""
    platform.prepare()
    from transfer.cli.console import say, show_verdict
    from transfer.report import write_report
    from transfer.report.forecast_data import ShownForecast
    from transfer.report.ladder import ladder_tables, recorded_ladders

    directory = flags.run_directory(values)
    directory.require_trials()
    task, provenance = flags.recorded_origin(directory)
    show_verdict(directory, write_report(directory, task=task, provenance=provenance))
    for ladder in recorded_ladders(directory):
        say(ladder_tables(ladder).text())
    if forecast := ShownForecast.of(directory, directory.trials()):
        for sentence in forecast.sentences:
            say(sentence)
    return 0
