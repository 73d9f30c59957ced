"""Loss over learning rate: whether the curves of all widths are lowest in the same place."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.analysis import Optimum
from transfer.report.loss_range import close_up, transferred
from transfer.report.style import CATEGORIES, INK, house_style, panels, powers_of_two, width_colours
from transfer.report.words import claim, objective, title

STAR = CATEGORIES[1]


def loss_figure(optima: Mapping[str, Sequence[Optimum]], verdict: Mapping[str, Any]) -> Figure:
    """Draw held-out loss over log2 learning rate, one panel per recipe, one curve per width.

    Curves are means over seeds in a band from the lowest seed to the highest; dots are fitted
    optima, the star is the transferred setting at the target width, crosses above mark divergence.
    """
    recipes = verdict["recipes"]
    colours = width_colours(sorted({o.width for found in optima.values() for o in found}))
    with house_style():
        figure, axes = panels(
            [title(recipe, recipes[recipe]) for recipe in optima],
            claim({recipe: recipes[recipe] for recipe in optima}, "The best learning rate"),
        )
        for axis, (recipe, found) in zip(axes, optima.items(), strict=True):
            for row, optimum in enumerate(found):
                _draw_width(axis, optimum, colours[optimum.width], row)
            _draw_transferred(axis, recipes[recipe]["zero_shot"])
            axis.set_xlabel("learning rate at the base width")
            powers_of_two(axis, "x")
        axes[0].set_ylabel(objective(verdict))
        axes[0].set_ylim(*close_up(optima, recipes))
        figure.legend(handles=_legend(colours, optima, recipes), loc="outside right center")
    return figure


def _draw_width(axis: Axes, optimum: Optimum, colour: Any, row: int) -> None:
    curve = optimum.curve
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
    axis.plot(x[finite], mean[finite], color=colour, label=f"{optimum.width}")
    if optimum.log2_learning_rate.value is not None:
        place = optimum.log2_learning_rate.value
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


def _draw_transferred(axis: Axes, zero_shot: Mapping[str, Any]) -> None:
    target = transferred(zero_shot)
    if target is not None:
        place = (target["log2_learning_rate"], target["loss"])
        axis.plot(*place, "*", color=STAR, markeredgecolor="white", markersize=14, zorder=5)


def _legend(
    colours: Mapping[int, Any], optima: Mapping[str, Sequence[Optimum]], recipes: Mapping[str, Any]
) -> list[Line2D]:
    handles = [Line2D([], [], color=c, label=f"width {width}") for width, c in colours.items()]
    marks = [("o", INK, "fitted optimum")]
    if not all(np.isfinite(o.curve.mean()).all() for found in optima.values() for o in found):
        marks.append(("x", INK, "diverged"))
    targets = [int(width) for recipe in optima for width in recipes[recipe]["zero_shot"]]
    if targets:
        marks.append(("*", STAR, f"moved to {max(targets)}"))
    return handles + [
        Line2D([], [], marker=marker, color=colour, linestyle="none", label=label)
        for marker, colour, label in marks
    ]
