"""Activations and parameters over FLOPs, one line per way of scaling."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.compound_scaling.judge import KINDS
from transfer.report.style import CATEGORIES, DPI, INK, house_style, powers_of_two
from transfer.scaling.compound import COMPOUNDS

_GREY = "#9a9a9a"
# The ways that the claim compares stand out.
_COLOURS = dict(zip(("width", "uniform", "fast"), CATEGORIES, strict=False))
_LINE = 12.0  # from one label to the next below it, in points


def growth_figure(table: Sequence[Mapping], verdict: Mapping[str, Any]) -> Figure:
    """Draw the exact counts of the first network as points and the theory as lines."""
    name, found = next(iter(verdict["networks"].items()))
    rows = [row for row in table if row["network"] == name]
    doublings = math.log2(verdict["growth"])
    with house_style():
        figure = Figure(figsize=(12.4, 5.2), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2, sharey=True)
        for axis, kind in zip(axes, KINDS, strict=True):
            _points(axis, rows, kind, doublings)
            _labels(axis, found, kind, doublings)
            axis.set_title(f"{kind} of {name}")
            axis.set_xlabel("FLOPs, times those of the published network")
            axis.set_ylabel(f"{kind}, times those published")
            axis.set_xlim(-0.2, doublings + 0.2)
            axis.set_ylim(-0.35, doublings + 0.45)
            powers_of_two(axis, "x")
            powers_of_two(axis, "y")
        axes[0].legend(handles=_legend(), loc="upper left")
        claim = (
            "Activations grow as the square root of FLOPs where width grows alone; "
            "fast scaling stays near that, uniform does not"
        )
        figure.suptitle(claim, x=0.01, ha="left", fontweight="bold")
    return figure


def _points(axis: Axes, rows: Sequence[Mapping], kind: str, doublings: float) -> None:
    for scaling, compound in COMPOUNDS.items():
        mine = [row for row in rows if row["scaling"] == scaling]
        flops, counts = (
            [math.log2(row[each] / mine[0][each]) for row in mine] for each in ("flops", kind)
        )
        colour, front = _COLOURS.get(scaling, _GREY), 3 if scaling in _COLOURS else 2
        end = float(getattr(compound, kind)) * doublings
        axis.plot([0, doublings], [0, end], color=colour, linewidth=1.2, zorder=front)
        axis.plot(
            flops, counts, "o", color=colour, markersize=5, markeredgecolor="white", zorder=front
        )


def _labels(axis: Axes, found: Mapping[str, Any], kind: str, doublings: float) -> None:
    """Name every line where it ends, those with one exponent below each other."""
    groups: dict[Fraction, list[str]] = {}
    for scaling, compound in COMPOUNDS.items():
        groups.setdefault(getattr(compound, kind), []).append(scaling)
    for slope, names in groups.items():
        for place, name in enumerate(names):
            axis.annotate(
                f"{name}  {found[name][kind]['value']:.2f} ({slope})",
                (doublings, float(slope) * doublings),
                (14, _LINE * ((len(names) - 1) / 2 - place)),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color=_COLOURS.get(name, INK),
                fontweight="bold" if name in _COLOURS else "normal",
                annotation_clip=False,
            )


def _legend() -> list[Line2D]:
    marks = {"markersize": 5, "linestyle": "", "markeredgecolor": "white"}
    return [
        Line2D([], [], color=INK, marker="o", label="exact counts", **marks),
        Line2D([], [], color=INK, linewidth=1.2, label="theory"),
        Line2D([], [], linestyle="", label="at the end: slope of counts (theory)"),
    ]
