"""Coverage of the forecast's interval over how far it reaches."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from transfer.report.style import CATEGORIES, INK, house_style, panels


def coverage_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """Draw coverage over reach, a curve per scenario: laws that are fitted, and others."""
    titles = ["the law is E + A x^-a", "another law"]
    claim = "The interval covers as it says where the law holds, and not where it bends"
    with house_style():
        figure, axes = panels(titles, claim)
        for axis, in_family in zip(axes, (True, False), strict=True):
            names = dict.fromkeys(r["scenario"] for r in rows if r["in_family"] == in_family)
            for place, name in enumerate(names):
                mine = [r for r in rows if r["scenario"] == name]
                reaches = sorted({r["reach"] for r in mine})
                means = [_mean(mine, reach, "mean") for reach in reaches]
                colour = CATEGORIES[place % len(CATEGORIES)]
                dash = "-" if place < len(CATEGORIES) else "--"
                axis.plot(reaches, means, dash, marker="o", markersize=4, color=colour, label=name)
            axis.axhline(95, color=INK, linewidth=1, linestyle=":")
            axis.set_xscale("log", base=2)
            axis.set_xticks(reaches, [f"{reach:g}" for reach in reaches])
            axis.set_xlabel("target's width over the widest proxy's")
            axis.legend(fontsize=6.5, loc="lower left")
        axes[0].set_ylabel("covered (%)")
        axes[0].set_ylim(0, 102)
    return figure


def _mean(rows: Sequence[dict[str, Any]], reach: float, key: str) -> float:
    found = [row[key] for row in rows if row["reach"] == reach]
    return 100 * sum(found) / len(found)
