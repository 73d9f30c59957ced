"""Feed-forward gain and sigma_1 over training, and their final ratios by kind of sublayer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.equilibrium.judge import FEED_FORWARD, PAPER, THEORY, with_feed_forward
from transfer.report.style import CATEGORIES, DPI, INK, house_style

_COLOURS = dict(zip(THEORY, (CATEGORIES[-1], *CATEGORIES), strict=False))


def equilibrium_figure(table: Sequence[Mapping], verdict: Mapping[str, Any]) -> Figure:
    """Draw three panels from the table and its verdict."""
    rows = [row for row in with_feed_forward(table) if row["kind"] == FEED_FORWARD]
    with house_style():
        figure = Figure(figsize=(14, 4.6), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        gain, sigma_1, ratios = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
        _over_time(gain, rows, "gain", verdict["steps"])
        _over_time(sigma_1, rows, "sigma_1", verdict["steps"])
        _ratios(ratios, verdict)
        gain.set_title("feed-forward gain")
        sigma_1.set_title("feed-forward sigma_1")
        handles = [Line2D([], [], color=colour, label=arm) for arm, colour in _COLOURS.items()]
        handles.append(
            Line2D([], [], color=INK, linestyle=":", label="exp(-2 lr decay t) from start to end")
        )
        figure.legend(handles=handles, loc="outside lower left", ncols=4)
        figure.legend(handles=_marks(), loc="outside lower right", ncols=3)
        claim = (
            "Both follow decay nearly as theory says; with lr at its side sigma_1 stays in the mean"
        )
        figure.suptitle(claim, x=0.01, ha="left", fontweight="bold")
    return figure


def _over_time(axis: Axes, rows: Sequence[Mapping], quantity: str, steps: int) -> None:
    for arm, colour in _COLOURS.items():
        mine = [row for row in rows if row["arm"] == arm and row["step"] <= steps]
        at = sorted({row["step"] for row in mine})
        times = np.array([next(r["decay_times"] for r in mine if r["step"] == s) for s in at])
        values = np.array([_mean(row[quantity] for row in mine if row["step"] == s) for s in at])
        axis.plot(at, values, "-", color=colour)
        # Squares forget where they started as exp(-2 lr decay t).
        kept = np.exp(-2 * times)
        limit = (values[-1] ** 2 - values[0] ** 2 * kept[-1]) / (1 - kept[-1])
        axis.plot(
            at, np.sqrt(limit + (values[0] ** 2 - limit) * kept), ":", color=colour, linewidth=1.2
        )
    axis.set_xlabel("step")
    axis.set_ylim(bottom=0)


def _ratios(axis: Axes, verdict: Mapping[str, Any]) -> None:
    found = verdict["at_equal_steps"]
    kinds = [kind for kind in found if kind != FEED_FORWARD] + [FEED_FORWARD]
    arms = list(found[FEED_FORWARD])
    for place, arm in enumerate(arms):
        predicted = THEORY[arm]
        axis.plot([predicted] * 2, [place - 0.42, place + 0.42], "-", color=INK, linewidth=1)
        for row, (quantity, marker) in enumerate((("gain", "o"), ("sigma_1", "s"))):
            y = place + (-0.2, 0.2)[row]
            for kind in kinds[:-1]:
                value = found[kind][arm][quantity]["value"]
                axis.plot(value, y, marker, color=_COLOURS[arm], alpha=0.35, markersize=4)
            mean = found[FEED_FORWARD][arm][quantity]
            axis.plot(mean["interval"], [y, y], "-", color=_COLOURS[arm])
            axis.plot(mean["value"], y, marker, color=_COLOURS[arm], markersize=7)
            axis.plot(PAPER[arm][quantity], y, "x", color=INK, markersize=7)
    unsettled = verdict["settled"]
    axis.set_yticks(
        range(len(arms)), [arm if unsettled[arm] else f"{arm}\n(unsettled)" for arm in arms]
    )
    axis.set_xscale("log", base=2)
    axis.set_xticks([0.5, 2**-0.5, 1, 2**0.5, 2], ["0.5", "0.71", "1", "1.41", "2"])
    axis.invert_yaxis()
    axis.set_title(f"over the base, after {verdict['steps']} steps")


def _marks() -> list[Line2D]:
    return [
        Line2D([], [], color="grey", marker="o", markersize=7, linestyle="", label="gain"),
        Line2D([], [], color="grey", marker="s", markersize=7, linestyle="", label="sigma_1"),
        Line2D(
            [], [], color="grey", marker="o", markersize=4, alpha=0.5, linestyle="",
            label="each kind of sublayer",
        ),
        Line2D([], [], color=INK, marker="x", markersize=7, linestyle="", label="paper"),
        Line2D([], [], color=INK, linewidth=1, label="theory"),
    ]  # fmt: skip


def _mean(values: Any) -> float:
    return float(np.mean(list(values)))
