"""What all figures share: fonts, colours, axes of powers of two, and PNG bytes."""

import contextlib
import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

DPI = 150
PANEL_WIDTH, PANEL_HEIGHT = 3.6, 3.4
LETTER_WIDTH = 0.107  # of a bold title, in inches
INK = "#333333"
_FEW = 4  # ticks to read a slope from
# Okabe and Ito's palette without its yellow, which is too light for lines.
CATEGORIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

_RC: dict[Any, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "figure.titlesize": 11.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
}


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style without touching the caller's matplotlib settings."""
    with matplotlib.rc_context(_RC):
        yield


def panels(
    titles: Sequence[str], claim: str, panel_width: float = PANEL_WIDTH
) -> tuple[Figure, list[Axes]]:
    """Return a figure under a claim, one panel per title side by side on a shared y axis.

    `panel_width` is in inches; a legend column on the right has room of its own.
    """
    figure, rows = grid([titles], claim, panel_width)
    return figure, rows[0]


def grid(
    titles: Sequence[Sequence[str]], claim: str, panel_width: float = PANEL_WIDTH
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure under a claim, with rows of panels that share one y axis."""
    width = panel_width * len(titles[0]) + 1.6
    size = (width, PANEL_HEIGHT * len(titles) + 0.3)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(titles), len(titles[0]), sharey=True, squeeze=False).tolist()
    for row, names in zip(axes, titles, strict=True):
        for axis, title in zip(row, names, strict=True):
            axis.set_title(title, parse_math=False)  # a name may hold dollars
    letters = int(width / LETTER_WIDTH)
    figure.suptitle(
        textwrap.fill(claim, letters), x=0.01, ha="left", fontweight="bold", parse_math=False
    )
    return figure, axes


def width_colours(widths: Sequence[int]) -> dict[int, tuple[float, float, float, float]]:
    """Return one colour per width, from light (narrow) to dark (wide), safe for the colour-blind.

    The lightest end of viridis is left out, because it does not show on white.
    """
    shades = matplotlib.colormaps["viridis"]
    last = max(len(widths) - 1, 1)
    return {width: shades(0.82 * (1 - k / last)) for k, width in enumerate(sorted(widths))}


def powers_of_two(axis: Axes, which: str) -> None:
    """Label an axis that shows log2 values as powers of two."""
    chosen = axis.xaxis if which == "x" else axis.yaxis
    chosen.set_major_locator(MaxNLocator(nbins=6, integer=True))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: f"$2^{{{value:g}}}$"))


def learning_rates(axis: Axes, which: str) -> None:
    """Label an axis that shows log2 learning rates as numbers with their powers of two."""
    powers_of_two(axis, which)
    chosen = axis.xaxis if which == "x" else axis.yaxis
    gap = "\n" if which == "x" else " "
    chosen.set_major_formatter(
        FuncFormatter(lambda value, _: f"{2**value:.2g}{gap}($2^{{{value:g}}}$)")
    )


def plain_powers(axis: Axes) -> None:
    """Make y a logarithmic axis labelled 1/4, 1/2, 1, 2, or by round numbers where those are few.

    At least a factor of two is shown, so that noise does not fill the panel.
    """
    axis.set_yscale("log", base=2)
    low, high = (math.log2(limit) for limit in axis.get_ylim())
    spare = max(1.0 - (high - low), 0.0) / 2
    low, high = low - spare, high + spare
    powers = range(math.ceil(low), math.floor(high) + 1)
    if len(powers) >= _FEW:
        labels = {2.0**k: _plain(k) for k in powers[:: 1 + (len(powers) - 1) // 8]}
    else:
        places = MaxNLocator(nbins=7, steps=[1, 2, 5, 10]).tick_values(2.0**low, 2.0**high)
        labels = {place: f"{place:g}" for place in places if 2.0**low <= place <= 2.0**high}
    axis.set_yticks(list(labels), list(labels.values()))
    axis.set_ylim(2.0**low, 2.0**high)
    axis.yaxis.set_minor_locator(NullLocator())


def _plain(exponent: int) -> str:
    return f"1/{2**-exponent}" if exponent < 0 else f"{2**exponent}"


def width_axis(axis: Axes, widths: Sequence[int]) -> None:
    """Make x a logarithmic axis of widths with a tick at each."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(sorted(widths), [str(width) for width in sorted(widths)])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("width")


def to_png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file, the same for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
