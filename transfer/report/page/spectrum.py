"""Top singular values over width, with the slopes that theory predicts."""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt

from transfer.analysis import SublayerVerdict, SweepVerdict
from transfer.report.page import chart
from transfer.report.page.figure import Figure, Key, Panel, Table, by_recipe, checkboxes
from transfer.report.page.looks import Look, category_looks
from transfer.report.sublayers import SUBLAYERS, spectrum_claim, spectrum_title, sublayer_rows

Rows = list[dict[str, Any]]

_PREDICTED = Look("var(--ink)", (7, 4))


def spectrum_figure(verdict: SweepVerdict) -> Figure | None:
    """Return the figure of sigma_1 of every sublayer; None without spectra at two widths."""
    measured = {
        recipe: judged.sublayers for recipe, judged in verdict.recipes.items() if judged.sublayers
    }
    if not measured:
        return None
    looks = category_looks(sorted({name for sublayers in measured.values() for name in sublayers}))
    values = [
        value
        for sublayers in measured.values()
        for each in sublayers.values()
        for value in each.spectrum.values.values()
    ]
    limits = chart.powers_around([math.log2(value) for value in values])
    controls = [checkboxes("Sublayer", "sublayers", looks), by_recipe(measured)]
    return Figure(
        key="spectrum",
        claim=spectrum_claim(measured),
        about=(
            "Top singular value at the end of training, mean over layers and seeds, both axes "
            "logarithmic. The dashed line has the predicted slope and goes through the middle of "
            "all. Predictions hold once a run has settled."
        ),
        panels=[
            Panel(
                spectrum_title(recipe, sublayers),
                chart.spec(
                    _layers(sublayers, limits, looks),
                    spectrum_title(recipe, sublayers),
                    controls,
                    320,
                ),
                {"recipes": recipe},
            )
            for recipe, sublayers in measured.items()
        ],
        table=_table(measured),
        controls=controls,
        keys=[Key("predicted slope", _PREDICTED)],
    )


def _layers(
    sublayers: Mapping[str, SublayerVerdict], limits: tuple[float, float], looks: Mapping[str, Look]
) -> list[alt.Chart]:
    rows: Rows = [
        {
            "sublayer": name,
            "width": width,
            "x": math.log2(width),
            "y": math.log2(value),
            "sigma": value,
            "slope": each.spectrum.slope.text("+z.2f"),
        }
        for name, each in sublayers.items()
        for width, value in each.spectrum.values.items()
    ]
    widths = sorted({row["width"] for row in rows})
    reach = [math.log2(widths[0]) - 0.2, math.log2(widths[-1]) + 0.2]
    width = alt.X("x:Q").axis(chart.width_axis(widths)).scale(domain=reach, nice=False)
    axis = chart.plain_power_axis(*limits, "top singular value")
    sigma = alt.Y("y:Q").axis(axis).scale(domain=list(limits), nice=False, zero=False)
    hue = chart.colour("sublayer:N", looks)

    measured = alt.Chart(chart.rows(rows)).transform_filter(chart.only("sublayers", "sublayer"))
    predicted = alt.Chart(chart.rows(_predicted(rows, sublayers)))
    return [
        measured.mark_line(strokeWidth=1.8).encode(
            width, sigma, hue, chart.dash("sublayer:N", looks)
        ),
        measured.mark_point(filled=True, opacity=1, size=45).encode(
            width,
            sigma,
            hue,
            chart.shape("sublayer:N", looks),
            tooltip=[
                alt.Tooltip("sublayer:N", title="sublayer"),
                alt.Tooltip("width:N", title="width"),
                alt.Tooltip("sigma:Q", title="top singular value", format=".3f"),
                alt.Tooltip("slope:N", title="slope"),
            ],
        ),
        predicted.mark_line(
            strokeWidth=2.2, strokeDash=list(_PREDICTED.dash or ()), color=_PREDICTED.colour
        ).encode(width, sigma),
        predicted.transform_filter("datum.label != ''")
        .mark_text(
            align="left",
            dx=9,
            fontSize=12,
            fontWeight=600,
            color=_PREDICTED.colour,
        )
        .encode(width, sigma, text=alt.Text("label:N")),
    ]


def _predicted(rows: Rows, sublayers: Mapping[str, SublayerVerdict]) -> Rows:
    slope = next(iter(sublayers.values())).spectrum.predicted
    middle, height = (sum(row[key] for row in rows) / len(rows) for key in ("x", "y"))
    ends = {min(row["x"] for row in rows): "", max(row["x"] for row in rows): f"{slope:+z.2f}"}
    return [
        {"x": x, "y": height + slope * (x - middle), "label": label} for x, label in ends.items()
    ]


def _table(measured: Mapping[str, Mapping[str, SublayerVerdict]]) -> Table:
    every = [each for sublayers in measured.values() for each in sublayers.values()]
    widths = sorted({width for each in every for width in each.spectrum.values})
    rows = []
    for recipe, sublayers in measured.items():
        for (name, *cells), each in zip(sublayer_rows(sublayers), sublayers.values(), strict=True):
            values = each.spectrum.values
            known = (f"{values[width]:.3f}" if width in values else "-" for width in widths)
            rows.append((recipe, name, *known, *cells))
    name, *columns = SUBLAYERS
    return Table(("recipe", name, *(f"width {width}" for width in widths), *columns), rows, words=2)
