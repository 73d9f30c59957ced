"""What all charts of the page share: scales of looks, axes, and the step to a specification."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from transfer.notation import learning_rate
from transfer.report.page.figure import Control
from transfer.report.page.looks import Look

HEIGHT = 280  # of the plot, in pixels; the width is that of the reader's screen
_LINE = "var(--line)"
_RAISED = str.maketrans("-.0123456789", "⁻·⁰¹²³⁴⁵⁶⁷⁸⁹")
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--muted)",
        "gridColor": _LINE,
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "labelPadding": 6,
        "tickColor": _LINE,
        "ticks": False,
        "titleColor": "var(--ink)",
        "titleFontSize": 12,
        "titleFontWeight": 500,
    },
    "axisX": {"grid": False, "labelOverlap": True, "titlePadding": 8},
    # Across, above the axis: nobody turns the head to read.
    "axisY": {
        "domain": False,
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleAngle": 0,
        "titleX": 0,
        "titleY": -14,
    },
}


def spec(
    layers: Sequence[alt.Chart],
    description: str,
    controls: Sequence[Control] = (),
    height: int = HEIGHT,
) -> dict[str, Any]:
    """Return layers as one chart in JSON, as wide as its place on the page.

    `description` is what a screen reader says of it; a parameter holds what a control has chosen.
    """
    parameters = [alt.param(name=control.name, value=control.initial) for control in controls]
    chart = alt.layer(*layers).add_params(*parameters)
    content = chart.properties(width="container", height=height, description=description).to_dict()
    del content["$schema"]
    return {**content, "config": _CONFIG}


def rows(values: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    """Return rows as a chart's data."""
    return alt.InlineData(values=[dict(value) for value in values])


def only(parameter: str, field: str) -> str:
    """Return the condition that a row's field is among what is chosen."""
    return f"indexof({parameter}, datum.{field}) >= 0"


def colour(field: str, looks: Mapping[Any, Look]) -> alt.Color:
    """Return the colours of series; the page has its own key to them."""
    return alt.Color(field).scale(_scale(looks, [k.colour for k in looks.values()])).legend(None)


def dash(field: str, looks: Mapping[Any, Look]) -> alt.StrokeDash:
    """Return the dashes of series."""
    # Vega's pattern for no gaps is [1, 0].
    patterns = [list(look.dash or (1, 0)) for look in looks.values()]
    return alt.StrokeDash(field).scale(_scale(looks, patterns)).legend(None)


def shape(field: str, looks: Mapping[Any, Look]) -> alt.Shape:
    """Return the shapes of series."""
    return alt.Shape(field).scale(_scale(looks, [k.shape for k in looks.values()])).legend(None)


def _scale(looks: Mapping[Any, Look], values: list[Any]) -> alt.Scale:
    return alt.Scale(domain=list(looks), range=values)


def rate_axis(low: float, high: float, title: str, *, lines: bool = False) -> alt.Axis:
    """Return an axis over log2 learning rates: numbers with their powers of two in parentheses.

    `lines` puts the powers of two under the numbers, for an axis across the page.
    """
    labels = {place: rate_label(place) for place in _places(low, high)}
    if not lines:
        return _labelled(labels, title)
    broken = {place: label.replace(" ", "|") for place, label in labels.items()}
    axis = _labelled(broken, title)
    axis.labelExpr = f"split({axis.labelExpr}, '|')"
    return axis


def plain_power_axis(low: float, high: float, title: str) -> alt.Axis:
    """Return an axis over log2 values, labelled as plain numbers: 1/2, 1, 2."""
    labels = {
        place: f"{2**place:.3g}" if place >= 0 else f"1/{2**-place:.3g}"
        for place in _places(low, high)
    }
    return _labelled(labels, title)


def width_axis(widths: Sequence[int]) -> alt.Axis:
    """Return an axis over log2 width with a tick at each width."""
    return _labelled({math.log2(width): str(width) for width in sorted(widths)}, "width")


def powers_around(logs: Sequence[float]) -> tuple[float, float]:
    """Return log2 limits around values that hold two whole powers, to read a slope from.

    Example:
      >>> powers_around([0.7, 1.8])
      (0.5, 2.0)
      >>> powers_around([1.2, 1.3])
      (1.0, 2.0)
    """
    low, high = (math.floor(2 * min(logs) - 0.1) / 2, math.ceil(2 * max(logs) + 0.1) / 2)
    if math.floor(high) - math.ceil(low) < 1:
        low, high = math.floor(low), max(math.ceil(high), math.floor(low) + 1)
    return float(low), float(high)


def _labelled(labels: Mapping[float, str], title: str) -> alt.Axis:
    texts = ", ".join(f"'{label}'" for label in labels.values())
    expression = f"[{texts}][indexof({list(labels)}, datum.value)]"
    return alt.Axis(values=list(labels), labelExpr=expression, title=title)


def _places(low: float, high: float, most: int = 8) -> list[float]:
    """Return from 2 to `most` places on a grid of 1, of twice that, or of half that, and so on."""
    step = 1.0
    while math.floor(high / step) - math.ceil(low / step) < 1:
        step /= 2
    while math.floor(high / step) - math.ceil(low / step) >= most:
        step *= 2
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def rate_label(log2: float) -> str:
    """Return a learning rate as a number with its power of two, set as such.

    Example:
      >>> rate_label(-12), rate_label(-6.5)
      ('0.00024 (2⁻¹²)', '0.011 (2⁻⁶·⁵)')
    """
    exponent = f"{log2:z.1f}".removesuffix(".0")
    number, _, _ = learning_rate(2**log2).partition(" ")
    return f"{number} (2{exponent.translate(_RAISED)})"


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Move places as little as it takes for neighbours to be `gap` apart, in their own order.

    Example:
      >>> apart([0.0, 5.0, 5.5], gap=1.0)
      [0.0, 4.75, 5.75]
    """
    clusters: list[list[int]] = []
    order = sorted(range(len(places)), key=lambda k: places[k])
    result = [0.0] * len(places)

    def lay(cluster: list[int]) -> tuple[float, float]:
        middle = sum(places[k] for k in cluster) / len(cluster)
        reach = gap * (len(cluster) - 1) / 2
        return middle - reach, middle + reach

    for place in order:
        clusters.append([place])
        while len(clusters) > 1 and lay(clusters[-1])[0] - lay(clusters[-2])[1] < gap:
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    for cluster in clusters:
        for step, place in enumerate(cluster):
            result[place] = lay(cluster)[0] + gap * step
    return result
