"""Loss over learning rate, a panel per recipe and a curve per width."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from transfer.analysis import RecipeVerdict, Regret, SweepVerdict, WidthSweep
from transfer.notation import learning_rate
from transfer.report.axes import title
from transfer.report.figure_data import loss_range, transferred
from transfer.report.page import chart
from transfer.report.page.figure import (
    WHOLE_RANGE,
    Figure,
    Key,
    Panel,
    Table,
    by_recipe,
    checkboxes,
)
from transfer.report.page.looks import CROSS, STAR, Look

Rows = list[dict[str, Any]]

_STAR, _CROSS = Look("var(--star)", None, STAR), Look("var(--ink)", None, CROSS)
_INSIDE = f"{chart.only('widths', 'width')} && datum.loss != null"


def loss_figure(
    sweeps: Mapping[str, Sequence[WidthSweep]], verdict: SweepVerdict, looks: Mapping[int, Look]
) -> Figure:
    """Return the figure of mean losses with the range of seeds, fitted optima and transfers."""
    name, unit = verdict.objective.name, str(verdict.objective)
    tables = {recipe: _rows(found) for recipe, found in sweeps.items()}
    limits = _limits(tables, loss_range(sweeps, verdict))
    widths = sorted({sweep.optimum.width for found in sweeps.values() for sweep in found})
    shown = {width: looks[width] for width in widths}
    targets = [regret.width for each in verdict.recipes.values() for regret in each.regrets]
    diverged = any(row["loss"] is None for rows in tables.values() for row in rows)
    controls = [checkboxes("Width", "widths", shown), by_recipe(sweeps), WHOLE_RANGE]
    return Figure(
        key="loss",
        claim=f"{name.capitalize()} against learning rate",
        about=(
            f"{unit.capitalize()} over the learning rate{verdict.at_base}, at the "
            "best decay and multipliers of each width: means over seeds in a band from the lowest "
            "seed to the highest. A number stands by the fitted optimum of its width."
        ),
        panels=[
            Panel(
                title(judged),
                chart.spec(
                    _layers(tables[recipe], judged, limits, shown, name, verdict.at_base),
                    f"{judged.answer.reason} {unit} over learning rate.",
                    controls,
                ),
                {"recipes": recipe},
            )
            for recipe, judged in verdict.recipes.items()
        ],
        table=_table(tables, unit),
        controls=controls,
        keys=[
            *([Key(f"transferred to width {max(targets)}", _STAR)] if targets else []),
            *([Key("diverged", _CROSS)] if diverged else []),
        ],
    )


def _rows(sweeps: Sequence[WidthSweep]) -> Rows:
    rows = []
    for sweep in sweeps:
        curve = sweep.curve
        for setting, losses in zip(curve.settings, curve.losses, strict=True):
            finite = bool(np.isfinite(losses).all())
            rows.append(
                {
                    "width": sweep.optimum.width,
                    "log2_rate": math.log2(setting.learning_rate),
                    "rate": setting.learning_rate,
                    "told": learning_rate(setting.learning_rate),
                    "decay": setting.weight_decay,
                    "seeds": len(losses),
                    "loss": float(losses.mean()) if finite else None,
                    "low": float(losses.min()) if finite else None,
                    "high": float(losses.max()) if finite else None,
                }
            )
    return rows


def _limits(tables: Mapping[str, Rows], near: tuple[float, float]) -> dict[str, float]:
    known = [row for rows in tables.values() for row in rows if row["loss"] is not None]
    places = [row["log2_rate"] for rows in tables.values() for row in rows]
    return {
        "left": min(places) - 0.4,
        "right": max(places) + 0.4,
        # Room for the number under the lowest optimum.
        "low": near[0] - 0.08 * (near[1] - near[0]),
        "near": near[1],
        "far": max([near[1], *(row["high"] for row in known)]),
        "lowest": min([near[0], *(row["low"] for row in known)]),
    }


def _layers(
    rows: Rows,
    judged: RecipeVerdict,
    limits: Mapping[str, float],
    looks: Mapping[int, Look],
    name: str,
    at_base: str,
) -> list[alt.Chart]:
    rate = alt.X("log2_rate:Q").axis(
        chart.rate_axis(limits["left"], limits["right"], f"learning rate{at_base}", lines=True)
    )
    rate = rate.scale(domain=[limits["left"], limits["right"]], nice=False)
    scale = alt.Scale(
        domainMax=alt.ExprRef(f"whole ? {limits['far']} : {limits['near']}"),
        domainMin=alt.ExprRef(f"whole ? {limits['lowest']} : {limits['low']}"),
        zero=False,
        nice=False,
    )
    loss = (
        alt.Y(field="loss", type="quantitative")
        .scale(scale)
        .axis(alt.Axis(title=name, tickCount=6))
    )
    hue = chart.colour("width:N", looks)

    measured = alt.Chart(chart.rows(rows)).transform_filter(_INSIDE)
    band = measured.mark_area(opacity=0.18, clip=True).encode(
        rate, loss.field("low"), alt.Y2("high:Q"), hue
    )
    line = measured.mark_line(strokeWidth=2, clip=True).encode(rate, loss, hue)
    points = measured.mark_point(filled=True, opacity=1, size=36, clip=True).encode(
        rate, loss, hue, chart.shape("width:N", looks), tooltip=_tooltip()
    )
    layers: list[Any] = [band, line, points]
    layers += _optima(rows, judged, rate, loss, hue)
    layers += _diverged(rows, rate, hue)
    target = transferred(judged)
    if target is not None:
        layers.append(_transferred(target, rate, loss))
    return layers


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("width:N", title="width"),
        alt.Tooltip("told:N", title="learning rate"),
        alt.Tooltip("decay:Q", title="weight decay", format=".4g"),
        alt.Tooltip("loss:Q", title="loss", format=".4f"),
        alt.Tooltip("low:Q", title="lowest seed", format=".4f"),
        alt.Tooltip("high:Q", title="highest seed", format=".4f"),
    ]


def _optima(
    rows: Rows, judged: RecipeVerdict, rate: alt.X, loss: alt.Y, hue: alt.Color
) -> list[alt.Chart]:
    found: Rows = []
    for optimum in judged.optima:
        place = optimum.log2_learning_rate.value
        curve = [row for row in rows if row["width"] == optimum.width and row["loss"] is not None]
        if place is not None:
            height = np.interp(
                place, [row["log2_rate"] for row in curve], [row["loss"] for row in curve]
            )
            found.append({"width": optimum.width, "log2_rate": place, "loss": float(height)})
    if not found:
        return []
    here = alt.Chart(chart.rows(found)).transform_filter(_INSIDE)
    rings = here.mark_point(size=110, filled=True, opacity=1, stroke="var(--paper)", clip=True)
    # Above, but that of the widest below: the transferred point lies between it and the others.
    widest = f"datum.width == {max(row['width'] for row in found)}"
    texts = [
        here.transform_filter(side).mark_text(
            dy=dy, fontSize=12, fontWeight=600, stroke="var(--paper)", strokeWidth=3, clip=True
        )
        for side, dy in ((f"!({widest})", -14), (widest, 17))
    ]
    return [
        rings.encode(rate, loss, hue),
        *(text.encode(rate, loss, hue, text=alt.Text("width:N")) for text in texts),
    ]


def _diverged(rows: Rows, rate: alt.X, hue: alt.Color) -> list[alt.Chart]:
    gone = [row for row in rows if row["loss"] is None]
    widths = sorted({row["width"] for row in gone})
    # Along the top, a row of crosses per width.
    return [
        alt.Chart(chart.rows([row for row in gone if row["width"] == width]))
        .transform_filter(chart.only("widths", "width"))
        .mark_point(shape=CROSS, size=36, strokeWidth=1.8, opacity=1)
        .encode(rate, hue, y=alt.value(5 + 10 * place), tooltip=_tooltip()[:3])
        for place, width in enumerate(widths)
    ]


def _transferred(target: Regret, rate: alt.X, loss: alt.Y) -> alt.Chart:
    place = target.log2_learning_rate
    assert place is not None  # it has a loss
    row = {
        "width": target.width,
        "log2_rate": place,
        "told": learning_rate(2**place),
        "loss": target.loss,
        "how": f"{target.source}, from width {target.from_width}",
    }
    star = alt.Chart(chart.rows([row])).mark_point(
        shape=STAR, size=260, filled=True, opacity=1, color="var(--star)", stroke="var(--paper)"
    )
    return star.encode(
        rate,
        loss,
        tooltip=[
            alt.Tooltip("width:N", title="transferred to width"),
            alt.Tooltip("how:N", title="loss"),
            alt.Tooltip("told:N", title="learning rate"),
            alt.Tooltip("loss:Q", title="loss there", format=".4f"),
        ],
    )


def _table(tables: Mapping[str, Rows], name: str) -> Table:
    return Table(
        ("recipe", "width", "learning rate", "weight decay", name, "lowest seed", "highest seed"),
        [
            (
                recipe,
                str(row["width"]),
                row["told"],
                f"{row['decay']:.4g}",
                *(_text(row[each]) for each in ("loss", "low", "high")),
            )
            for recipe, rows in tables.items()
            for row in rows
        ],
    )


def _text(loss: float | None) -> str:
    return "diverged" if loss is None else f"{loss:.4f}"
