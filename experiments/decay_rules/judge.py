"""From the table to the verdict: slopes beside predictions, and p with the decay it implies."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from transfer.analysis import Estimate, measure_decay, predicted_slope, slope_over_seeds
from transfer.analysis.spectrum import PUBLISHED_P
from transfer.scaling import Recipe

Row = Mapping[str, Any]

# A slope agrees when the multiple of 1/4 nearest to it is the predicted one: rules are 1/4 apart.
TOLERANCE = 1 / 8
QUANTITIES = ("sigma_1", "gain", "rms", "alignment")
COMPARED_AT = 6
SETTLING = (3, 6, 12, 24)
# Decay times per unit of width.
DIAGONALS = (3 / 16, 3 / 8)
# Up to this many decay times per unit of width sigma_1 grows; later it nears rank one.
GROWING = 1 / 8


def judge(table: Sequence[Row]) -> dict[str, Any]:
    """Return the verdict as plain JSON."""
    rules = [row for row in table if row["part"] == "rules"]
    factors = [row for row in table if row["part"] == "factors"]
    long = [row for row in table if row["part"] == "long"]
    judged = {
        recipe: {
            "at_equal_decay_times": slopes(recipe, _at(rows, COMPARED_AT)),
            "at_equal_steps": slopes(recipe, _last(rows)),
            "decay_times_at_equal_steps": {
                str(row["width"]): round(row["decay_times"], 2) for row in _last(rows)
            },
        }
        for recipe, rows in by("recipe", rules).items()
    }
    return {
        "answer": {
            key: answer(judged, key, ("first", "second"))
            for key in ("at_equal_decay_times", "at_equal_steps")
        },
        "published_p": PUBLISHED_P,
        "tolerance": TOLERANCE,
        "compared_at_decay_times": COMPARED_AT,
        "seeds": len({row["seed"] for row in table}),
        "rules": judged,
        "p": {
            setting: {str(times): _p(_at(rows, times)) for times in SETTLING}
            for setting, rows in by("setting", factors).items()
        },
        "long": {
            "p": {str(times): _p(_at(long, times)) for times in (*SETTLING, 48, 96)},
            "growth_with_decay_times": {
                str(width): growth
                for width, rows in by("width", long).items()
                if (growth := _growth(rows))
            },
            "p_at_decay_times_per_width": {
                str(ratio): _p([row for row in long if _near(row, ratio * row["width"])])
                for ratio in DIAGONALS
            },
        },
    }


def answer(judged: Mapping[str, Any], key: str, matrices: Sequence[str]) -> dict[str, Any]:
    """How many slopes agree with the prediction, and by how much the furthest is off."""
    each_found = [judged[recipe][key][matrix] for recipe in judged for matrix in matrices]
    counted = {}
    for quantity in QUANTITIES:
        asked = [found[quantity] for found in each_found]
        off = [round(slope["value"] - slope["predicted"], 3) for slope in asked]
        agree = sum(slope["agrees"] for slope in asked)
        counted[quantity] = {"agree": agree, "of": len(asked), "furthest_off": max(off, key=abs)}
    return counted


def slopes(recipe: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Slopes over width by matrix and quantity beside predictions, the gain's if aligned, and p."""
    predicted = predicted_slope(Recipe.parse(recipe))
    found: dict[str, Any] = {}
    for matrix, mine in by("matrix", rows).items():
        found[matrix] = {}
        for quantity in QUANTITIES:
            slope = slope_over_seeds(logs(mine, lambda row, name=quantity: row[name]))
            # The entries follow no p, and the page supposes that alignment does not move.
            theory = {"rms": predicted - PUBLISHED_P, "alignment": 0.0}.get(quantity, predicted)
            found[matrix][quantity] = {
                **rounded(slope),
                "predicted": round(theory, 3),
                "agrees": abs((slope.value or 0.0) - theory) < TOLERANCE,
            }
    return found | {"measured": _p(rows)}


def _p(rows: Sequence[Row]) -> dict[str, Any]:
    """p and 2p - 1 by matrix, from rows of one setting at one time."""
    sigma_1 = {
        matrix: values(mine, lambda row: row["sigma_1"])
        for matrix, mine in by("matrix", rows).items()
    }
    decay_times = {row["width"]: row["decay_times"] for row in rows}
    measured = measure_decay(sigma_1, Recipe.parse(rows[0]["recipe"]), decay_times)
    return {
        matrix: {"p": rounded(found.p), "decay_exponent": rounded(found.exponent)}
        for matrix, found in measured.items()
    }


def _growth(rows: Sequence[Row]) -> dict[str, Any]:
    """Slope of log sigma_1 / rms over log decay times by matrix, from the first decay time on."""
    found = {}
    for matrix, mine in by("matrix", rows).items():
        growth: dict[int, dict[int, float]] = {}
        for row in mine:
            if row["decay_times"] <= GROWING * row["width"]:
                value = math.log2(row["sigma_1"] / row["rms"])
                growth.setdefault(round(row["decay_times"]), {})[row["seed"]] = value
        if len(growth) > 2:
            found[matrix] = rounded(slope_over_seeds(growth))
    return found


def _at(rows: Iterable[Row], decay_times: float) -> list[Row]:
    return [row for row in rows if _near(row, decay_times)]


def _near(row: Row, decay_times: float) -> bool:
    # Steps are whole, and the fastest decay here loses 8 % in one.
    return abs(row["decay_times"] - decay_times) < 0.05


def _last(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["step"] == max(other["step"] for other in rows)]


def by(name: str, rows: Iterable[Row]) -> dict[Any, list[Row]]:
    """The rows by the value of one column."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


def values(rows: Iterable[Row], of: Callable[[Row], float]) -> dict[int, dict[int, float]]:
    """A number of each row by width and seed."""
    return {
        width: {row["seed"]: of(row) for row in mine} for width, mine in by("width", rows).items()
    }


def logs(rows: Iterable[Row], of: Callable[[Row], float]) -> dict[int, dict[int, float]]:
    """Its log2."""
    return values(rows, lambda row: math.log2(of(row)))


def rounded(estimate: Estimate) -> dict[str, Any]:
    """Plain JSON to three places."""
    return estimate.map(lambda value: round(value, 3)).to_json()
