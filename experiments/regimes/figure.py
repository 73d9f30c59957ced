"""Measured against predicted slopes, one panel per question."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from transfer.report.style import CATEGORIES, INK, house_style, panels

_FAMILIES = {"linear": "SGD", "entrywise": "Adam"}


def slopes_figure(table: Sequence[Mapping]) -> Figure:
    """Draw a point a network: features and output of stable ones, what fails in unstable ones."""
    last = max(row["quantity"] for row in table if row["quantity"].startswith("features"))
    questions = {
        "last features": [row for row in table if row["quantity"] == last],
        "every layer's own update": [
            row for row in table if row["part"] == "stable" and "update" in row["quantity"]
        ],
        "what the failing condition names": [
            row for row in table if row["condition"] and row["predicted"] is not None
        ],
    }
    with house_style():
        figure, axes = panels(list(questions), "Slopes over log width, measured and predicted")
        for axis, rows in zip(axes, questions.values(), strict=True):
            ends = [min(row["predicted"] for row in rows), max(row["predicted"] for row in rows)]
            axis.axline((0, 0), slope=1, color=INK, linewidth=0.8)
            for place, (family, name) in enumerate(_FAMILIES.items()):
                _draw(axis, [row for row in rows if row["family"] == family], name, place)
            axis.set_xlim(ends[0] - 0.25, ends[1] + 0.25)
            axis.set_xlabel("predicted")
        axes[0].set_ylabel("measured")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center")
    return figure


def _draw(axis, rows, name, place):
    # Moved apart a little, so that points with the same prediction do not hide each other.
    spread = np.random.default_rng(place).uniform(0.01, 0.06, len(rows)) * (2 * place - 1)
    x = np.array([row["predicted"] for row in rows]) + spread
    y = [row["slope"] for row in rows]
    axis.plot(x, y, ".", color=CATEGORIES[place], markersize=4, label=name)
