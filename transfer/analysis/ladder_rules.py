"""Rules for another batch size, length or width, scored by an edge of the ladder that is left out.

The rungs of the longest runs, of the largest batch, of the widest or of the deepest network are
left out in turn. A rule moves the optimum of the nearest rung that is left, the next smaller along
the axis, to each rung of the edge; laws are fitted to what is left alone. Scored are the octaves
between the moved and the rung's own best learning rate, and the loss that this costs there: the
relative regret, read off the rung's own fit. Choosing a rule by the whole ladder would score it on
what it was chosen by, so that the choice is made inside each fold too, by the edges of what is
left.

| rule          | learning rate          | decay                   |
|---------------|------------------------|-------------------------|
| none          | stays                  | stays                   |
| sqrt(batch)   | batch^1/2              | stays                   |
| sde           | (batch / tokens)^1/2   | (batch / tokens)^1/2    |
| measured      | the ladder's exponents | the ladder's exponents  |
| measured knee | with a knee            | the ladder's exponents  |

Decay moves only where decays were swept; else it stays at the rung's own.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfer.analysis.best_batch import Rung
from transfer.analysis.estimate import Estimate
from transfer.analysis.ladder_law import LadderLaws, fit_laws
from transfer.analysis.rungs import AXES, RungSize

EDGES: Mapping[str, str] = {
    "tokens": "longest runs",
    "batch_size": "largest batch",
    "width": "widest network",
    "layers": "deepest network",
}
"""What is left out, by axis, in words."""

MEASURED, KNEE, CHOSEN = "measured", "measured knee", "chosen in the fold"
# Exponents of (batch, tokens) by rule, for the learning rate and for the decay.
FIXED: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "none": ((0.0, 0.0), (0.0, 0.0)),
    "sqrt(batch)": ((0.5, 0.0), (0.0, 0.0)),
    "sde": ((0.5, -0.5), (0.5, -0.5)),
}
RULES = (*FIXED, MEASURED, KNEE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RuleScore:
    """How well a rule does on an edge of the ladder that it has not seen.

    Fields:
      edge: the axis whose largest size is left out.
      rule: which one, or the one that was `chosen in the fold`, then named by `choice`.
      rungs: how many of the edge's rungs are scored; the others' optimum, or that of the rung
        they are moved from, is not known.
      octaves: mean distance of the moved learning rate from the best one, |log2|.
      regret: mean relative regret over these rungs.
      difference: that less the same of `none`, paired by rung and draw. The interval holds what is
        not known of the rungs' losses and how rungs differ.
    """

    edge: str
    rule: str
    rungs: int
    octaves: float
    regret: Estimate
    difference: Estimate
    choice: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        content = dataclasses.asdict(self)
        return content | {
            "regret": self.regret.to_json(),
            "difference": self.difference.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RuleScore":
        """Read what `to_json` wrote."""
        estimates = {name: Estimate.from_json(content[name]) for name in ("regret", "difference")}
        return cls(**{**content, **estimates})


def score_rules(rungs: Sequence[Rung]) -> tuple[RuleScore, ...]:
    """Return the scores of every rule on every edge, and of the rule chosen in each fold.

    An edge needs two sizes along its axis; a rule that an edge's fold does not know is left out.
    """
    found: list[RuleScore] = []
    for edge in EDGES:
        left, costs = _fold(tuple(rungs), edge)
        if not costs:
            continue
        choice = _choose(left)
        rows = [(rule, costs[rule], "") for rule in RULES if rule in costs]
        if choice in costs:
            rows.append((CHOSEN, costs[choice], choice))
        found += [_score(edge, *row, costs["none"]) for row in rows]
    return tuple(found)


@dataclasses.dataclass(frozen=True, eq=False)
class _Costs:
    """Of one rule on the rungs of an edge: octaves [rung] and relative regrets [rung, draw]."""

    octaves: np.ndarray
    regrets: np.ndarray


def _fold(rungs: tuple[Rung, ...], edge: str) -> tuple[tuple[Rung, ...], dict[str, _Costs]]:
    """Leave the largest size along an axis out; returns what is left and each rule's costs."""
    values = sorted({getattr(rung.size, edge) for rung in rungs})
    if len(values) < 2:
        return rungs, {}
    left = tuple(rung for rung in rungs if getattr(rung.size, edge) < values[-1])
    by_size = {rung.size: rung for rung in left if rung.is_known}
    ways = []
    for rung in rungs:
        if getattr(rung.size, edge) == values[-1] and rung.is_known:
            nearest = dataclasses.replace(rung.size, **{edge: values[-2]})
            if nearest in by_size:
                ways.append((by_size[nearest], rung))
    laws = fit_laws(left)
    if not ways or laws is None:
        return left, {}
    costs = {}
    for rule in RULES:
        if rule == KNEE and laws.bent is None:
            continue
        moves = [_cost(start, target, rule, laws) for start, target in ways]
        costs[rule] = _Costs(
            np.array([octaves for octaves, _ in moves]), np.stack([cost for _, cost in moves])
        )
    return left, costs


