"""Held-out loss over learning rate by horizon: read off trunks, and of runs of that length."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from transfer.report.style import CATEGORIES, DPI, house_style, learning_rates

KINDS = {
    "average": "average of the trunk",
    "branch": "branch of 40 steps",
    "wsd": "run, last fifth decays",
    "cosine": "run, cosine",
}


def horizons_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw a row of panels for each width, with a panel for each horizon; means over seeds."""
    widths, steps = (sorted({row[name] for row in rows}) for name in ("width", "steps"))
    with house_style():
        figure = Figure(
            figsize=(3.0 * len(steps), 3.0 * len(widths)), dpi=DPI, layout="constrained"
        )
        FigureCanvasAgg(figure)
        grid = np.atleast_2d(figure.subplots(len(widths), len(steps), sharex=True))
        for axes, width in zip(grid, widths, strict=True):
            for axis, horizon in zip(axes, steps, strict=True):
                here = [row for row in rows if (row["width"], row["steps"]) == (width, horizon)]
                for place, (kind, name) in enumerate(KINDS.items()):
                    curve = means([row for row in here if row["kind"] == kind])
                    line = {"color": CATEGORIES[place], "label": name}
                    axis.plot(
                        np.log2(list(curve)), list(curve.values()), marker="o", markersize=3, **line
                    )
                lowest = min(
                    min(means([r for r in here if r["kind"] == k]).values()) for k in KINDS
                )
                axis.set_ylim(lowest - 0.03, lowest + 0.6)
                axis.set_title(f"width {width}, {horizon} steps", fontsize=9)
                learning_rates(axis, "x")
            axes[0].set_ylabel("held-out loss (nats)")
        for axis in grid[-1]:
            axis.set_xlabel("learning rate")
        grid[0][0].legend(fontsize=7)
        figure.suptitle(
            "What one trunk says of runs of three lengths", x=0.01, ha="left", fontweight="bold"
        )
    return figure


def means(rows: Sequence[Mapping[str, Any]]) -> dict[float, float]:
    """Return the mean loss over seeds by learning rate, of those that completed."""
    losses: dict[float, list[float]] = defaultdict(list)
    for row in rows:
        losses[row["learning_rate"]].append(row["eval_loss"])
    return {
        rate: float(np.mean(found))
        for rate, found in sorted(losses.items())
        if np.isfinite(found).all()
    }
