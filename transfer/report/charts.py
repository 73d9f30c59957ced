"""Charts of whatever was measured, as a notebook shows them: a PNG and words that stand for it."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from transfer.errors import TransferError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from transfer.checks import CheckRow, CoordinateCheck

Curve = tuple[Sequence[float], Sequence[float]]
Key = tuple[str, str, int]

# Pixels on the page for an inch of a figure, and on the screen for one of those: sharp where
# screens are dense, and small enough to be kept in a notebook.
_PER_INCH, _DENSITY = 84, 1.5
_COLOURS = 160


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG, and the words that stand for it where it cannot be seen; shows itself in a notebook.

    Its size is that on the page, in pixels.
    """

    png: bytes = dataclasses.field(repr=False)
    alt: str
    width: int
    height: int

    @classmethod
    def of(cls, figure: "Figure") -> "Picture":
        """Draw a figure; its alternative text is its claim and the titles of its panels."""
        from PIL import Image

        width, height = figure.get_size_inches()
        buffer, small = io.BytesIO(), io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_PER_INCH * _DENSITY)
        # A chart has few colours, and a palette is a quarter of the size.
        Image.open(buffer).convert("RGB").quantize(_COLOURS).save(small, "png", optimize=True)
        titles = [axis.get_title(loc="left") for axis in figure.axes]
        told = [figure.get_suptitle(), *filter(None, titles)]
        return cls(
            png=small.getvalue(),
            alt=". ".join(" ".join(text.split()) for text in told),
            width=round(width * _PER_INCH),
            height=round(height * _PER_INCH),
        )

    def _repr_png_(self) -> tuple[bytes, dict[str, str | int]]:
        return self.png, {"alt": self.alt, "width": self.width, "height": self.height}


def line_chart(
    panels: Mapping[str, Mapping[str | int, Curve]],
    *,
    claim: str,
    x: str,
    y: str,
    log: str = "",
    marks: bool = False,
    close_up: float | None = None,
) -> Picture:
    """Draw curves, one panel per title on a shared y axis, one colour per name.

    Names that are whole numbers are widths, and shaded from light (narrow) to dark (wide). Names
    that panels share have one entry in the key.

    Arguments:
      panels: (x, y) of each curve, by the panel's title and the curve's name.
      claim: what the figure says, in a sentence: its title.
      x: what lies along the x axis.
      y: what lies along the y axis.
      log: axes in powers of two: "x", "y" or "xy".
      marks: whether every point has a dot.
      close_up: how far above the lowest point the figure reaches; by default to the highest one.

    Example:
      >>> chart = line_chart(
      ...     {"": {64: ([0, 1], [3.0, 2.0]), 128: ([0, 1], [3.0, 1.9])}},
      ...     claim="Wider is better", x="step", y="loss",
      ... )
      >>> chart.alt
      'Wider is better'
    """
    from matplotlib.lines import Line2D

    from transfer.report import style

    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    colours = _colours(names)
    with style.house_style():
        wide = 3.6 if len(panels) > 1 else 5.2
        figure, axes = style.panels(list(panels), claim, panel_width=wide)
        for axis, curves in zip(axes, panels.values(), strict=True):
            for name, (across, up) in curves.items():
                axis.plot(across, up, "o-" if marks else "-", color=colours[name], markersize=4.5)
            axis.set_xlabel(x)
            if "x" in log:
                style.width_axis(
                    axis, sorted({int(each) for c in curves.values() for each in c[0]})
                )
                axis.set_xlabel(x)
        if "y" in log:
            style.plain_powers(axes[0])
        if close_up is not None:
            lowest = min(min(up) for curves in panels.values() for _, up in curves.values())
            axes[0].set_ylim(lowest - 0.06 * close_up, lowest + close_up)
        axes[0].set_ylabel(y)
        handles = [
            Line2D([], [], color=colours[name], label=_label(name), marker="o" if marks else "")
            for name in names
        ]
        figure.legend(handles=handles, loc="outside right center")
    return Picture.of(figure)


def _colours(names: Sequence[str | int]) -> Mapping[str | int, Any]:
    from transfer.report.style import CATEGORIES, width_colours

    shades = width_colours([name for name in names if isinstance(name, int)])
    others = [name for name in names if not isinstance(name, int)]
    hues = {name: CATEGORIES[k % len(CATEGORIES)] for k, name in enumerate(others)}
    return {name: shades[name] if isinstance(name, int) else hues[name] for name in names}


def _label(name: str | int) -> str:
    return f"width {name}" if isinstance(name, int) else name


def size_chart(
    checks: "Mapping[str, CoordinateCheck]", quantities: Mapping[str, Key], *, claim: str
) -> Picture:
    """Draw how large chosen quantities are at each width, relative to the narrowest.

    One panel per quantity, one colour per check; a dashed line has the slope that the check's
    recipe predicts. What stays at 1 neither grows nor fades with width.

    Arguments:
      checks: by the name that the key gives them, all of the same widths.
      quantities: the row of each panel, as `CoordinateCheck` takes it, by title.
      claim: what the figure says, in a sentence: its title.

    Raises `TransferError` for a quantity that is zero, or of which theory says nothing.

    Example:
      >>> quantities = {"features": ("change", "layers.1.linear.kernel", 0)}
      >>> size_chart(checks, quantities, claim="NTK's features stand still")  # doctest: +SKIP
    """
    from matplotlib.lines import Line2D

    from transfer.report import style

    hues = dict(zip(checks, style.CATEGORIES, strict=False))
    # Thinner ones lie on thicker ones, so that curves in the same place are all seen.
    thickness = {name: 1.5 + (len(checks) - 1 - k) for k, name in enumerate(checks)}
    with style.house_style():
        figure, axes = style.panels(list(quantities), claim, panel_width=2.9)
        for axis, (title, key) in zip(axes, quantities.items(), strict=True):
            for name, check in checks.items():
                _draw(axis, check[key], hues[name], thickness[name], f"{title} under {name}")
            style.width_axis(axis, next(iter(checks.values())).widths)
        style.plain_powers(axes[0])
        axes[0].set_ylabel("size, relative to the narrowest")
        handles = [
            Line2D([], [], color=hue, linewidth=thickness[name], marker="o", label=name)
            for name, hue in hues.items()
        ]
        dashed = Line2D([], [], color=style.INK, linestyle="--", linewidth=1.0, label="predicted")
        figure.legend(handles=[*handles, dashed], loc="outside right center")
    return Picture.of(figure)


def _draw(axis: "Axes", row: "CheckRow", colour: str, thick: float, what: str) -> None:
    if row.slope is None or row.predicted is None:
        raise TransferError(
            f"There is no size of {what} to draw ({row.verdict}); expected one that is not zero "
            "and of which theory speaks."
        )
    widths = np.array(list(row.sizes))
    sizes = np.array([size for size in row.sizes.values() if size is not None])
    low, high = row.predicted
    predicted = min(max(row.slope, low), high)
    curve = sizes / sizes[0]
    axis.plot(widths, curve, "o-", color=colour, linewidth=thick, markersize=3 + 1.5 * thick)
    axis.plot(widths, (widths / widths[0]) ** predicted, "--", color=colour, linewidth=1.0)
