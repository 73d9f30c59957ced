"""What a transformer's sublayers say of the decay rules: from the table to the verdict."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.decay_rules.judge import QUANTITIES, TOLERANCE, answer, by, logs, rounded, slopes
from transfer.analysis import (
    Calibrated,
    Estimate,
    SpectrumSlope,
    calibrate,
    judge_invariance,
    predicted_slope,
    slope_over_seeds,
)
from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.calibrate import spread
from transfer.analysis.spectrum import PUBLISHED_P, SETTLED
from transfer.scaling import Recipe

Row = Mapping[str, Any]

BASE_WIDTH = 16
RULES = ("mup+constant", "mup+sqrt", "mup+independent", "standard")
# The rule that calibrations are measured under.
SWEPT = "mup+sqrt"
# As much as a run takes to settle; the widest has seen little more.
COMPARED_AT = SETTLED
COMPARED = ("at_equal_steps", "at_equal_decay_times")
# A sublayer that stands for all: of every size the geometric mean over kinds.
MEAN = "mean"
SWEPT_ARM, COMMON, OWN = "swept", "one for all", "by kind"


def judge(table: Sequence[Row]) -> dict[str, Any]:
    """Return the verdict as plain JSON."""
    kinds = list(by("kind", table))
    rules = {rule: with_mean(rows) for rule, rows in of_rules(table).items()}
    judged = {
        rule: {
            "decay_times": {
                str(width): round(mine[0]["decay_times"], 2)
                for width, mine in by("width", last(rows)).items()
            },
            "eval_loss": {
                str(width): round(float(np.mean([row["eval_loss"] for row in mine])), 3)
                for width, mine in by("width", last(rows)).items()
            },
            "over_equilibrium_rms": {
                str(width): _over_equilibrium(mine)
                for width, mine in by("width", last(of_rules(table)[rule])).items()
            },
            "at_equal_steps": _slopes(rule, last(rows)),
            "at_equal_decay_times": _slopes(rule, at_decay_times(rows, COMPARED_AT)),
        }
        for rule, rows in rules.items()
    }
    return {
        "answer": {key: answer(judged, key, kinds) for key in COMPARED},
        "published_p": PUBLISHED_P,
        "tolerance": TOLERANCE,
        "compared_at_decay_times": COMPARED_AT,
        "seeds": len({row["seed"] for row in table}),
        "rules": judged,
        "calibrated": _calibrated(table),
    }


def of_rules(table: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by rule, `kind` as `matrix`; at the widest muP's rules are one, which was run once."""
    rows = [{**row, "matrix": row["kind"]} for row in table if row["arm"] == "rule"]
    found = by("recipe", rows)
    widest = max(row["width"] for row in rows)
    shared = [row for row in found[SWEPT] if row["width"] == widest]
    return {
        rule: mine if any(row["width"] == widest for row in mine) else mine + shared
        for rule in RULES
        if (mine := found.get(rule))
    }


def with_mean(rows: Sequence[Row]) -> list[Row]:
    """The rows, and for each trial and step one of the geometric mean over kinds."""
    together: dict[tuple[int, int, int], list[Row]] = {}
    for row in rows:
        together.setdefault((row["width"], row["seed"], row["step"]), []).append(row)
    means = [
        {
            **mine[0],
            "matrix": MEAN,
            **{
                quantity: float(np.exp(np.mean([math.log(row[quantity]) for row in mine])))
                for quantity in QUANTITIES
            },
        }
        for mine in together.values()
    ]
    return [*rows, *means]


def last(rows: Sequence[Row]) -> list[Row]:
    """What was measured after the last step."""
    end = max(row["step"] for row in rows)
    return [row for row in rows if row["step"] == end]


def at_decay_times(rows: Iterable[Row], times: float) -> list[Row]:
    """Sizes after so many decay times, on the line between measurements in logarithms."""
    runs: dict[tuple[int, int, str], list[Row]] = {}
    for row in rows:
        if row["decay_times"] > 0:  # the logarithm of none is none
            runs.setdefault((row["width"], row["seed"], row["matrix"]), []).append(row)
    found = []
    for mine in runs.values():
        mine.sort(key=lambda row: row["step"])
        at = np.log([row["decay_times"] for row in mine])
        found.append(
            {
                **mine[0],
                "decay_times": times,
                **{
                    quantity: math.exp(
                        np.interp(math.log(times), at, np.log([row[quantity] for row in mine]))
                    )
                    for quantity in QUANTITIES
                },
            }
        )
    return found


def exponents(table: Iterable[Row]) -> dict[str, dict[str, float]]:
    """Decay exponents by kind, to three places, that narrower widths ask for, by arm."""
    found = calibrated([row for row in table if row["arm"] == "rule"])
    every = dict.fromkeys(found.measured, round(found.common, 3))
    own = {kind: round(2 * (found.measured[kind].p.value or 0.0) - 1, 3) for kind in found.own}
    return {COMMON: every, OWN: every | own}


def calibrated(table: Iterable[Row]) -> Calibrated:
    """What `transfer.analysis.calibrate` makes of all widths, of which the widest is held out."""
    rows = last(of_rules(list(table))[SWEPT])
    times = {width: mine[0]["decay_times"] for width, mine in by("width", rows).items()}
    return calibrate(_sigma_1(rows), Recipe.parse(SWEPT), times, BASE_WIDTH)


