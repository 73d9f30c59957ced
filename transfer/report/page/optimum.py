"""The optimum over width: level where the learning rate transfers."""

import math
from collections.abc import Mapping
from typing import Any

import altair as alt

from transfer.analysis import RecipeVerdict, SweepVerdict
from transfer.notation import interval, learning_rate
from transfer.report.page import chart
from transfer.report.page.figure import Control, Figure, Option, Panel, Table
from transfer.report.page.looks import Look, category_looks

Rows = list[dict[str, Any]]

# In pixels: the plot's height and its usual width, what a label takes above another, and a letter.
_HEIGHT, _WIDTH, _LABEL, _LETTER = 340, 900, 15, 8


def optimum_figure(verdict: SweepVerdict) -> Figure | None:
    """Return the figure of best learning rates with intervals and fits; None if none is decided."""
    recipes = verdict.recipes
    points = [row for judged in recipes.values() for row in _points(judged)]
    if not points:
        return None
    looks = category_looks(list(dict.fromkeys(row["recipe"] for row in points)))
    options = [Option(name, _label(recipes[name]), look) for name, look in looks.items()]
    controls = [Control("Recipe", "recipes", "checkbox", options)]
    return Figure(
        key="optimum",
        claim="Best learning rate against width",
        about=(
            "Fitted optima with 95 % intervals (docs/intervals.md says what they rest on), and "
            "least-squares lines. Level is perfect transfer."
        ),
        panels=[
            Panel(
                "",
                chart.spec(
                    _layers(points, _lines(points, verdict), looks, verdict.at_base),
                    "Best learning rate over width. "
                    + "; ".join(option.label for option in options),
                    controls,
                    height=_HEIGHT,
                ),
            )
        ],
        table=Table(
            ("recipe", "width", "best learning rate", "95 % interval"),
            [(row["recipe"], str(row["width"]), row["told"], row["interval"]) for row in points],
        ),
        controls=controls,
    )


def _label(judged: RecipeVerdict) -> str:
    if judged.slope.value is None:
        return judged.recipe
    return f"{judged.recipe}, slope {judged.slope.text('+z.2f')}"


def _points(judged: RecipeVerdict) -> Rows:
    points = []
    for optimum in judged.optima:
        rate = optimum.log2_learning_rate
        if rate.value is not None:
            low, high = rate.interval or (None, None)
            points.append(
                {
                    "recipe": judged.recipe,
                    "width": optimum.width,
                    "best": rate.value,
                    "low": low,
                    "high": high,
                    "told": learning_rate(2**rate.value),
                    "interval": "-" if low is None or high is None else interval(2**low, 2**high),
                }
            )
    return points


def _lines(points: Rows, verdict: SweepVerdict) -> Rows:
    lines = []
    for recipe, judged in verdict.recipes.items():
        slope, mine = judged.slope.value, [row for row in points if row["recipe"] == recipe]
        if slope is None or not mine:
            continue
        logs = [math.log2(row["width"]) for row in mine]
        middle, height = sum(logs) / len(logs), sum(row["best"] for row in mine) / len(mine)
        lines += [
            {"recipe": recipe, "x": x, "best": height + slope * (x - middle)}
            for x in (min(logs), max(logs))
        ]
    return lines


def _layers(points: Rows, lines: Rows, looks: Mapping[str, Look], at_base: str) -> list[alt.Chart]:
    names = list(looks)
    for row in points:
        # Moved apart a little, so that intervals at the same width do not hide each other.
        shift = 0.06 * (names.index(row["recipe"]) - (len(names) - 1) / 2)
        row["x"] = math.log2(row["width"]) + shift
    heights = [
        row[key] for row in points for key in ("best", "low", "high") if row[key] is not None
    ]
    low, high = chart.powers_around(heights)
    widths = sorted({row["width"] for row in points})
    left, right = math.log2(widths[0]) - 0.25, math.log2(widths[-1])
    # The names of recipes stand to the right of the widest width.
    share = min((_LETTER * max(map(len, names)) + _LABEL) / _WIDTH, 0.5)
    reach = [left, right + max(0.25, share / (1 - share) * (right - left))]

    width = alt.X("x:Q").axis(chart.width_axis(widths)).scale(domain=reach, nice=False)
    axis = chart.rate_axis(low, high, f"best learning rate{at_base}")
    best = (
        alt.Y(field="best", type="quantitative")
        .axis(axis)
        .scale(domain=[low, high], nice=False, zero=False)
    )
    hue = chart.colour("recipe:N", looks)
    last = [max((r for r in points if r["recipe"] == n), key=lambda r: r["width"]) for n in names]
    places = chart.apart([row["best"] for row in last], _LABEL * (high - low) / _HEIGHT)
    right = max(row["x"] for row in last)
    labels = [{**row, "x": right, "place": place} for row, place in zip(last, places, strict=True)]
    where = chart.only("recipes", "recipe")

    found = alt.Chart(chart.rows(points)).transform_filter(where)
    bars = found.transform_filter("datum.low != null").mark_rule(strokeWidth=2.5)
    marks = found.mark_point(filled=True, opacity=1, size=90, stroke="var(--paper)")
    layers = [
        alt.Chart(chart.rows(lines))
        .transform_filter(where)
        .mark_line(strokeWidth=1.5)
        .encode(width, best, hue, chart.dash("recipe:N", looks)),
        bars.encode(width, best.field("low"), alt.Y2("high:Q"), hue),
        marks.encode(
            width,
            best,
            hue,
            chart.shape("recipe:N", looks),
            tooltip=[
                alt.Tooltip("recipe:N", title="recipe"),
                alt.Tooltip("width:N", title="width"),
                alt.Tooltip("told:N", title="best learning rate"),
                alt.Tooltip("interval:N", title="95 % interval"),
            ],
        ),
    ]
    layers.append(
        alt.Chart(chart.rows(labels))
        .transform_filter(where)
        .mark_text(
            align="left",
            dx=11,
            fontSize=12,
            fontWeight=600,
        )
        .encode(width, best.field("place"), hue, text=alt.Text("recipe:N"))
    )
    return layers
