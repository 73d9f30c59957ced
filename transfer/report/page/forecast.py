"""The forecast on the page: losses over size, their law with its band, and the targets."""

import math
from typing import Any

import altair as alt

from transfer.report.forecast_data import ForecastPanel, ShownForecast, loss_limits, size_text
from transfer.report.page import chart
from transfer.report.page.figure import Figure, Key, Panel, Table
from transfer.report.page.looks import SHAPES, STAR, Look

_PROXY = Look("var(--ink)", None, SHAPES[0])
_LAW = Look("var(--category-0)", (), None)
_HELD_OUT = Look("var(--category-2)", None, SHAPES[1])
_TARGET = Look("var(--category-1)", None, SHAPES[2])
_CAME = Look("var(--star)", None, STAR)

Rows = list[dict[str, Any]]


def forecast_figure(shown: ShownForecast | None) -> Figure | None:
    """Return the figure of a run's forecast; None where it has none."""
    if shown is None:
        return None
    panels = shown.panels()
    came = any(mark.came is not None for panel in panels for mark in panel.targets)
    return Figure(
        key="forecast",
        claim=shown.claim,
        about=(
            f"Registered on {shown.registered}. The lowest loss of every proxy, the law "
            "E + A x^-a that is fitted to them with the band in which the mean over as many seeds "
            "lies with 95 %, the widest proxy as the narrower ones forecast it, and the targets."
        ),
        panels=[
            Panel(
                f"{panel.recipe}, over {panel.size}",
                chart.spec(
                    _layers(panel, loss_limits([panel])),
                    f"{panel.unit} of {panel.recipe} over {panel.size}. {shown.claim}",
                ),
            )
            for panel in panels
        ],
        table=_table(panels),
        keys=[
            Key("proxy", _PROXY),
            Key("law, 95 % band", _LAW),
            Key("held out", _HELD_OUT),
            Key("forecast", _TARGET),
            *([Key("came", _CAME)] if came else []),
        ],
    )


def _layers(panel: ForecastPanel, limits: tuple[float, float]) -> list[alt.Chart]:
    places = [row.size for row in panel.law]
    size = (
        alt.X("size:Q")
        .axis(_size_axis(places[0], places[-1], panel.size))
        .scale(domain=[math.log10(places[0]) - 0.1, math.log10(places[-1]) + 0.1], nice=False)
    )
    loss = (
        alt.Y(field="loss", type="quantitative")
        .scale(domain=list(limits), nice=False, zero=False)
        .axis(alt.Axis(title=f"{panel.unit} (nats)", tickCount=6))
    )
    law = alt.Chart(
        chart.rows(
            [
                {"size": math.log10(r.size), "loss": r.loss, "low": r.low, "high": r.high}
                for r in panel.law
            ]
        )
    )
    held_out = {
        "what": f"width {panel.held_out.width} from the narrower widths",
        "size": math.log10(panel.held_out_size),
        "loss": panel.held_out.forecast,
        "low": panel.held_out.interval[0],
        "high": panel.held_out.interval[1],
    }
    targets = [
        {
            "what": f"width {mark.width}",
            "size": math.log10(mark.size),
            "loss": mark.loss,
            "low": mark.interval[0],
            "high": mark.interval[1],
        }
        for mark in panel.targets
    ]
    proxies = [
        {"what": f"width {width}", "size": math.log10(x), "loss": y}
        for width, x, y in panel.proxies
    ]
    came = [
        {"what": f"width {mark.width}", "size": math.log10(mark.size), "loss": mark.came}
        for mark in panel.targets
        if mark.came is not None
    ]
    return [
        law.mark_area(opacity=0.15, clip=True, color=_LAW.colour).encode(
            size, loss.field("low"), alt.Y2("high:Q")
        ),
        law.mark_line(strokeWidth=2, clip=True, color=_LAW.colour).encode(size, loss),
        *_bars([held_out], _HELD_OUT, size, loss),
        *_bars(targets, _TARGET, size, loss),
        _marks(proxies, _PROXY, 60, size, loss),
        *([_marks(came, _CAME, 260, size, loss)] if came else []),
    ]


def _bars(rows: Rows, look: Look, size: alt.X, loss: alt.Y) -> list[alt.Chart]:
    bars = alt.Chart(chart.rows(rows)).mark_rule(strokeWidth=2.5, clip=True, color=look.colour)
    return [
        bars.encode(size, loss.field("low"), alt.Y2("high:Q")),
        _marks(rows, look, 90, size, loss),
    ]


def _marks(rows: Rows, look: Look, area: int, size: alt.X, loss: alt.Y) -> alt.Chart:
    interval = "low" in rows[0]
    return (
        alt.Chart(chart.rows(rows))
        .mark_point(
            filled=True,
            opacity=1,
            size=area,
            clip=True,
            shape=look.shape or SHAPES[0],
            color=look.colour,
            stroke="var(--paper)",
        )
        .encode(
            size,
            loss,
            tooltip=[
                alt.Tooltip("what:N", title="which"),
                alt.Tooltip("loss:Q", title="loss", format=".4f"),
                *(
                    [
                        alt.Tooltip("low:Q", title="from", format=".4f"),
                        alt.Tooltip("high:Q", title="to", format=".4f"),
                    ]
                    if interval
                    else []
                ),
            ],
        )
    )


def _size_axis(low: float, high: float, title: str) -> alt.Axis:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, math.ceil((last - first) / 5))
    return alt.Axis(
        values=list(range(first, last + 1, step)), labelExpr="'1e' + datum.value", title=title
    )


def _table(panels: list[ForecastPanel]) -> Table:
    rows = []
    for panel in panels:
        for width, x, y in panel.proxies:
            rows.append((panel.recipe, panel.size, str(width), size_text(x), "-", "-", f"{y:.4f}"))
        marks = [
            (
                panel.held_out.width,
                panel.held_out_size,
                panel.held_out.forecast,
                panel.held_out.interval,
                panel.held_out.loss,
            ),
            *((m.width, m.size, m.loss, m.interval, m.came) for m in panel.targets),
        ]
        for width, x, loss, (low, high), came in marks:
            rows.append(
                (
                    panel.recipe,
                    panel.size,
                    str(width),
                    size_text(x),
                    f"{loss:.4f}",
                    f"[{low:.4f}, {high:.4f}]",
                    "-" if came is None else f"{came:.4f}",
                )
            )
    header = ("recipe", "over", "width", "size", "forecast", "interval", "loss")
    return Table(header, rows, words=2)