def _slopes(rule: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Slopes by kind as `slopes` has them, and in a word whether sigma_1 is invariant.

    `sigma_1_over_rms` is p as far as RMS follows sqrt(lr / decay), and the spectrum's shape alone.
    """
    found = slopes(rule, rows)
    for kind, mine in by("matrix", rows).items():
        shape = slope_over_seeds(logs(mine, lambda row: row["sigma_1"] / row["rms"]))
        found[kind]["sigma_1_over_rms"] = rounded(shape)
    times = {width: mine[0]["decay_times"] for width, mine in by("width", rows).items()}
    for kind, by_width in _sigma_1(rows).items():
        slope = slope_over_seeds({width: _log2(each) for width, each in by_width.items()})
        measured = SpectrumSlope(slope, predicted_slope(Recipe.parse(rule)), times, 0.0, {})
        found[kind]["invariance"] = judge_invariance(measured, rule).answer
    return found


def _over_equilibrium(rows: Iterable[Row]) -> float:
    """RMS over that at which AdamW holds noise, geometric mean over kinds and seeds."""
    return round(
        float(np.exp(np.mean([math.log(row["rms"] / row["equilibrium_rms"]) for row in rows]))), 2
    )


def _calibrated(table: Sequence[Row]) -> dict[str, Any]:
    """Exponents from the narrower widths, held against the widest by the law and by runs."""
    found = calibrated([row for row in table if row["arm"] == "rule"])
    arms = {
        SWEPT_ARM: [
            row
            for row in table
            if (row["arm"], row["recipe"], row["width"]) == ("rule", SWEPT, found.held_out)
        ],
        **{arm: [row for row in table if row["arm"] == arm] for arm in (COMMON, OWN)},
    }
    anchor = _narrower(table, found.widths[-1])
    # From the widest proxy to the held-out width, log2 of sigma_1 by kind and seed.
    doublings = math.log2(found.held_out / found.widths[-1])
    moved = {
        arm: {
            kind: {
                seed: math.log2(value / anchor[kind][seed]) / doublings
                for seed, value in by_width[found.held_out].items()
            }
            for kind, by_width in _sigma_1(last(_as_matrix(rows))).items()
        }
        for arm, rows in arms.items()
        if rows
    }
    by_law = {
        SWEPT_ARM: found.residual_swept,
        COMMON: found.residual_common,
        OWN: found.residual_own,
    }
    return {
        "widths": list(found.widths),
        "held_out": found.held_out,
        "p": {kind: rounded(each.p) for kind, each in found.measured.items()},
        "own": list(found.own),
        "exponents": exponents(table),
        "notes": list(found.notes),
        "by_law": {
            arm: {
                **{kind: round(value, 3) for kind, value in each.items()},
                "from_level": round(spread(each), 3),
            }
            for arm, each in by_law.items()
        },
        "by_runs": {
            arm: {
                "slopes": {kind: rounded(_mean(by_seed)) for kind, by_seed in each.items()},
                "from_level": rounded(_from_level(each)),
                "eval_loss": round(
                    float(np.mean([row["eval_loss"] for row in last(arms[arm])])), 3
                ),
            }
            for arm, each in moved.items()
        },
        "own_beats_common_by": rounded(_gained(moved[COMMON], moved[OWN])),
    }


def _narrower(table: Iterable[Row], width: int) -> dict[str, dict[int, float]]:
    rows = last(of_rules(list(table))[SWEPT])
    return {kind: by_width[width] for kind, by_width in _sigma_1(rows).items()}


def _as_matrix(rows: Iterable[Row]) -> list[Row]:
    return [{**row, "matrix": row["kind"]} for row in rows]


def _sigma_1(rows: Iterable[Row]) -> dict[str, dict[int, dict[int, float]]]:
    found: dict[str, dict[int, dict[int, float]]] = {}
    for row in rows:
        by_width = found.setdefault(row["matrix"], {})
        by_width.setdefault(row["width"], {})[row["seed"]] = row["sigma_1"]
    return found


def _mean(by_seed: Mapping[int, float]) -> Estimate:
    numbers = np.array(list(by_seed.values()))
    interval, reason = bootstrap(lambda weights: float(numbers @ weights), len(numbers))
    return Estimate(float(numbers.mean()), interval, reason)


def _from_level(by_kind: Mapping[str, Mapping[int, float]]) -> Estimate:
    """Root mean square over kinds of the slopes."""
    return _over_seeds([by_kind], lambda slopes: _rms(slopes[0]))


def _gained(
    common: Mapping[str, Mapping[int, float]], own: Mapping[str, Mapping[int, float]]
) -> Estimate:
    """By how much exponents by kind are nearer to level than one for all."""
    return _over_seeds([common, own], lambda slopes: _rms(slopes[0]) - _rms(slopes[1]))


def _over_seeds(arms: Sequence[Mapping[str, Mapping[int, float]]], statistic: Any) -> Estimate:
    """A number made of each arm's slopes by kind, with seeds resampled for all arms at once."""
    seeds = sorted(next(iter(arms[0].values())))
    tables = [np.array([[each[seed] for seed in seeds] for each in arm.values()]) for arm in arms]

    def at(weights: np.ndarray) -> float:
        return float(statistic([table @ weights for table in tables]))

    interval, reason = bootstrap(at, len(seeds))
    return Estimate(at(np.full(len(seeds), 1 / len(seeds))), interval, reason)


def _rms(numbers: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(numbers))))


def _log2(by_seed: Mapping[int, float]) -> dict[int, float]:
    return {seed: math.log2(value) for seed, value in by_seed.items()}
