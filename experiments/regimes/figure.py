"""How far measured slopes lie from predicted ones, one panel per question."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from transfer.report.style import CATEGORIES, INK, house_style, panels

_FAMILIES = {"linear": "SGD", "entrywise": "Adam"}


def slopes_figure(table: Sequence[Mapping], tolerance: float) -> Figure:
    """Draw a point for every slope, in a band of the tolerance."""
    stable = [row for row in table if row["part"] == "stable"]
    last = max(row["quantity"] for row in stable if row["quantity"].startswith("features"))
    questions = {
        "last features of stable networks": [row for row in stable if row["quantity"] == last],
        "updates of their layers": [row for row in stable if "update" in row["quantity"]],
        "what the failing condition names": [
            row for row in table if row["part"] == "unstable" and row["predicted"] is not None
        ],
    }
    with house_style():
        claim = "Slopes over log width lie where the classifier puts them"
        figure, axes = panels(list(questions), claim)
        for axis, rows in zip(axes, questions.values(), strict=True):
            axis.axhspan(-tolerance, tolerance, color=INK, alpha=0.08, linewidth=0)
            for place, (family, name) in enumerate(_FAMILIES.items()):
                _draw(axis, [row for row in rows if row["family"] == family], name, place)
            axis.xaxis.set_major_locator(MultipleLocator(0.5 if axis is not axes[1] else 1))
            axis.set_xlabel("predicted slope")
        axes[0].set_ylim(-0.25, 0.25)
        axes[0].set_ylabel("measured - predicted")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _draw(axis: Axes, rows: Sequence[Mapping], name: str, place: int) -> None:
    # Moved apart a little, so that points with the same prediction do not hide each other.
    spread = np.random.default_rng(place).uniform(0.01, 0.08, len(rows)) * (2 * place - 1)
    predicted = np.array([row["predicted"] for row in rows])
    measured = np.array([row["slope"] for row in rows])
    axis.plot(
        predicted + spread,
        measured - predicted,
        ".",
        color=CATEGORIES[place],
        label=name,
        alpha=0.8,
    )
