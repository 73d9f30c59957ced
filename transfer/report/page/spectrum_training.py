"""Top singular values over training, for runs that measured them more than once."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transfer.analysis import RecipeVerdict, SweepVerdict
from transfer.analysis.names import short_names
from transfer.analysis.spectrum import compared_trials
from transfer.report.axes import title
from transfer.report.page import chart
from transfer.report.page.figure import Control, Figure, Option, Panel, Table, by_recipe, checkboxes
from transfer.report.page.looks import Look
from transfer.run_directory import TrialResult

Rows = list[dict[str, Any]]


def spectrum_training_figure(
    trials: Sequence[TrialResult],
    spectrum: pa.Table,
    verdict: SweepVerdict,
    looks: Mapping[int, Look],
) -> Figure | None:
    """Return the figure of sigma_1 over steps at the setting whose slopes the verdict states.

    None where no spectrum was recorded at two steps.
    """
    tables = {
        recipe: rows
        for recipe, judged in verdict.recipes.items()
        if (rows := _rows(trials, spectrum, judged))
    }
    if not tables:
        return None
    every = [row for rows in tables.values() for row in rows]
    sublayers = sorted({row["sublayer"] for row in every})
    widths = sorted({row["width"] for row in every})
    shown = {width: looks[width] for width in widths}
    limits = chart.powers_around([row["y"] for row in every])
    controls = [
        Control("Sublayer", "sublayers", "radio", [Option(name, name) for name in sublayers]),
        checkboxes("Width", "widths", shown),
        by_recipe(tables),
    ]
    return Figure(
        key="spectrum-training",
        claim="Top singular values over training",
        about=(
            "Top singular value of one sublayer at a time, mean over layers and seeds, at the "
            "setting whose slopes are given above; the axis is logarithmic."
        ),
        panels=[
            Panel(
                title(verdict.recipes[recipe]),
                chart.spec(
                    _layers(rows, limits, shown),
                    f"Top singular values under {recipe} over training steps.",
                    controls,
                ),
                {"recipes": recipe},
            )
            for recipe, rows in tables.items()
        ],
        table=Table(
            ("recipe", "sublayer", "width", "step", "top singular value"),
            [
                (
                    recipe,
                    row["sublayer"],
                    str(row["width"]),
                    str(row["step"]),
                    f"{row['sigma']:.3f}",
                )
                for recipe, rows in tables.items()
                for row in rows
            ],
            words=2,
        ),
        controls=controls,
    )


def _rows(trials: Sequence[TrialResult], spectrum: pa.Table, judged: RecipeVerdict) -> Rows:
    if not judged.sublayers:
        return []
    place = next(iter(judged.sublayers.values())).spectrum.log2_learning_rate
    compared = compared_trials(trials, spectrum, judged.recipe, place)
    width_of = {trial.trial: trial.width for trial in compared}
    mine = spectrum.filter(pc.field("rank") == 0)
    mine = mine.filter(pc.is_in(mine["trial"], value_set=pa.array(list(width_of))))
    means = mine.group_by(["trial", "parameter", "step"]).aggregate([("singular_value", "mean")])
    logs: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for row in means.to_pylist():
        if row["singular_value_mean"] > 0 and math.isfinite(row["singular_value_mean"]):
            key = (row["parameter"], width_of[row["trial"]], row["step"])
            logs[key].append(math.log2(row["singular_value_mean"]))
    if len({step for _, _, step in logs}) < 2:
        return []
    parameters = sorted({parameter for parameter, _, _ in logs})
    names = dict(zip(parameters, short_names(parameters), strict=True))
    return [
        {
            "sublayer": names[parameter],
            "width": width,
            "step": step,
            "y": float(np.mean(values)),
            "sigma": float(2 ** np.mean(values)),
        }
        for (parameter, width, step), values in sorted(logs.items())
    ]


def _layers(rows: Rows, limits: tuple[float, float], looks: Mapping[int, Look]) -> list[alt.Chart]:
    axis = chart.plain_power_axis(*limits, "top singular value")
    step = alt.X("step:Q").axis(alt.Axis(title="step", tickCount=5)).scale(nice=False)
    sigma = alt.Y("y:Q").axis(axis).scale(domain=list(limits), nice=False, zero=False)
    hue = chart.colour("width:N", looks)
    measured = (
        alt.Chart(chart.rows(rows))
        .transform_filter(chart.only("sublayers", "sublayer"))
        .transform_filter(chart.only("widths", "width"))
    )
    return [
        measured.mark_line(strokeWidth=2).encode(step, sigma, hue),
        measured.mark_point(filled=True, opacity=1, size=40).encode(
            step,
            sigma,
            hue,
            chart.shape("width:N", looks),
            tooltip=[
                alt.Tooltip("sublayer:N", title="sublayer"),
                alt.Tooltip("width:N", title="width"),
                alt.Tooltip("step:Q", title="step"),
                alt.Tooltip("sigma:Q", title="top singular value", format=".3f"),
            ],
        ),
    ]
