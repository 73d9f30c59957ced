"""The coordinate check in one picture: sizes over what theory predicts, against width."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from transfer.checks import CheckRow, CoordinateCheck
from transfer.checks.rows import steps
from transfer.report.style import CATEGORIES, INK, grid, house_style, width_axis

_PANELS = {
    "weights": ("weight", False),
    "gradients": ("gradient", False),
    "first updates": ("update", False),
    "activations": ("activation", False),
    "changes, first step": ("change", False),
    "changes, {steps}": ("change", True),
}
_COLOURS = {"agrees": CATEGORIES[0], "undecided": CATEGORIES[4], "differs": CATEGORIES[1]}


def coordinate_figure(checks: Mapping[str, CoordinateCheck]) -> Figure:
    """Draw every judged size over its predicted one, one row of panels per check.

    Each curve is a tensor's size relative to the narrowest width, divided by width to the predicted
    slope: level where theory holds. Of those that differ, the worst of a panel is named.
    """
    with house_style():
        figure, rows = grid(_titles(checks), _claim(checks), panel_width=2.3)
        for axes, (name, check) in zip(rows, checks.items(), strict=True):
            for axis, (quantity, later) in zip(axes, _PANELS.values(), strict=True):
                shown = [
                    row for row in check if row.quantity == quantity and (row.step > 0) == later
                ]
                _draw(axis, shown, check.widths)
            axes[0].set_ylabel(f"{name}\nsize / predicted size")
        _scale([axis for axes in rows for axis in axes])
        figure.legend(handles=_legend(), loc="outside right center")
    return figure


def _draw(axis: Axes, rows: Sequence[CheckRow], widths: Sequence[int]) -> None:
    axis.axhline(1.0, color=INK, linewidth=0.8, linestyle="--")
    relative = np.array(widths) / widths[0]
    wrong = [row for row in rows if row.verdict == "differs"]
    for row in sorted(rows, key=lambda row: row.verdict == "differs"):
        if row.verdict == "not judged" or row.predicted is None:
            continue
        sizes = np.array([size for size in row.sizes.values() if size is not None])
        # Of a range, the end that the slope is nearer to.
        low, high = row.predicted
        predicted = min(max(row.slope or 0.0, low), high)
        curve = sizes / sizes[0] / relative**predicted
        axis.plot(widths, curve, "-", color=_COLOURS[row.verdict], linewidth=1.2)
    if wrong:
        worst = max(wrong, key=lambda row: abs(row.error))
        more = f"\nand {len(wrong) - 1} more" if len(wrong) > 1 else ""
        axis.text(
            0.03,
            0.97,
            f"{worst.name}\n{worst.error:+.2f}{more}",
            transform=axis.transAxes,
            va="top",
            fontsize=7.5,
            color=_COLOURS["differs"],
        )
    width_axis(axis, widths)


def _scale(axes: Sequence[Axes]) -> None:
    """Make the shared y axis one of plain powers of two, at least from 1/2 to 2."""
    logs = np.log2(np.concatenate([line.get_ydata() for axis in axes for line in axis.get_lines()]))
    # A power of two stays one, whatever rounding did to it.
    low, high = logs.round(6).min(), logs.round(6).max()
    lowest, highest = min(math.floor(low), -1), max(math.ceil(high), 1)
    axes[0].set_yscale("log", base=2)
    axes[0].set_ylim(2.0 ** (lowest - 0.2), 2.0 ** (highest + 0.2))
    every = 1 + (highest - lowest) // 8
    powers = [power for power in range(lowest, highest + 1) if power % every == 0]
    labels = [f"1/{2**-power}" if power < 0 else f"{2**power}" for power in powers]
    axes[0].set_yticks([2.0**power for power in powers], labels)
    axes[0].yaxis.set_minor_locator(NullLocator())


def _titles(checks: Mapping[str, CoordinateCheck]) -> list[list[str]]:
    taken = steps(max(row.step for check in checks.values() for row in check))
    first = [title.format(steps=taken) for title in _PANELS]
    # Panels below one another show the same.
    return [first, *[[""] * len(first)] * (len(checks) - 1)]


def _claim(checks: Mapping[str, CoordinateCheck]) -> str:
    judged = [row for check in checks.values() for row in check if row.verdict != "not judged"]
    differ = sum(row.verdict == "differs" for row in judged)
    undecided = sum(row.verdict == "undecided" for row in judged)
    recipe = next(iter(checks.values())).recipe
    if differ:
        return f"{differ} of {len(judged)} sizes do not follow width as {recipe} predicts"
    if undecided:
        right = len(judged) - undecided
        return f"{right} of {len(judged)} sizes follow width as {recipe} predicts, no other differs"
    return f"All {len(judged)} sizes follow width as {recipe} predicts"


def _legend() -> list[Line2D]:
    handles = [Line2D([], [], color=colour, label=verdict) for verdict, colour in _COLOURS.items()]
    return [*handles, Line2D([], [], color=INK, linestyle="--", linewidth=0.8, label="predicted")]
