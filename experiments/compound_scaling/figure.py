"""Activations and parameters over FLOPs, one line per way of scaling."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.report.style import CATEGORIES, DPI, INK, house_style, powers_of_two
from transfer.scaling.compound import COMPOUNDS

_GREY = "#8c8c8c"
# The ways that the claim compares stand out.
_COLOURS = dict(zip(("width", "uniform", "fast"), CATEGORIES, strict=False))
_LINE = 11.5  # from one label to the next below it, in points


def growth_figure(table: Sequence[Mapping], verdict: Mapping[str, Any]) -> Figure:
    """Draw the exact counts of the first network as points and the theory as lines."""
    name, found = next(iter(verdict["networks"].items()))
    rows = [row for row in table if row["network"] == name]
    with house_style():
        figure = Figure(figsize=(12.4, 4.9), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        for axis, kind in zip(figure.subplots(1, 2), ("activations", "parameters"), strict=True):
            _panel(axis, rows, kind)
            _labels(axis, found, kind, np.log2(verdict["growth"]))
            axis.set_title(f"{kind} of {name}, as it grows")
            axis.set_xlabel("FLOPs, times those of the smallest")
            axis.set_ylabel(f"{kind}, times those of the smallest")
        figure.get_layout_engine().set(wspace=0.06)
        handles = [
            Line2D([], [], color=INK, marker="o", markersize=4, linestyle="", label="exact counts"),
            Line2D([], [], color=INK, linewidth=1.2, label="theory"),
        ]
        figure.axes[0].legend(handles=handles, loc="upper left")
        claim = (
            "Activations grow as the square root of FLOPs where width grows alone, "
            "nearly so under fast scaling, not under uniform"
        )
        figure.suptitle(claim, x=0.01, ha="left", fontweight="bold")
    return figure


def _panel(axis: Axes, rows: Sequence[Mapping], kind: str) -> None:
    for scaling, compound in COMPOUNDS.items():
        mine = [row for row in rows if row["scaling"] == scaling]
        flops, counts = (
            np.log2([row[name] / mine[0][name] for row in mine]) for name in ("flops", kind)
        )
        colour, front = _COLOURS.get(scaling, _GREY), 3 if scaling in _COLOURS else 2
        slope = float(getattr(compound, kind))
        ends = np.array([0.0, max(row["growth"] for row in rows)])
        ends[1] = np.log2(ends[1])
        axis.plot(ends, slope * ends, color=colour, linewidth=1.2, zorder=front)
        axis.plot(flops, counts, "o", color=colour, markersize=4, zorder=front)
    powers_of_two(axis, "x")
    powers_of_two(axis, "y")


def _labels(axis: Axes, found: Mapping[str, Any], kind: str, end: float) -> None:
    """Name every line where it ends, those with one exponent below each other."""
    groups: dict[Fraction, list[str]] = {}
    for scaling, compound in COMPOUNDS.items():
        groups.setdefault(getattr(compound, kind), []).append(scaling)
    for slope, names in groups.items():
        for place, name in enumerate(names):
            axis.annotate(
                f"{name}: {found[name][kind]['value']:.2f} ({slope})",
                (end, float(slope) * end),
                (12, _LINE * ((len(names) - 1) / 2 - place)),
                textcoords="offset points",
                va="center",
                color=_COLOURS.get(name, INK),
                fontweight="bold" if name in _COLOURS else "normal",
                annotation_clip=False,
            )
