"""Sizes inside a network against width, recipe beside recipe."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from transfer.errors import TransferError
from transfer.report.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from transfer.checks import CheckRow, CoordinateCheck

Key = tuple[str, str, int]


def size_chart(
    checks: "Mapping[str, CoordinateCheck]", quantities: Mapping[str, Key], *, claim: str
) -> Picture:
    """Draw how large chosen quantities are at each width, relative to the narrowest.

    One panel per quantity, one colour per check; a dashed line has the slope that the check's
    recipe predicts. What stays at 1 neither grows nor fades with width.

    Arguments:
      checks: by the name that the key gives them, all of the same widths.
      quantities: the row of each panel, as `CoordinateCheck` takes it, by title.
      claim: what the figure says, in a sentence: its title.

    Raises `TransferError` for a quantity that is zero, or of which theory says nothing.

    Example:
      >>> quantities = {"features": ("change", "layers.1.linear.kernel", 0)}
      >>> size_chart(checks, quantities, claim="NTK's features stand still")  # doctest: +SKIP
    """
    from matplotlib.lines import Line2D

    from transfer.report import style

    hues = dict(zip(checks, style.CATEGORIES, strict=False))
    # Thinner ones lie on thicker ones, so that curves in the same place are all seen.
    thickness = {name: 1.5 + (len(checks) - 1 - k) for k, name in enumerate(checks)}
    with style.house_style():
        figure, axes = style.panels(list(quantities), claim, panel_width=2.9)
        for axis, (title, key) in zip(axes, quantities.items(), strict=True):
            for name, check in checks.items():
                _draw(axis, check[key], hues[name], thickness[name], f"{title} under {name}")
            style.width_axis(axis, next(iter(checks.values())).widths)
        style.plain_powers(axes[0])
        axes[0].set_ylabel("size, relative to the narrowest")
        handles = [
            Line2D([], [], color=hue, linewidth=thickness[name], marker="o", label=name)
            for name, hue in hues.items()
        ]
        dashed = Line2D([], [], color=style.INK, linestyle="--", linewidth=1.0, label="predicted")
        figure.legend(handles=[*handles, dashed], loc="outside right center")
    return Picture.of(figure)


def _draw(axis: "Axes", row: "CheckRow", colour: str, thick: float, what: str) -> None:
    if row.slope is None or row.predicted is None:
        raise TransferError(
            f"There is no size of {what} to draw ({row.verdict}); expected one that is not zero "
            "and of which theory speaks."
        )
    widths = np.array(list(row.sizes))
    sizes = np.array([size for size in row.sizes.values() if size is not None])
    low, high = row.predicted
    predicted = min(max(row.slope, low), high)
    curve = sizes / sizes[0]
    axis.plot(widths, curve, "o-", color=colour, linewidth=thick, markersize=3 + 1.5 * thick)
    axis.plot(widths, (widths / widths[0]) ** predicted, "--", color=colour, linewidth=1.0)
