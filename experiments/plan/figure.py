"""Time to compile over the number of layers or trials, and memory over the number of layers."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.plan.judge import series
from transfer.report.style import CATEGORIES, DPI, INK, house_style

_MIB = 2.0**20
_GREY = "#9a9a9a"


def compile_figure(table: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]) -> Figure:
    """Draw both."""
    found = series(table)
    with house_style():
        figure = Figure(figsize=(12.4, 4.8), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        for (name, rows), colour in zip(found.items(), CATEGORIES, strict=False):
            counts = [row["layers" if name == "layers" else "trials"] for row in rows]
            left.plot(counts, [row["processor"] for row in rows], "o-", color=colour, label=name)
        left.set_ylim(bottom=0)
        left.set_title("Compiling takes as long, but for trials vectorised on a chip")
        left.set_xlabel("layers or trials")
        left.set_ylabel("processor seconds to compile")
        _counts(left, [row["layers"] for row in found["layers"]])
        left.legend()
        _memory(right, found["layers"], verdict["gathered_layer_by_layer"])
    return figure


def _memory(axis: Axes, rows: Sequence[Mapping[str, Any]], gathered: Mapping[str, Any]) -> None:
    layers = [row["layers"] for row in rows]
    measured = [row["bytes_temporaries"] / _MIB for row in rows]
    at_once = [
        measured[0] + (count - layers[0]) * (gathered["input"] + gathered["matrices"]) / _MIB
        for count in layers
    ]
    axis.plot(layers, measured, "o-", color=CATEGORIES[0])
    axis.plot(layers, at_once, "--", color=_GREY)
    axis.annotate("compiled", (layers[-1], measured[-1]), (-8, 8), textcoords="offset points",
                  ha="right", color=CATEGORIES[0], fontweight="bold")  # fmt: skip
    axis.annotate("if all layers were gathered at once", (layers[-1], at_once[-1]), (-12, -4),
                  textcoords="offset points", ha="right", color=INK)  # fmt: skip
    axis.set_ylim(bottom=0)
    axis.set_title("Parameters are gathered layer by layer")
    axis.set_xlabel("layers")
    axis.set_ylabel("temporaries of a chip, MiB")
    _counts(axis, layers)


def _counts(axis: Axes, counts: Sequence[int]) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks(counts, [str(count) for count in counts])
    axis.minorticks_off()
