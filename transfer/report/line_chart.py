"""Curves in the house style, of whatever was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from transfer.report.picture import Picture

Curve = tuple[Sequence[float], Sequence[float]]


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
