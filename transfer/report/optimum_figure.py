"""The optimum over width: level where the learning rate transfers."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transfer.analysis import RecipeVerdict, SweepVerdict
from transfer.report.axes import claim
from transfer.report.style import CATEGORIES, house_style, learning_rates, panels, width_axis


def optimum_figure(verdict: SweepVerdict) -> Figure:
    """Draw the best learning rate over width with its intervals, one colour per recipe.

    Lines are least-squares fits, whose slopes the legend states.
    """
    recipes = verdict.recipes
    widths: set[int] = set()
    with house_style():
        statement = claim(verdict)
        figure, (axis,) = panels([""], statement, panel_width=6.4)
        for place, judged in enumerate(recipes.values()):
            # Moved apart a little, so that intervals at the same width do not hide each other.
            shift = 2 ** (0.06 * (place - (len(recipes) - 1) / 2))
            widths |= _draw_recipe(axis, judged, CATEGORIES[place % len(CATEGORIES)], shift)
        if not widths:
            _say_undecided(axis)
        else:
            width_axis(axis, sorted(widths))
            learning_rates(axis, "y")
            legend = figure.legend(loc="outside right center")
            for text in legend.get_texts():
                text.set_parse_math(False)  # a name may hold dollars
        axis.set_ylabel("best learning rate at the base width")
    return figure


def _draw_recipe(axis: Axes, judged: RecipeVerdict, colour: str, shift: float) -> set[int]:
    decided = {
        optimum.width: optimum.log2_learning_rate
        for optimum in judged.optima
        if optimum.log2_learning_rate.value is not None
    }
    if not decided:
        return set()
    x = np.array(list(decided))
    y = np.array([optimum.value for optimum in decided.values()])
    label = judged.recipe
    if judged.slope.value is not None:
        label += f"\nslope {judged.slope.text('z.2f')}"
        line = y.mean() + judged.slope.value * (np.log2(x) - np.log2(x).mean())
        axis.plot(x * shift, line, color=colour, linewidth=1.2)
    for width, optimum in decided.items():
        if optimum.interval is not None:
            axis.plot([width * shift] * 2, optimum.interval, color=colour, linewidth=2.4)
    axis.plot(x * shift, y, "o", color=colour, markeredgecolor="white", markersize=6.5, label=label)
    return set(decided)


def _say_undecided(axis: Axes) -> None:
    text = "No optimum is decided:\nthe verdict names the learning rates to add."
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
    axis.set_xticks([])
    axis.set_yticks([])
