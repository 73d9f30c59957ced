"""sigma_1 by rule, how it grows with training, and p by setting."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.decay_rules.pair import Pair
from transfer.analysis import predicted_slope
from transfer.report.style import CATEGORIES, DPI, INK, house_style, width_axis, width_colours
from transfer.scaling import Recipe

_SHOWN_AT = (6, 24)
_MATRICES = {"first": CATEGORIES[0], "second": CATEGORIES[1]}


def synthetic_figure(table: Sequence[Mapping], verdict: Mapping[str, Any]) -> Figure:
    """Draw three panels from the table and its verdict."""
    with house_style():
        figure = Figure(figsize=(14, 4.6), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        rules, growth, settings = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
        _rules(rules, [row for row in table if row["part"] == "rules"], verdict)
        _growth(growth, [row for row in table if row["part"] == "long"])
        _settings(settings, verdict)
        claim = "Of noise alone: rules order sigma_1 as predicted, but p is 3/4 only on the way"
        figure.suptitle(claim, x=0.01, ha="left", fontweight="bold")
    return figure


def _rules(axis: Axes, rows: Sequence[Mapping], verdict: Mapping[str, Any]) -> None:
    times = verdict["compared_at_decay_times"]
    widths = sorted({row["width"] for row in rows})
    for recipe, colour in zip(verdict["rules"], CATEGORIES, strict=False):
        mine = [
            row
            for row in rows
            if row["recipe"] == recipe and abs(row["decay_times"] - times) < 0.05
        ]
        sizes = np.array([_mean(r["sigma_1"] for r in mine if r["width"] == w) for w in widths])
        growth = np.array(widths) / widths[0]
        axis.plot(widths, sizes / sizes[0], "o-", color=colour, markersize=4, label=recipe)
        slope = predicted_slope(Recipe.parse(recipe))
        axis.plot(widths, growth**slope, "--", color=colour, linewidth=1)
    width_axis(axis, widths)
    axis.set_yscale("log", base=2)
    axis.set_title(f"top singular value after {times} decay times")
    axis.set_ylabel("sigma_1 over that of the base width")
    handles, labels = axis.get_legend_handles_labels()
    handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=1))
    axis.legend(handles, [*labels, "predicted with p = 3/4"], loc="upper left")


def _growth(axis: Axes, rows: Sequence[Mapping]) -> None:
    widths = sorted({row["width"] for row in rows})
    for width, colour in width_colours(widths).items():
        mine = [row for row in rows if row["width"] == width]
        steps = sorted({row["step"] for row in mine})
        times = [next(r["decay_times"] for r in mine if r["step"] == step) for step in steps]
        ranks = [_mean(_stable_rank(r) for r in mine if r["step"] == step) for step in steps]
        axis.plot(
            np.array(times) / width, ranks, "o-", color=colour, markersize=4, label=f"{width}"
        )
    axis.set_xscale("log", base=2)
    axis.set_yscale("log", base=2)
    axis.set_title("two linear matrices go to rank one")
    axis.set_xlabel("decay times / width")
    axis.set_ylabel("stable rank")
    axis.legend(title="width", loc="upper right")


def _settings(axis: Axes, verdict: Mapping[str, Any]) -> None:
    for place, by_time in enumerate(verdict["p"].values()):
        for k, (times, matrix) in enumerate(itertools.product(_SHOWN_AT, _MATRICES)):
            found = by_time[str(times)].get(matrix)
            if found is None:
                continue
            y = place + 0.17 * (k - 1.5)
            filled = None if times == _SHOWN_AT[-1] else "white"
            colour = _MATRICES[matrix]
            axis.plot(found["p"]["interval"], [y, y], "-", color=colour, linewidth=1)
            axis.plot(found["p"]["value"], y, "o", color=colour, mfc=filled, markersize=4)
    for p in (0.5, 0.75, 1.0):
        axis.axvline(p, color=INK, linewidth=1, linestyle="--" if p == 0.75 else ":", zorder=0)
    axis.set_yticks(range(len(verdict["p"])), list(verdict["p"]))
    axis.invert_yaxis()
    axis.set_title("p, by what differs from the first")
    axis.set_xlabel("p of sigma_1 ~ sqrt(lr / decay) width^p")
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=f"{matrix} matrix")
        for matrix, colour in _MATRICES.items()
    ]
    handles += [
        Line2D(
            [], [], color=INK, marker="o", mfc=filled, linestyle="", label=f"{times} decay times"
        )
        for times, filled in zip(_SHOWN_AT, ("white", None), strict=True)
    ]
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2)


def _stable_rank(row: Mapping) -> float:
    """|W|_F^2 / sigma_1^2 of a matrix with `width` rows or columns and `Pair.aspect` as many."""
    return float(Pair().aspect) * (row["width"] * row["rms"] / row["sigma_1"]) ** 2


def _mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    return float(np.exp(np.mean(np.log(list(values)))))
