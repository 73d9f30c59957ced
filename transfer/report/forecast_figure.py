"""The forecast: losses over parameters and FLOPs, their law with its band, and the targets."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.report.forecast_data import ForecastPanel, ShownForecast, loss_limits
from transfer.report.style import CATEGORIES, INK, grid, house_style

_LAW, _TARGET, _HELD_OUT = CATEGORIES[0], CATEGORIES[1], CATEGORIES[2]


def forecast_figure(shown: ShownForecast) -> Figure:
    """Draw loss over size, one row per recipe: over parameters, and over FLOPs of a run.

    Dots are proxies, the open square is the widest one as the narrower ones forecast it, bars are
    forecasts of targets with their intervals, and stars what came.
    """
    panels = shown.panels()
    rows = [panels[place : place + 2] for place in range(0, len(panels), 2)]
    with house_style():
        titles = [[f"{panel.recipe}, over {panel.size}" for panel in row] for row in rows]
        figure, axes = grid(titles, shown.claim)
        for row, drawn in zip(rows, axes, strict=True):
            for panel, axis in zip(row, drawn, strict=True):
                _draw(axis, panel)
            drawn[0].set_ylabel(f"{row[0].unit} (nats)")
            drawn[0].set_ylim(*loss_limits(panels))
        came = any(mark.came is not None for panel in panels for mark in panel.targets)
        figure.legend(handles=_legend(came), loc="outside right center")
    return figure


def _draw(axis: Axes, panel: ForecastPanel) -> None:
    sizes = [row.size for row in panel.law]
    axis.fill_between(
        sizes,
        [row.low for row in panel.law],
        [row.high for row in panel.law],
        color=_LAW,
        alpha=0.15,
        linewidth=0,
    )
    axis.plot(sizes, [row.loss for row in panel.law], color=_LAW)
    axis.plot(*zip(*((x, y) for _, x, y in panel.proxies), strict=True), "o", color=INK)
    held_out = panel.held_out
    _bar(axis, panel.held_out_size, held_out.forecast, held_out.interval, _HELD_OUT, "s")
    for mark in panel.targets:
        _bar(axis, mark.size, mark.loss, mark.interval, _TARGET, "D")
        if mark.came is not None:
            axis.plot(
                mark.size,
                mark.came,
                "*",
                color=INK,
                markeredgecolor="white",
                markersize=14,
                zorder=5,
            )
    axis.set_xscale("log")
    axis.set_xlabel(panel.size)


def _bar(
    axis: Axes, size: float, loss: float, interval: tuple[float, float], colour: str, marker: str
) -> None:
    below, above = loss - interval[0], interval[1] - loss
    axis.errorbar(
        [size],
        [loss],
        yerr=[[max(below, 0.0)], [max(above, 0.0)]],
        color=colour,
        marker=marker,
        markerfacecolor="white",
        markersize=5,
        capsize=3,
        zorder=4,
    )


def _legend(came: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=INK, marker="o", linestyle="", label="proxy"),
        Line2D([], [], color=_LAW, label="law, 95 % band"),
        Line2D([], [], color=_HELD_OUT, marker="s", markerfacecolor="white", label="held out"),
        Line2D([], [], color=_TARGET, marker="D", markerfacecolor="white", label="forecast"),
    ]
    if came:
        handles.append(
            Line2D([], [], color=INK, marker="*", markersize=12, linestyle="", label="came")
        )
    return handles
