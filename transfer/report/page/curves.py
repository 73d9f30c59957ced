"""Training curves at the transferred setting, a panel per recipe and a curve per width."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pyarrow as pa

from transfer.analysis import SweepVerdict
from transfer.report.axes import title
from transfer.report.figure_data import (
    RecipeCurves,
    curves_claim,
    curves_range,
    training_curves,
)
from transfer.report.page import chart
from transfer.report.page.figure import WHOLE_RANGE, Figure, Panel, Table, by_recipe, checkboxes
from transfer.report.page.looks import Look
from transfer.run_directory import TrialResult

_POINTS = 240  # per curve: as many as a screen shows apart
_STEPS = 6  # per curve in the table
_LABEL = 14  # pixels between labels at the end of curves


def curves_figure(
    trials: Sequence[TrialResult],
    metrics: pa.Table,
    verdict: SweepVerdict,
    looks: Mapping[int, Look],
) -> Figure | None:
    """Return the figure of training losses; None when no metrics were recorded."""
    shown = training_curves(trials, metrics, verdict)
    if not shown:
        return None
    near, name = curves_range(shown), f"training loss ({verdict.objective.unit})"
    widths = sorted({width for found in shown.values() for width in found.curves})
    used = {width: looks[width] for width in widths}
    every = np.concatenate([loss for found in shown.values() for _, loss in found.curves.values()])
    whole = min(near[0], float(every.min())), max(near[1], float(every.max()))
    controls = [checkboxes("Width", "widths", used), by_recipe(shown), WHOLE_RANGE]
    return Figure(
        key="curves",
        claim=curves_claim(shown),
        about=(
            f"{name.capitalize()} at each width's setting nearest the "
            "transferred learning rate, mean over seeds and over 2 % of the run."
        ),
        panels=[
            Panel(
                title(verdict.recipes[recipe]) + _diverged(found),
                chart.spec(
                    _layers(found, near, whole, used),
                    f"Training loss under {recipe} over steps, by width.",
                    controls,
                ),
                {"recipes": recipe},
            )
            for recipe, found in shown.items()
        ],
        table=_table(shown, name),
        controls=controls,
    )


def _diverged(found: RecipeCurves) -> str:
    return f"\ndiverged: width {', '.join(map(str, found.diverged))}" if found.diverged else ""


def _thinned(length: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int))


def _layers(
    found: RecipeCurves,
    near: tuple[float, float],
    whole: tuple[float, float],
    looks: Mapping[int, Look],
) -> list[alt.Chart]:
    rows = [
        {"width": width, "step": int(steps[k]), "loss": float(loss[k])}
        for width, (steps, loss) in found.curves.items()
        for k in _thinned(len(steps), _POINTS)
    ]
    last = {width: float(loss[-1]) for width, (_, loss) in found.curves.items()}
    per_pixel = (near[1] - near[0]) / chart.HEIGHT
    moved = chart.apart(list(last.values()), _LABEL * per_pixel)
    ends = [
        {"width": width, "step": int(found.curves[width][0][-1]), "loss": loss, "label": place}
        for (width, loss), place in zip(last.items(), moved, strict=True)
    ]
    scale = alt.Scale(
        domainMin=alt.ExprRef(f"whole ? {whole[0]} : {near[0]}"),
        domainMax=alt.ExprRef(f"whole ? {whole[1]} : {near[1]}"),
        zero=False,
        nice=False,
    )
    step = alt.X("step:Q").axis(alt.Axis(title="step", tickCount=5)).scale(nice=False)
    loss = (
        alt.Y(field="loss", type="quantitative")
        .axis(alt.Axis(title="training loss", tickCount=6))
        .scale(scale)
    )
    hue = chart.colour("width:N", looks)
    curves = alt.Chart(chart.rows(rows)).transform_filter(chart.only("widths", "width"))
    labels = alt.Chart(chart.rows(ends)).transform_filter(chart.only("widths", "width"))
    tooltip = [
        alt.Tooltip("width:N", title="width"),
        alt.Tooltip("step:Q", title="last step"),
        alt.Tooltip("loss:Q", title="training loss", format=".4f"),
    ]
    return [
        curves.mark_line(strokeWidth=1.8, clip=True).encode(step, loss, hue),
        labels.mark_point(filled=True, opacity=1, size=50).encode(
            step, loss, hue, chart.shape("width:N", looks), tooltip=tooltip
        ),
        labels.mark_text(align="left", dx=9, fontSize=12, fontWeight=600).encode(
            step, loss.field("label"), hue, text=alt.Text("width:N")
        ),
    ]


def _table(shown: Mapping[str, RecipeCurves], name: str) -> Table:
    return Table(
        ("recipe", "width", "step", name),
        [
            (recipe, str(width), str(int(steps[k])), f"{loss[k]:.4f}")
            for recipe, found in shown.items()
            for width, (steps, loss) in found.curves.items()
            for k in _thinned(len(steps), _STEPS)
        ],
    )
