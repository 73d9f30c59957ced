"""Training curves at the transferred setting: wider should be better, all the way."""

from collections.abc import Sequence

import pyarrow as pa
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.analysis import SweepVerdict
from transfer.report.axes import title
from transfer.report.figure_data import curves_claim, curves_range, training_curves
from transfer.report.style import house_style, panels, width_colours
from transfer.run_directory import TrialResult


def curves_figure(
    trials: Sequence[TrialResult], metrics: pa.Table, verdict: SweepVerdict
) -> Figure | None:
    """Draw training loss over steps, one panel per recipe, one curve per width.

    See `training_curves`; where a seed diverged a note stands in for the curve. None when no
    metrics were recorded.
    """
    shown = training_curves(trials, metrics, verdict)
    if not shown:
        return None
    colours = width_colours(sorted({width for found in shown.values() for width in found.curves}))
    with house_style():
        titles = [title(verdict.recipes[recipe]) for recipe in shown]
        figure, axes = panels(titles, curves_claim(shown))
        for axis, found in zip(axes, shown.values(), strict=True):
            for width, (steps, loss) in found.curves.items():
                axis.plot(steps, loss, color=colours[width])
            axis.set_xlabel("step")
            if found.diverged:
                text = f"diverged: width {', '.join(map(str, found.diverged))}"
                axis.text(0.97, 0.95, text, ha="right", va="top", transform=axis.transAxes)
        axes[0].set_ylabel(f"training loss ({verdict.objective.unit})")
        axes[0].set_ylim(*curves_range(shown))
        handles = [Line2D([], [], color=c, label=f"width {width}") for width, c in colours.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure
