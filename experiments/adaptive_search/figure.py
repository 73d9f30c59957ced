"""Regret beyond the oracle's by method and number of trials, one panel for each network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from transfer.report.style import CATEGORIES, DPI, INK, house_style

GOALS = {6: 0.0018, 12: 0.0010}
_NAMES = {"random": "random", "stationary": "GP without a prior", "adaptive": "adaptive"}


def replay_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw mean regret beyond the oracle's, from the second width on, with its standard error."""
    networks = list(dict.fromkeys(row["network"] for row in rows))
    with house_style():
        figure = Figure(figsize=(10, 4.2), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = np.atleast_1d(figure.subplots(1, len(networks)))
        for axis, network in zip(axes, networks, strict=True):
            mine = [row for row in rows if row["network"] == network]
            narrowest = min(row["width"] for row in mine)
            for place, (method, name) in enumerate(_NAMES.items()):
                for at, budget in enumerate(GOALS):
                    extra = _extra(mine, method, budget, narrowest)
                    axis.errorbar(
                        at + 0.18 * (place - 1),
                        100 * extra.mean(),
                        yerr=100 * extra.std() / np.sqrt(len(extra)),
                        fmt="o",
                        color=CATEGORIES[place],
                        label=name if at == 0 else None,
                    )
            for at, goal in enumerate(GOALS.values()):
                axis.plot([at - 0.35, at + 0.35], [100 * goal] * 2, color=INK, linestyle=":")
            axis.axhline(0, color=INK, linewidth=0.8)
            axis.set_xticks(range(len(GOALS)), [f"{budget} trials a width" for budget in GOALS])
            axis.set_title(network)
            axis.set_ylabel("regret beyond the oracle's, %")
        axes[0].legend()
        figure.suptitle(
            "Replayed searches, widths with a narrower one before them (dotted: the goal)",
            x=0.01,
            ha="left",
            fontweight="bold",
        )
    return figure


def _extra(
    rows: Sequence[Mapping[str, Any]], method: str, budget: int, narrowest: int
) -> np.ndarray:
    return np.array(
        [
            row["regret"] - row["oracle"]
            for row in rows
            if row["method"] == method and row["trials"] == budget and row["width"] > narrowest
        ]
    )
