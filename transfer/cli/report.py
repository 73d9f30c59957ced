"""Writes report/verdict.json, report.html and figures of the trials in --run, prints the verdict.

report.html is one file that opens offline in any browser. Of a sweep with training.horizons it also
says what is best at each horizon; --horizon=STEPS, with --kind=average or branch, writes the report
on what was read off there, as a sweep of runs of that length, into a folder of its own.

--table=FILE judges a sweep that was made elsewhere: CSV, JSON lines, Parquet or Arrow, such as W&B
and MLflow export, with a row for each run: its width, learning rate and loss, and what else there
is (docs/results.md). A run directory may stand for a table, and several are combined:
--table=runs/a,runs/b. All go into --run, a directory of their own, on which transfer predict works
too.
"""

from collections.abc import Sequence

from absl import flags as absl_flags

from transfer.cli import flags, platform
from transfer.errors import TransferError


def define(values: absl_flags.FlagValues, argv: Sequence[str]) -> None:
    """Define the verb's flags."""
    flags.define_run(values)
    flags.define_horizon(values)
    absl_flags.DEFINE_list(
        "table", [], "tables of results, or run directories, to put into --run", flag_values=values
    )
    absl_flags.DEFINE_list(
        "columns",
        [],
        "the tables' own names of columns, as in width=dim,eval_loss=final; none after = for one "
        "that is not to be read",
        flag_values=values,
    )


def run(values: absl_flags.FlagValues) -> int:
    """Write the report."""
    platform.prepare()
    from transfer.cli.console import say, show_verdict
    from transfer.report import report_folder, write_report
    from transfer.report.forecast_data import ShownForecast
    from transfer.report.horizon_optima import horizon_optima
    from transfer.report.ladder import ladder_tables, recorded_ladders

    directory = flags.run_directory(values)
    columns = _columns(values["columns"].value or [])
    if sources := values["table"].value:
        from transfer.sweeps.results import combine

        for sentence in combine(directory, sources, columns):
            say(sentence)
    elif columns:
        raise TransferError("--columns is given without --table; expected both.")
    directory.require_trials()
    horizon = flags.horizon(values, directory)
    task, provenance = flags.recorded_origin(directory)
    verdict = write_report(directory, task=task, provenance=provenance, horizon=horizon)
    show_verdict(directory, verdict, report_folder(horizon))
    if horizon is not None:
        return 0
    for line in horizon_optima(directory):
        say(line)
    for ladder in recorded_ladders(directory):
        say(ladder_tables(ladder).text())
    if forecast := ShownForecast.of(directory, directory.trials()):
        for sentence in forecast.sentences:
            say(sentence)
    return 0


def _columns(texts: Sequence[str]) -> dict[str, str]:
    if wrong := [text for text in texts if "=" not in text]:
        raise TransferError(
            f"--columns holds {wrong[0]}; expected pairs such as width=dim,eval_loss=final."
        )
    return dict(text.split("=", 1) for text in texts)
