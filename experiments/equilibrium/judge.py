"""From the table to the verdict: ratios to the base, beside theory and beside the paper."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from transfer.analysis import Estimate, slope_over_seeds
from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.spectrum import SETTLED

Row = Mapping[str, Any]
Values = Mapping[int, float]  # by seed

# Figure 1 of arXiv 2510.15262, read off the plot: final values of feed-forward matrices, averaged
# over blocks, over those of the base.
PAPER = {
    "decay / 2": {"gain": 1.464, "sigma_1": 1.486},
    "decay x 2": {"gain": 0.698, "sigma_1": 0.683},
    "both x 2": {"gain": 0.933, "sigma_1": 0.932},
    "both x 4": {"gain": 0.924, "sigma_1": 0.953},
    "both / 2": {"gain": 1.066, "sigma_1": 1.067},
}
# sqrt(lr / decay) over that of the base.
THEORY = {
    "base": 1.0,
    "decay / 2": math.sqrt(2),
    "decay x 2": math.sqrt(1 / 2),
    "both x 2": 1.0,
    "both x 4": 1.0,
    "both / 2": 1.0,
}
# Decay times after which half of a square is the new one: 1 - exp(-2 lr decay t) is 1/2.
HALFWAY = math.log(2) / 2
# A ratio agrees when it is nearer to the predicted one than to the next, a factor of sqrt(2) away.
TOLERANCE = 1 / 4
QUANTITIES = ("sigma_1", "gain", "rms")
FEED_FORWARD = "feed_forward"
# lr * decay of the arms that share lr / decay, over that of the base.
_SPEEDS = {"both / 2": 1 / 4, "base": 1.0, "both x 2": 4.0, "both x 4": 16.0}
_DECAYS = {"decay / 2": 1 / 2, "base": 1.0, "decay x 2": 2.0}


def judge(table: Sequence[Row]) -> dict[str, Any]:
    """Return the verdict as plain JSON."""
    rows = with_feed_forward(table)
    equal = max(row["step"] for row in rows if row["arm"] == "base")
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    arms = [arm for arm in THEORY if arm != "base"]
    last = {arm: max(row["step"] for row in rows if row["arm"] == arm) for arm in THEORY}

    def at(arm: str, step: int, kind: str, quantity: str) -> Values:
        return _values(rows, arm, step, kind, quantity)

    def ratios(kind: str, steps: Mapping[str, int]) -> dict[str, Any]:
        return {
            arm: {
                quantity: _ratio(
                    at(arm, steps[arm], kind, quantity),
                    at("base", equal, kind, quantity),
                    arm,
                    settled=_time(rows, arm, steps[arm]) >= SETTLED,
                )
                for quantity in QUANTITIES
            }
            for arm in arms
        }

    def exponents(kind: str, quantity: str) -> dict[str, Any]:
        return {
            name: _rounded(
                slope_over_seeds(
                    {size: _log2(at(arm, last[arm], kind, quantity)) for arm, size in sizes.items()}
                )
            )
            for name, sizes in (("decay", _DECAYS), ("lr_times_decay", _SPEEDS))
        }

    judged = {kind: ratios(kind, dict.fromkeys(arms, equal)) for kind in kinds}
    at_last = {kind: ratios(kind, last) for kind in kinds}
    longer = {arm: step for arm, step in last.items() if step > equal}
    return {
        "answer": {quantity: _answer(at_last, quantity) for quantity in QUANTITIES},
        "tolerance_log2": TOLERANCE,
        "seeds": len({row["seed"] for row in rows}),
        "steps": equal,
        "decay_times": {arm: _time(rows, arm, equal) for arm in THEORY},
        "settled": {arm: _time(rows, arm, equal) >= SETTLED for arm in THEORY},
        "at_equal_steps": judged,
        "after_longer": {
            arm: {
                "steps": step,
                "decay_times": _time(rows, arm, step),
                "eval_loss": _loss(rows, arm),
                **{kind: at_last[kind][arm] for kind in kinds},
            }
            for arm, step in longer.items()
        },
        "exponents": {
            kind: {quantity: exponents(kind, quantity) for quantity in QUANTITIES} for kind in kinds
        },
        "halfway": {
            arm: {quantity: halfway(rows, arm, quantity) for quantity in QUANTITIES}
            for arm in THEORY
        },
        "final": {
            arm: {
                **{
                    quantity: _rounded(_mean(at(arm, equal, FEED_FORWARD, quantity)))
                    for quantity in (*QUANTITIES, "alignment", "stable_rank")
                },
                "over_equilibrium_rms": round(
                    _overall(rows, arm, equal, lambda row: row["rms"] / row["equilibrium_rms"]), 3
                ),
                "shape": [
                    round(
                        _overall(
                            rows, arm, equal, lambda row, k=k: row[f"sigma_{k}"] / row["sigma_1"]
                        ),
                        3,
                    )
                    for k in (2, 3, 4)
                ],
                # Held out after an arm's last step, which is another one for those that went on.
                "eval_loss": None if arm in longer else _loss(rows, arm),
            }
            for arm in THEORY
        },
        "paper": PAPER,
    }


def with_feed_forward(table: Iterable[Row]) -> list[Row]:
    """The rows, and for each trial and step the mean over its feed-forward matrices."""
    rows = list(table)
    together: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["kind"].startswith(f"{FEED_FORWARD}."):
            together.setdefault((row["arm"], row["seed"], row["step"]), []).append(row)
    means = [
        {
            **mine[0],
            "kind": FEED_FORWARD,
            **{
                name: float(np.mean([row[name] for row in mine]))
                for name in mine[0]
                if name.startswith("sigma_") or name in _AVERAGED
            },
        }
        for mine in together.values()
    ]
    return rows + means


def halfway(rows: Iterable[Row], arm: str, quantity: str) -> dict[str, Any] | None:
    """Decay times until a square is halfway between its first and last value, feed-forward.

    None where that is before the second measurement.
    """
    runs: dict[int, list[Row]] = {}
    for row in rows:
        if (row["arm"], row["kind"]) == (arm, FEED_FORWARD):
            runs.setdefault(row["seed"], []).append(row)
    found = {}
    for seed, mine in runs.items():
        mine.sort(key=lambda row: row["step"])
        squares = [row[quantity] ** 2 for row in mine]
        middle = (squares[0] + squares[-1]) / 2
        after = next(k for k, square in enumerate(squares) if square >= middle)
        if after < 2:
            return None
        times = [row["decay_times"] for row in mine[after - 1 : after + 1]]
        found[seed] = float(np.interp(middle, squares[after - 1 : after + 1], times))
    return _rounded(_mean(found))


_AVERAGED = ("gain", "alignment", "stable_rank", "rms", "equilibrium_rms")


def _ratio(mine: Values, base: Values, arm: str, settled: bool) -> dict[str, Any]:
    """Geometric mean over seeds of the ratio to the base of the same seed.

    Of a run that has not settled theory does not speak.
    """
    seeds = sorted(set(mine) & set(base))
    logs = np.array([math.log2(mine[seed] / base[seed]) for seed in seeds])
    interval, reason = bootstrap(lambda weights: float(logs @ weights), len(seeds))
    ratio = Estimate(float(logs.mean()), interval, reason)
    off = ratio.value - math.log2(THEORY[arm])
    return {
        **_rounded(ratio.map(lambda log: 2**log)),
        "predicted": round(THEORY[arm], 3),
        "agrees": abs(off) < TOLERANCE if settled else None,
    }


def _answer(judged: Mapping[str, Any], quantity: str) -> dict[str, Any]:
    """How many ratios agree over kinds and arms after their last steps, and the furthest factor."""
    found = [
        arms[arm][quantity] for kind, arms in judged.items() for arm in arms if kind != FEED_FORWARD
    ]
    off = [each["value"] / each["predicted"] for each in found]
    return {
        "agree": sum(each["agrees"] for each in found),
        "of": len(found),
        "furthest_factor": round(max(off, key=lambda factor: abs(math.log(factor))), 3),
    }


def _values(rows: Iterable[Row], arm: str, step: int, kind: str, quantity: str) -> Values:
    return {
        row["seed"]: row[quantity]
        for row in rows
        if (row["arm"], row["step"], row["kind"]) == (arm, step, kind)
    }


def _time(rows: Iterable[Row], arm: str, step: int) -> float:
    return next(
        round(row["decay_times"], 2) for row in rows if (row["arm"], row["step"]) == (arm, step)
    )


def _overall(rows: Iterable[Row], arm: str, step: int, of: Any) -> float:
    """Geometric mean over seeds and kinds."""
    logs = [
        math.log(of(row))
        for row in rows
        if (row["arm"], row["step"]) == (arm, step) and row["kind"] != FEED_FORWARD
    ]
    return math.exp(sum(logs) / len(logs))


def _loss(rows: Iterable[Row], arm: str) -> float:
    """Held-out loss, mean over seeds."""
    by_seed = {row["seed"]: row["eval_loss"] for row in rows if row["arm"] == arm}
    return round(sum(by_seed.values()) / len(by_seed), 3)


def _mean(by_seed: Values) -> Estimate:
    values = np.array(list(by_seed.values()))
    interval, reason = bootstrap(lambda weights: float(values @ weights), len(values))
    return Estimate(float(values.mean()), interval, reason)


def _log2(by_seed: Values) -> dict[int, float]:
    return {seed: math.log2(value) for seed, value in by_seed.items()}


def _rounded(estimate: Estimate) -> dict[str, Any]:
    return estimate.map(lambda value: round(value, 3)).to_json()
