"""The figure of docs/performance.md: steps by width and sweeps by contender, against torch."""

import statistics
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks import step, sweep
from transfer.report.style import CATEGORIES, DPI, INK, house_style, plain_powers, width_axis

# Peers are gray, and this project's own lines and bars have a color.
_COLORS = {
    step.SIDE_BY_SIDE: CATEGORIES[0],
    step.ALONE: CATEGORIES[1],
    step.PROCESSES: "#6e6e6e",
    step.EAGER: "#b0b0b0",
    sweep.OURS: CATEGORIES[0],
    sweep.COMPILED: "#6e6e6e",
    sweep.PROCESSES: "#b0b0b0",
}
_TITLES = {
    "sweep": "Nine learning rates at width 64",
    "recipes": "Two recipes, three widths, nine rates",
}


def performance_figure(parts: Mapping[str, Any]) -> Figure:
    """Draw a panel for steps and one for each sweep, of those that were measured."""
    sweeps = [name for name in _TITLES if parts.get(name, {}).get("cases")]
    drawn = [*(["step"] if parts.get("step", {}).get("cases") else []), *sweeps]
    with house_style():
        figure = Figure(figsize=(4.9 * len(drawn) + 0.4, 4.4), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        for axis, name in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
            if name == "step":
                _steps(axis, parts["step"]["cases"])
            else:
                axis.set_title(_TITLES[name])
                _bars(axis, parts[name]["cases"]["seconds"], named=name == sweeps[0])
    return figure


def _steps(axis: Axes, cases: Mapping[str, Mapping[str, list[float]]]) -> None:
    widths = [width for width in step.WIDTHS if f"width {width}" in cases]
    for name in (step.EAGER, step.PROCESSES, step.ALONE, step.SIDE_BY_SIDE):
        ratios = []
        for width in widths:
            measured = cases[f"width {width}"]
            medians = [statistics.median(measured[each]) for each in (name, step.COMPILED)]
            ratios.append(medians[0] / medians[1])
        axis.plot(widths, ratios, "o-", color=_COLORS[name], label=name)
    axis.axhline(1.0, color=INK, linewidth=1.0, linestyle="--")
    width_axis(axis, widths)
    plain_powers(axis)
    axis.set_title("Time of a step of one trial")
    axis.set_ylabel("over torch.compile on all cores")
    axis.legend(loc="upper left", bbox_to_anchor=(0.0, -0.18), fontsize=8.5)


def _bars(axis: Axes, measured: Mapping[str, list[float]], *, named: bool) -> None:
    heights, names = [], []
    for row, start in enumerate((sweep.COLD, sweep.WARM)):
        for place, name in enumerate((sweep.OURS, sweep.COMPILED, sweep.PROCESSES)):
            seconds = statistics.median(measured[f"{name}, {start}"])
            height = -(row * 3.6 + place)
            axis.barh(height, seconds, color=_COLORS[name], height=0.85)
            axis.annotate(f"{seconds:.0f}", (seconds, height), (4, 0),
                          textcoords="offset points", va="center", fontsize=9)  # fmt: skip
            heights.append(height)
            names.append(f"{name}, {start}")
    axis.set_yticks(heights, names if named else [""] * len(names))
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", visible=False)
    axis.spines["left"].set_visible(False)
    axis.margins(x=0.12)
    axis.set_xlabel("seconds")
