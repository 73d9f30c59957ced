"""Sizes inside a network against width, recipe beside recipe."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.checks import CoordinateCheck, Row
from transfer.errors import TransferError
from transfer.report.style import CATEGORIES, INK, grid, house_style, plain_powers, width_axis

Key = tuple[str, str, int]


def size_figure(
    checks: Mapping[str, CoordinateCheck], quantities: Mapping[str, Key], claim: str
) -> Figure:
    """Draw how large chosen quantities are at each width, relative to the narrowest.

    One panel per quantity, one colour per check; a dashed line has the slope that the check's
    recipe predicts. Neither grows nor fades what stays at 1.

    Arguments:
      checks: by the name that the key gives them, of the same widths.
      quantities: the row of each panel, as `CoordinateCheck` takes it, by title.
      claim: what the figure says, in a sentence.

    Raises `TransferError` for a quantity that is zero, or of which theory says nothing.
    """
    with house_style():
        figure, (axes,) = grid([list(quantities)], claim, panel_width=2.9)
        for axis, (title, key) in zip(axes, quantities.items(), strict=True):
            for colour, (name, check) in zip(CATEGORIES, checks.items(), strict=False):
                _draw(axis, check[key], colour, f"{title} under {name}")
            width_axis(axis, next(iter(checks.values())).widths)
        plain_powers(axes[0])
        axes[0].set_ylabel("size, relative to the narrowest")
        handles = [
            Line2D([], [], color=colour, marker="o", markersize=4.5, label=name)
            for colour, name in zip(CATEGORIES, checks, strict=False)
        ]
        dashed = Line2D([], [], color=INK, linestyle="--", linewidth=1.0, label="predicted")
        figure.legend(handles=[*handles, dashed], loc="outside right center")
    return figure


def _draw(axis: Axes, row: Row, colour: str, what: str) -> None:
    if row.slope is None or row.predicted is None:
        raise TransferError(
            f"There is no size of {what} to draw ({row.verdict}); expected one that is not zero "
            "and of which theory speaks."
        )
    widths = np.array(list(row.sizes))
    sizes = np.array([size for size in row.sizes.values() if size is not None])
    low, high = row.predicted
    predicted = min(max(row.slope, low), high)
    axis.plot(widths, sizes / sizes[0], "o-", color=colour, markersize=4.5)
    axis.plot(widths, (widths / widths[0]) ** predicted, "--", color=colour, linewidth=1.0)