@functools.lru_cache(maxsize=64)
def _choose(rungs: tuple[Rung, ...]) -> str | None:
    """The rule of least mean regret over the edges of some rungs, None where there is no edge."""
    totals: dict[str, list[float]] = {}
    for edge in EDGES:
        _, costs = _fold(rungs, edge)
        for rule, cost in costs.items():
            totals.setdefault(rule, []).append(float(np.median(cost.regrets.mean(axis=0))))
    most = max(map(len, totals.values()), default=0)
    means = {rule: np.mean(each) for rule, each in totals.items() if len(each) == most}
    return min(means, key=means.__getitem__) if means else None


def choose_rule(rungs: Sequence[Rung]) -> str | None:
    """Return the rule that the left-out edges of all rungs speak for; None without an edge."""
    return _choose(tuple(rungs))


def _cost(start: Rung, target: Rung, rule: str, laws: LadderLaws) -> tuple[float, np.ndarray]:
    """Octaves and draws of the relative regret of moving one rung's optimum to another."""
    rate, decay = _moves(start.size, target.size, rule, laws)
    surface = target.sweep.surface
    place = float(np.median(start.rate)) + rate
    octaves = abs(place - float(np.median(target.rate)))
    if start.decay is None or target.decay is None:
        height = surface.height_along_rate(place)
    else:
        height = surface.height(place, float(np.median(start.decay)) + decay)
    return octaves, height / surface.level


def _moves(start: RungSize, target: RungSize, rule: str, laws: LadderLaws) -> tuple[float, float]:
    """Octaves by which a rule moves learning rate and decay."""
    if rule in FIXED:
        way = np.array([target.log2(axis) - start.log2(axis) for axis in ("batch_size", "tokens")])
        rate, decay = (float(way @ np.array(powers)) for powers in FIXED[rule])
        return rate, decay
    law = laws.bent if rule == KNEE else laws.rate
    assert law is not None
    return law.moved(start, target), laws.decay.moved(start, target) if laws.decay else 0.0


def _score(edge: str, rule: str, costs: _Costs, choice: str, baseline: _Costs) -> RuleScore:
    generator = np.random.default_rng(4)
    count, draws = costs.regrets.shape
    chosen = generator.integers(count, size=(count, draws))

    def mean(regrets: np.ndarray) -> np.ndarray:
        return np.asarray(np.take_along_axis(regrets, chosen, axis=0).mean(axis=0))

    difference = mean(costs.regrets - baseline.regrets)
    return RuleScore(
        edge=edge,
        rule=rule,
        rungs=count,
        octaves=float(costs.octaves.mean()),
        regret=_centered(mean(costs.regrets), costs.regrets),
        difference=_centered(difference, costs.regrets - baseline.regrets),
        choice=choice,
    )


def _centered(draws: np.ndarray, regrets: np.ndarray) -> Estimate:
    """The mean over rungs with the interval of draws that resample them."""
    found = Estimate.of_draws(draws)
    return dataclasses.replace(found, value=float(np.median(regrets.mean(axis=0))))


def axes_of(rungs: Sequence[Rung]) -> tuple[str, ...]:
    """Return the sizes that differ between rungs."""
    return tuple(axis for axis in AXES if len({getattr(r.size, axis) for r in rungs}) > 1)
