"""Writes report/verdict.json, report.html and figures of the trials in --run, prints the verdict.

report.html is one file that opens offline in any browser. Of a sweep with training.horizons it also
says what is best at each horizon; --horizon=STEPS, with --kind=average or branch, writes the report
on what was read off there, as a sweep of runs of that length, into a folder of its own."""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    flags.define_horizon(values)


def run(values: absl_flags.FlagValues) -> int:
    """Write the report."""
    platform.prepare()
    from transfer.cli.console import say, show_verdict
    from transfer.report import report_folder, write_report
    from transfer.report.forecast_data import ShownForecast
    from transfer.report.horizon_optima import horizon_optima

    directory = flags.run_directory(values)
    directory.require_trials()
    horizon = flags.horizon(values, directory)
    task, provenance = flags.recorded_origin(directory)
    verdict = write_report(directory, task=task, provenance=provenance, horizon=horizon)
    show_verdict(directory, verdict, report_folder(horizon))
    if horizon is not None:
        return 0
    for line in horizon_optima(directory):
        say(line)
    if forecast := ShownForecast.of(directory, directory.trials()):
        for sentence in forecast.sentences:
            say(sentence)
    return 0
