"""Loss over learning rate: whether the curves of all widths are lowest in the same place."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.analysis import Optimum
from transfer.report.style import CATEGORIES, INK, house_style, panels, powers_of_two, width_colours
from transfer.report.words import claim, title

STAR = CATEGORIES[1]


def loss_figure(optima: Mapping[str, Sequence[Optimum]], verdict: Mapping[str, Any]) -> Figure:
    """Draw the compared loss over log2 learning rate, one panel per recipe, one curve per width.

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
        axes[0].set_ylabel(f"{verdict['objective']} (nats)")
        axes[0].set_ylim(*_limits(optima, recipes))
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
    target = _target(zero_shot)
    if target is not None:
        place = (target["log2_learning_rate"], target["loss"])
        axis.plot(*place, "*", color=STAR, markeredgecolor="white", markersize=14, zorder=5)


def _target(zero_shot: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the transferred run or reading at the widest width, if it has a loss."""
    target = zero_shot[max(zero_shot, key=int)] if zero_shot else None
    return target if target and target["loss"] is not None else None


def _limits(
    optima: Mapping[str, Sequence[Optimum]], recipes: Mapping[str, Any]
) -> tuple[float, float]:
    """Show every curve from its lowest point to two grid points away; what is higher runs out."""
    targets = [_target(recipes[recipe]["zero_shot"]) for recipe in optima]
    shown = [target["loss"] for target in targets if target is not None]
    for optimum in (o for found in optima.values() for o in found):
        mean = optimum.curve.mean()
        best = int(mean.argmin())
        near = mean[max(best - 2, 0) : best + 3]
        shown.extend(near[np.isfinite(near)])
    if not shown:
        return 0.0, 1.0
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    return low - 0.06 * span, high + 0.18 * span


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
