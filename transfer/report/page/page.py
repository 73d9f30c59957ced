"""The page: everything that a run says, in one file that asks the network for nothing."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import jinja2
import pyarrow as pa
import vl_convert

from transfer.analysis import LadderVerdict, SweepVerdict, WidthSweep
from transfer.report.advice import advice_text, spent, trained_table, values_table
from transfer.report.axes import claims
from transfer.report.forecast_data import ShownForecast
from transfer.report.ladder import ladder_tables
from transfer.report.page.curves import curves_figure
from transfer.report.page.decay import decay_figure
from transfer.report.page.forecast import forecast_figure
from transfer.report.page.looks import colour_variables, width_looks
from transfer.report.page.loss import loss_figure
from transfer.report.page.optimum import optimum_figure
from transfer.report.page.spectrum import spectrum_figure
from transfer.report.page.spectrum_training import spectrum_training_figure
from transfer.report.verdict import answers
from transfer.run_directory import TrialResult


def report_page(
    trials: Sequence[TrialResult],
    metrics: pa.Table,
    spectrum: pa.Table,
    sweeps: Mapping[str, Sequence[WidthSweep]],
    verdict: SweepVerdict,
    configuration: Mapping[str, Any],
    run: str = "",
    forecast: ShownForecast | None = None,
    ladders: Sequence[LadderVerdict] = (),
) -> str:
    """Return the report of a run as HTML; the same tables and verdict give the same text.

    A figure whose data was not recorded is left out. The charts are drawn by the file's own script,
    and its content security policy forbids to load anything else.

    Args:
      trials: all trials of the run.
      metrics: training curves, `METRICS_SCHEMA`, maybe empty.
      spectrum: singular values, `SPECTRUM_SCHEMA`, maybe empty.
      sweeps: what `sweeps_by_recipe` returned of these trials.
      verdict: what `judge` said of these tables.
      configuration: the run's resolved configuration, maybe empty.
      run: where its directory is, or empty.
      forecast: that of the run, with what became of it, if it has one.
      ladders: what the run says of other sizes beside width, if it is a ladder.

    Example:
      >>> html = report_page(  # doctest: +SKIP
      ...     run.trials(), run.metrics(), run.spectrum(), sweeps, verdict, {})
    """
    looks = width_looks(trial.width for trial in trials)
    figures = [
        loss_figure(sweeps, verdict, looks),
        optimum_figure(verdict),
        decay_figure(trials, verdict),
        spectrum_figure(verdict),
        spectrum_training_figure(trials, spectrum, verdict, looks),
        curves_figure(trials, metrics, verdict, looks),
        forecast_figure(forecast),
    ]
    advice = advice_text(verdict)
    first, *others = claims(verdict)
    return (
        _environment()
        .get_template("page.html")
        .render(
            headline=advice.sentence if advice else first,
            claims=[first, *others] if advice else others,
            advice=advice,
            values=values_table(advice.values) if advice and advice.values else None,
            trained=trained_table(verdict.compute),
            ladders=[ladder_tables(each) for each in ladders],
            run=run,
            task=verdict.task,
            answers=answers(verdict),
            spent=spent(verdict.compute),
            figures=[figure for figure in figures if figure is not None],
            configuration=configuration,
            provenance=verdict.provenance,
            colours=colour_variables(len(looks)),
            library=_library(),
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("transfer.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@functools.cache
def _library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as a script, of the version that Altair writes."""
    major, minor, *_ = alt.SCHEMA_VERSION.removeprefix("v").split(".")
    # Its type stub asks for code of one's own to add, which the function does not.
    return str(vl_convert.javascript_bundle(vl_version=f"{major}.{minor}"))  # type: ignore[call-arg]
