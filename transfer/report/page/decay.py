"""Loss over learning rate and weight decay, a map per recipe and width."""

import dataclasses
import math
from collections.abc import Sequence

import altair as alt
import matplotlib
import numpy as np
from matplotlib.colors import to_hex

from transfer.analysis import SweepVerdict
from transfer.notation import learning_rate
from transfer.report.axes import decay_claim
from transfer.report.figure_data import DecayCell, decay_maps, scale_end
from transfer.report.page import chart
from transfer.report.page.figure import (
    ColourScale,
    Control,
    Figure,
    Option,
    Panel,
    Table,
    by_recipe,
)
from transfer.run_directory import TrialResult

_CELL = 34  # the height of a row, in pixels
_MOST_NUMBERS = 10  # columns that have room for a number each
_COLOURS = [to_hex(matplotlib.colormaps["viridis"](share)) for share in np.linspace(0.97, 0.05, 9)]


def decay_figure(trials: Sequence[TrialResult], verdict: SweepVerdict) -> Figure | None:
    """Return the maps of every width that was swept in learning rate and decay; None without."""
    maps = decay_maps(trials, verdict)
    if not maps:
        return None
    top = scale_end(maps)
    recipes = list(dict.fromkeys(each.recipe for each in maps))
    widths = list(dict.fromkeys(each.width for each in maps))
    return Figure(
        key="decay",
        claim=decay_claim(verdict) or "Where the loss is low in learning rate and decay together",
        about=(
            f"How far the {verdict.objective} lies above the lowest of its map, which has a "
            f"frame, in percent; mean over seeds. Both axes are the coefficients{verdict.at_base}, "
            "so where a recipe transfers the frames are in the same place."
        ),
        panels=[
            Panel(
                f"{each.recipe}, width {each.width}",
                chart.spec(
                    _layers(each.cells, top),
                    f"Loss of {each.recipe} at width {each.width} over learning rate and decay.",
                    height=_CELL * len({cell.decay for cell in each.cells}),
                ),
                {"recipes": each.recipe, "widths": str(each.width)},
            )
            for each in maps
        ],
        table=Table(
            ("recipe", "width", "learning rate", "weight decay", "loss", "above the lowest"),
            [
                (
                    each.recipe,
                    str(each.width),
                    learning_rate(cell.rate),
                    f"{cell.decay:.4g}",
                    "diverged" if cell.loss is None else f"{cell.loss:.4f}",
                    "-" if cell.excess is None else f"{cell.excess:.2f} %",
                )
                for each in maps
                for cell in each.cells
            ],
        ),
        controls=[
            by_recipe(recipes),
            Control("Width", "widths", "checkbox", [Option(w, str(w)) for w in widths]),
        ],
        scale=ColourScale(_COLOURS, "lowest", f"{top:g} % and more", "above the lowest loss"),
    )


def _layers(found: Sequence[DecayCell], top: float) -> list[alt.Chart]:
    rates = sorted({cell.rate for cell in found})
    labels = {rate: chart.rate_label(math.log2(rate)) for rate in rates}
    if len(set(labels.values())) < len(rates):
        labels = {rate: learning_rate(rate, 5) for rate in rates}  # a random search draws any
    decays = [f"{decay:g}" for decay in sorted({cell.decay for cell in found}, reverse=True)]
    rows = [
        {
            **dataclasses.asdict(cell),
            "column": labels[cell.rate],
            "row": f"{cell.decay:g}",
            "told": learning_rate(cell.rate),
        }
        for cell in found
    ]
    across = (
        alt.X("column:O")
        .scale(domain=list(labels.values()))
        .axis(
            alt.Axis(
                title="learning rate",
                labelAngle=0,
                domain=False,
                labelExpr="split(datum.label, ' ')",
            )
        )
    )
    down = alt.Y("row:O").scale(domain=decays).axis(alt.Axis(title="weight decay"))
    fill = (
        alt.Color("excess:Q")
        .scale(domain=[top * k / 8 for k in range(9)], range=_COLOURS, clamp=True)
        .legend(None)
    )
    tooltip = [
        alt.Tooltip("told:N", title="learning rate"),
        alt.Tooltip("decay:Q", title="weight decay", format=".4g"),
        alt.Tooltip("loss:Q", title="loss", format=".4f"),
        alt.Tooltip("excess:Q", title="above the lowest, %", format=".2f"),
    ]
    cells = alt.Chart(chart.rows(rows))
    known, gone = (cells.transform_filter(f"datum.excess {sign} null") for sign in ("!=", "=="))
    layers = [
        known.mark_rect(stroke="var(--paper)", strokeWidth=2).encode(
            across, down, fill, tooltip=tooltip
        ),
        gone.mark_rect(fill="var(--line)", stroke="var(--paper)", strokeWidth=2).encode(
            across, down, tooltip=tooltip[:2]
        ),
        gone.mark_text(text="✕", color="var(--ink)").encode(across, down),
    ]
    # Black on white shows on every colour of the scale, in light and in dark.
    layers += [
        known.transform_filter("datum.lowest")
        .mark_rect(fillOpacity=0, stroke=stroke, strokeWidth=wide)
        .encode(across, down)
        for stroke, wide in (("#ffffff", 5), ("#000000", 2))
    ]
    if len(rates) <= _MOST_NUMBERS:
        # Black on the light end of the scale, white on the dark one.
        ink = alt.when(f"datum.excess < {0.6 * top}").then(alt.value("#000000"))
        layers.append(
            known.mark_text(fontSize=11).encode(
                across,
                down,
                text=alt.Text("excess:Q", format=".1f"),
                color=ink.otherwise(alt.value("#ffffff")),
            )
        )
    return layers
