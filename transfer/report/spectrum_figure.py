"""Singular values over width: what holds the optimum in place, or fails to."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from transfer.analysis import SublayerVerdict, SweepVerdict
from transfer.report.style import CATEGORIES, INK, house_style, panels, width_axis
from transfer.report.sublayers import spectrum_claim, spectrum_title


def spectrum_figure(verdict: SweepVerdict) -> Figure | None:
    """Draw sigma_1 of each sublayer over width, log-log, one panel per recipe.

    The dashed line has the slope that the decay rule predicts, where it predicts one. None when no
    recipe has spectra at two widths.
    """
    measured = {
        recipe: judged.sublayers for recipe, judged in verdict.recipes.items() if judged.sublayers
    }
    if not measured:
        return None
    names = sorted({name for sublayers in measured.values() for name in sublayers})
    colours = {name: CATEGORIES[k % len(CATEGORIES)] for k, name in enumerate(names)}
    with house_style():
        figure, axes = panels(
            [spectrum_title(recipe, sublayers) for recipe, sublayers in measured.items()],
            spectrum_claim(measured),
        )
        for axis, sublayers in zip(axes, measured.values(), strict=True):
            _draw_recipe(axis, sublayers, colours)
        axes[0].set_ylabel("top singular value, mean over layers")
        # Whole powers of two at both ends, so that there are ticks to read a slope from.
        low, high = np.log2(axes[0].get_ylim())
        axes[0].set_ylim(2 ** np.floor(low), 2 ** np.ceil(high))
        axes[0].yaxis.set_major_locator(LogLocator(base=2))
        axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes[0].yaxis.set_minor_formatter(NullFormatter())
        figure.legend(handles=_legend(colours), loc="outside right center")
    return figure


def _draw_recipe(
    axis: Axes, sublayers: Mapping[str, SublayerVerdict], colours: Mapping[str, str]
) -> None:
    axis.set_yscale("log", base=2)
    slopes = {name: each.spectrum for name, each in sublayers.items()}
    for name, slope in slopes.items():
        widths = list(slope.values)
        axis.plot(widths, list(slope.values.values()), "o-", color=colours[name], markersize=4.5)
    predicted = next(iter(slopes.values())).predicted
    # Through the geometric middle of all curves: only its slope is meant.
    middle = np.exp(np.mean([np.log(list(s.values.values())) for s in slopes.values()]))
    relative = np.array(widths) / np.exp(np.mean(np.log(widths)))
    axis.plot(widths, middle * relative**predicted, "--", color=INK, linewidth=1.6, zorder=4)
    width_axis(axis, widths)


def _legend(colours: Mapping[str, str]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=4.5, label=name)
        for name, colour in colours.items()
    ]
    predicted = Line2D([], [], color=INK, linestyle="--", label="predicted slope")
    return [*handles, predicted]
