"""sigma_1 against width by rule, its slope by kind, and what calibration leaves over."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.decay_rules.text_judge import MEAN, last, of_rules, with_mean
from transfer.analysis import predicted_slope
from transfer.report.style import CATEGORIES, DPI, INK, house_style, width_axis
from transfer.scaling import Recipe

_MARKERS = ("o", "s", "D")


def text_figure(table: Sequence[Mapping], verdict: Mapping[str, Any]) -> Figure:
    """Draw three panels from the table and its verdict."""
    with house_style():
        figure = Figure(figsize=(14, 4.8), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        widths, kinds, calibrated = figure.subplots(1, 3, width_ratios=(1, 1.1, 1.1))
        _widths(widths, table)
        _kinds(kinds, verdict)
        _calibrated(calibrated, verdict["calibrated"])
        predicted = Line2D([], [], color=INK, linestyle="--", linewidth=1, label="with p = 3/4")
        rules, _ = widths.get_legend_handles_labels()
        figure.legend(handles=[*rules, predicted], loc="outside lower left", ncols=5)
        arms, _ = calibrated.get_legend_handles_labels()
        figure.legend(handles=arms, loc="outside lower right", ncols=3)
        figure.suptitle(CLAIM, x=0.01, ha="left", fontweight="bold")
    return figure


CLAIM = (
    "On text too the rules stand a quarter apart; sqrt is level, and exponents by kind gain nothing"
)


def _widths(axis: Axes, table: Sequence[Mapping]) -> None:
    rules = of_rules(table)
    for (rule, rows), colour in zip(rules.items(), CATEGORIES, strict=False):
        mine = [row for row in with_mean(last(rows)) if row["matrix"] == MEAN]
        widths = sorted({row["width"] for row in mine})
        sizes = np.array(
            [np.mean([row["sigma_1"] for row in mine if row["width"] == w]) for w in widths]
        )
        axis.plot(widths, sizes, "o-", color=colour, markersize=4, label=rule)
        # Rules meet at the widest, up to what differs beside the hidden matrices.
        growth = np.array(widths) / widths[-1]
        slope = predicted_slope(Recipe.parse(rule))
        axis.plot(widths, sizes[-1] * growth**slope, "--", color=colour, lw=1)
    width_axis(axis, widths)
    axis.set_yscale("log", base=2)
    axis.set_title("sigma_1 after equal steps, mean of all kinds")


def _kinds(axis: Axes, verdict: Mapping[str, Any]) -> None:
    kinds = [*verdict["calibrated"]["p"], MEAN]
    for (rule, judged), colour in zip(verdict["rules"].items(), CATEGORIES, strict=False):
        slope = predicted_slope(Recipe.parse(rule))
        axis.axvline(slope, color=colour, linestyle="--", linewidth=1, zorder=0)
        for place, kind in enumerate(kinds):
            found = judged["at_equal_steps"][kind]["sigma_1"]
            axis.plot(found["interval"], [place, place], "-", color=colour, linewidth=1)
            axis.plot(found["value"], place, "o", color=colour, markersize=5)
    axis.set_yticks(range(len(kinds)), kinds)
    axis.invert_yaxis()
    axis.set_title("its slope over log width, by kind of sublayer")


def _calibrated(axis: Axes, found: Mapping[str, Any]) -> None:
    kinds = list(found["p"])
    shown = zip(found["by_runs"].items(), _MARKERS, CATEGORIES[-1:] + CATEGORIES[4:6], strict=True)
    for row, ((arm, judged), marker, colour) in enumerate(shown):
        level = judged["from_level"]["value"]
        for place, kind in enumerate(kinds):
            slope, y = judged["slopes"][kind], place + 0.22 * (row - 1)
            axis.plot(slope["interval"], [y, y], "-", color=colour, linewidth=1)
            axis.plot(slope["value"], y, marker, color=colour, markersize=5)
        axis.plot(
            [], [], marker, color=colour, linestyle="", label=f"{arm}: {level:.2f} from level"
        )
    axis.axvline(0, color=INK, linewidth=1, zorder=0)
    axis.set_yticks(range(len(kinds)), kinds)
    axis.invert_yaxis()
    axis.set_title(f"slope from width {found['widths'][-1]} to {found['held_out']}, by decay")
