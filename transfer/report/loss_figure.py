"""Loss over learning rate: whether the curves of all widths are lowest in the same place."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.analysis import RecipeVerdict, SweepVerdict, WidthSweep
from transfer.report.axes import claim, title
from transfer.report.figure_data import loss_range, transferred
from transfer.report.style import (
    CATEGORIES,
    INK,
    house_style,
    learning_rates,
    panels,
    width_colours,
)

STAR = CATEGORIES[1]


def loss_figure(sweeps: Mapping[str, Sequence[WidthSweep]], verdict: SweepVerdict) -> Figure:
    """Draw held-out loss over log2 learning rate, one panel per recipe, one curve per width.

    Curves are means over seeds in a band from the lowest seed to the highest; dots are fitted
    optima, the star is the transferred setting at the target width, crosses above mark divergence.
    """
    colours = width_colours(sorted({s.optimum.width for found in sweeps.values() for s in found}))
    with house_style():
        figure, axes = panels(
            [title(verdict.recipes[recipe]) for recipe in sweeps],
            claim(verdict),
        )
        for axis, (recipe, found) in zip(axes, sweeps.items(), strict=True):
            for row, sweep in enumerate(found):
                _draw_width(axis, sweep, colours[sweep.optimum.width], row)
            _draw_transferred(axis, verdict.recipes[recipe])
            axis.set_xlabel(f"learning rate{verdict.at_base}")
            learning_rates(axis, "x")
        axes[0].set_ylabel(str(verdict.objective))
        axes[0].set_ylim(*loss_range(sweeps, verdict))
        figure.legend(handles=_legend(colours, sweeps, verdict), loc="outside right center")
    return figure


def _draw_width(axis: Axes, sweep: WidthSweep, colour: Any, row: int) -> None:
    curve = sweep.curve
    x = np.log2([setting.learning_rate for setting in curve.settings])
    mean = curve.mean()
    finite = np.isfinite(mean)
    axis.fill_between(
        x[finite],
        curve.losses[finite].min(axis=1),
        curve.losses[finite].max(axis=1),
        color=colour,
        alpha=0.2,
        linewidth=0,
    )
    axis.plot(x[finite], mean[finite], color=colour, label=f"{sweep.optimum.width}")
    place = sweep.optimum.log2_learning_rate.value
    if place is not None:
        height = np.interp(place, x[finite], mean[finite])
        axis.plot(place, height, "o", color=colour, markeredgecolor="white", markersize=7, zorder=4)
    if not finite.all():
        # In the headroom above the curves, one row per width.
        height = np.full((~finite).sum(), 0.98 - 0.035 * row)
        axis.plot(
            x[~finite],
            height,
            "x",
            color=colour,
            markersize=4,
            transform=axis.get_xaxis_transform(),
        )


def _draw_transferred(axis: Axes, judged: RecipeVerdict) -> None:
    target = transferred(judged)
    if target is not None:
        assert target.log2_learning_rate is not None  # it has a loss
        assert target.loss is not None
        place = (target.log2_learning_rate, target.loss)
        axis.plot(*place, "*", color=STAR, markeredgecolor="white", markersize=14, zorder=5)


def _legend(
    colours: Mapping[int, Any], sweeps: Mapping[str, Sequence[WidthSweep]], verdict: SweepVerdict
) -> list[Line2D]:
    handles = [Line2D([], [], color=c, label=f"width {width}") for width, c in colours.items()]
    marks = [("o", INK, "fitted optimum")]
    if not all(np.isfinite(s.curve.mean()).all() for found in sweeps.values() for s in found):
        marks.append(("x", INK, "diverged"))
    targets = [regret.width for each in verdict.recipes.values() for regret in each.regrets]
    if targets:
        marks.append(("*", STAR, f"transferred to {max(targets)}"))
    return handles + [
        Line2D([], [], marker=marker, color=colour, linestyle="none", label=label)
        for marker, colour, label in marks
    ]
