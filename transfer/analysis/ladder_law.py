"""How the best learning rate and decay follow width, depth, batch size and number of tokens.

Over the rungs of a ladder

  log2 optimum = constant + sum over axes of exponent * log2 size + departure

is fitted jointly (`transfer.analysis.plane`), and, where best batches are known, once more with
min(batch, best batch) in place of the batch: a knee, above which the learning rate no longer grows.
Both forms have as many exponents, so that their evidence compares.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from transfer.analysis.best_batch import (
    BestBatchLaw,
    Rung,
    best_batch_law,
    best_batches,
    telling_axes,
)
from transfer.analysis.estimate import Estimate
from transfer.analysis.plane import PowerLaw, fit_power_law
from transfer.analysis.rungs import AXES, RungSize

# The first ones are kept where optima are too few for all.
_ORDER = ("batch_size", "tokens", "width", "layers")
_KNEE = math.log(3)
"""By how much the log evidence of a knee must exceed that of none."""
_BENDS = 20  # draws of the best batch that exponents are fitted with


@dataclasses.dataclass(frozen=True, eq=False)
class LadderLaw:
    """How the best value of one hyperparameter follows the sizes of a run.

    Fields:
      axes: sizes whose exponents the rungs tell.
      law: the power law, whose slopes are the exponents in that order.
      rungs: how many optima it goes through.
      knee: the law of the best batch, above which batch size no longer counts; None without.
    """

    axes: tuple[str, ...]
    law: PowerLaw
    rungs: int
    knee: BestBatchLaw | None = None

    def exponent(self, axis: str) -> Estimate:
        """Return the exponent in a size, with its interval; None for one that was not swept."""
        if axis not in self.axes:
            return Estimate(None, reason=f"optima are known at too few values of {axis}")
        return Estimate.of_draws(self.law.plane.slopes[self.axes.index(axis)])

    def value(self, axis: str) -> float:
        """Return the exponent as a number, 0 for a size that was not swept."""
        return self.exponent(axis).value or 0.0

    def moved(self, start: RungSize, target: RungSize) -> float:
        """Return by how many octaves the best value moves from one size to another."""
        way = _place(target, self.axes, self.knee) - _place(start, self.axes, self.knee)
        return float(np.median(way @ self.law.plane.slopes))


@dataclasses.dataclass(frozen=True, eq=False)
class LadderLaws:
    """What some rungs say: laws of learning rate and decay, and of the best batch.

    Fields:
      rate: without a knee.
      bent: with one, where batch sizes and best batches allow to look for it.
      decay: None where decays were not swept, or too few of their optima are known.
      best: None where no best batch is known.
    """

    rate: LadderLaw
    bent: LadderLaw | None
    decay: LadderLaw | None
    best: BestBatchLaw | None

    @property
    def has_knee(self) -> bool:
        """Whether optima speak for a knee, with three times the evidence of none."""
        if self.bent is None:
            return False
        return self.bent.law.log_evidence > self.rate.law.log_evidence + _KNEE

    @property
    def chosen(self) -> LadderLaw:
        """The law of the learning rate, with a knee if there is one."""
        return self.bent if self.bent is not None and self.has_knee else self.rate


@functools.lru_cache(maxsize=256)
def fit_laws(rungs: tuple[Rung, ...]) -> LadderLaws | None:
    """Return what rungs say; None where fewer than three of them have a known optimum."""
    known = [rung for rung in rungs if rung.is_known]
    if len(known) < 3:
        return None
    rate = _fit(known, lambda rung: rung.rate)
    assert rate is not None
    best = best_batch_law(best_batches(rungs))
    bent = None
    if best is not None and best.may_show_a_knee and "batch_size" in rate.axes:
        bent = _fit(known, lambda rung: rung.rate, best)
    return LadderLaws(rate, bent, _fit(known, lambda rung: rung.decay), best)


def _fit(
    rungs: Sequence[Rung],
    draws_of: Callable[[Rung], np.ndarray | None],
    knee: BestBatchLaw | None = None,
) -> LadderLaw | None:
    found = [(rung.size, draws) for rung in rungs if (draws := draws_of(rung)) is not None]
    if len(found) < 3:
        return None
    sizes = [size for size, _ in found]
    axes = telling_axes(sizes, _ORDER)
    places = np.stack([_place(size, axes, knee) for size in sizes])
    rank = np.linalg.matrix_rank(places - places.mean(axis=0), tol=1e-6)
    if knee is not None and rank < len(axes):
        return None  # every batch lies above the best one
    draws = np.stack([draws for _, draws in found])
    law = fit_power_law(places, draws)
    if knee is not None:
        law = dataclasses.replace(
            law, plane=dataclasses.replace(law.plane, slopes=_slopes(sizes, draws, axes, knee))
        )
    return LadderLaw(axes, law, len(found), knee)


def _slopes(
    sizes: Sequence[RungSize], draws: np.ndarray, axes: Sequence[str], knee: BestBatchLaw
) -> np.ndarray:
    """Exponents with a knee, as draws that also hold what is not known of the best batch."""
    generator = np.random.default_rng(5)
    bends = generator.integers(draws.shape[1], size=_BENDS)
    found = []
    for part, bend in enumerate(bends):
        places = np.stack([_place(size, axes, knee, int(bend)) for size in sizes])
        if np.linalg.matrix_rank(places - places.mean(axis=0), tol=1e-6) == len(axes):
            found.append(fit_power_law(places, draws[:, part::_BENDS]).plane.slopes)
    return np.concatenate(found, axis=1)


def _place(
    size: RungSize, axes: Sequence[str], knee: BestBatchLaw | None, draw: int | None = None
) -> np.ndarray:
    """Logs of a size, with the batch up to the best one, or to a draw of that."""
    logs = {axis: size.log2(axis) for axis in AXES}
    if knee is not None:
        best = knee.log2_at(size) if draw is None else float(knee.draws_at(size)[draw])
        logs["batch_size"] = min(logs["batch_size"], best)
    return np.array([logs[axis] for axis in axes])
