"""L = E + A x^-a: the loss over parameters or compute, and what it says of a size beyond."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from transfer.errors import TransferError

LEVEL = 0.95
PARAMETERS = 3
# Below the first a law is a logarithm over any range that is measured, and above the second it has
# fallen to its floor between one size and the next.
EXPONENTS = (0.01, 5.0)
_GRID = np.geomspace(*EXPONENTS, 100)
# Into how many the exponents around the best one are divided each time.
_PARTS = 25


@dataclasses.dataclass(frozen=True)
class SizeLoss:
    """A size, in parameters or FLOPs, and its loss averaged over as many `runs`.

    `variance` is that of one run's loss over seeds, relative to the squared loss, and None where
    one seed was run.
    """

    size: float
    loss: float
    runs: int = 1
    variance: float | None = None


@dataclasses.dataclass(frozen=True)
class ScalingLaw:
    """L(x) = E + A x^-a with E >= 0 and A >= 0, fitted to losses by least squares.

    Residuals are relative to the loss, because its scatter over seeds is. For a given exponent the
    fit is linear, so that the best of a fine grid of exponents, refined around the lowest, is the
    global minimum and no start has to be chosen.

    Fields:
      points: what it was fitted to, small sizes first.
      floor, coefficient, exponent: E, A and a.
      variance: of a point about the law, relative to the squared loss. The residuals tell it with
        as many degrees of freedom as there are points beyond three, and the scatter over seeds
        with many more; both are pooled. What the residuals have beyond that is added, because the
        law then does not hold as exactly as the seeds do.
      freedom: degrees of freedom of the variance, fewer the more of it the residuals alone tell.

    Example:
      >>> sizes = [1e4, 2e4, 4e4, 8e4, 16e4]
      >>> law = ScalingLaw.fit([SizeLoss(x, 1.5 + 30 * x**-0.4) for x in sizes])
      >>> round(law.floor, 4), round(law.coefficient, 3), round(law.exponent, 4)
      (1.5, 30.0, 0.4)
      >>> round(law.at(1e6), 4), round(1.5 + 30 * 1e6**-0.4, 4)
      (1.6194, 1.6194)
    """

    points: tuple[SizeLoss, ...]
    floor: float
    coefficient: float
    exponent: float
    variance: float
    freedom: float

    @classmethod
    def fit(cls, points: Sequence[SizeLoss]) -> "ScalingLaw":
        """Fit a law to at least four points.

        Raises:
          TransferError: there are fewer, a size occurs twice, or a loss is not above 0.
        """
        points = tuple(sorted(points, key=lambda point: point.size))
        _require_points(points)
        sizes = np.array([point.size for point in points])
        losses = np.array([point.loss for point in points])
        weights, center = losses**-2, _center(sizes)
        found = _best(sizes / center, losses, weights, refinements=5)
        variance, freedom = _variance(points, found.squares)
        return cls(
            points=points,
            floor=found.floor,
            coefficient=found.scale * center**found.exponent,
            exponent=found.exponent,
            variance=variance,
            freedom=freedom,
        )

    def at(self, size: float) -> float:
        """The loss that the law has at a size."""
        return float(self.floor + self.coefficient * size**-self.exponent)

    def interval(self, size: float, runs: int | None = None) -> tuple[float, float]:
        """Return the interval in which the loss at a size lies with 95 %.

        It holds every value that, joined to the points as one more, raises the least sum of
        squares by no more than t^2 times the variance. Where the law is linear in what is unknown
        this is the usual t interval; a floor or an exponent that the points do not tell widens it
        to the side on which they do not.

        Arguments:
          size: in the unit of the points.
          runs: over so many runs the loss to come is averaged; None for the law's own value.

        Example:
          >>> noise = (0.002, -0.001, 0.0, 0.001, -0.002, 0.001)
          >>> points = [
          ...     SizeLoss(x, (2 + 9 * x**-0.3) * (1 + e))
          ...     for x, e in zip((1e3, 2e3, 4e3, 8e3, 16e3, 32e3), noise)
          ... ]
          >>> law = ScalingLaw.fit(points)
          >>> low, high = law.interval(64e3, runs=1)
          >>> low < 2 + 9 * 64e3**-0.3 < high
          True
        """
        extra = 0.0 if runs is None else self._noise(runs)
        return self._interval(float(size), extra)

    def _noise(self, runs: int) -> float:
        """The relative variance of the mean of so many runs about the law."""
        known = [point for point in self.points if point.variance is not None]
        if not known:
            return self.variance
        of_one = _seed_variance(known)[0]
        kept = sum(1 / point.runs for point in self.points) / len(self.points)
        return float(self.variance + of_one * max(0.0, 1 / runs - kept))

    def _interval(self, size: float, extra: float) -> tuple[float, float]:
        from scipy import optimize, special  # takes a third of a second

        middle = self.at(size)
        quantile = float(special.stdtrit(self.freedom, 0.5 + LEVEL / 2))
        allowed = quantile**2 * self.variance
        if allowed == 0.0:
            return middle, middle
        # A tenth of a millionth of the allowed rise stands for no noise at all.
        ratio = max(extra, 1e-7 * self.variance)
        rise = self._rise(size, ratio / self.variance)

        def end(inside: float, outside: float) -> float:
            if rise(outside) <= allowed:
                return outside
            if rise(inside) >= allowed:  # by rounding, where the law holds exactly
                return inside
            # The root of the rise is nearly a straight line, on which few steps suffice.
            found = optimize.brentq(
                lambda value: math.sqrt(max(rise(value), 0.0)) - math.sqrt(allowed),
                inside,
                outside,
                xtol=1e-7 * middle,
            )
            return float(found)

        # Above, no law that falls exceeds the largest loss but by noise.
        highest = max(point.loss for point in self.points) * (1 + 2 * math.sqrt(allowed + extra))
        return end(middle, 0.0), end(middle, max(highest, middle))

    def _rise(self, size: float, ratio: float) -> Callable[[float], float]:
        """How much the least sum of squares rises when a loss at one more size is given."""
        sizes = np.array([point.size for point in self.points])
        losses = np.array([point.loss for point in self.points])
        center, weights = _center(sizes), losses**-2
        least = _best(sizes / center, losses, weights).squares
        sizes = np.append(sizes, size) / center
        weights = np.append(weights, 1 / (ratio * self.at(size) ** 2))
        return lambda loss: _best(sizes, np.append(losses, loss), weights).squares - least

    @property
    def notes(self) -> tuple[str, ...]:
        """What the points do not tell of the law, in sentences."""
        notes = []
        if self.coefficient == 0.0:
            notes.append("the loss does not fall with size")
        elif self.floor == 0.0:
            notes.append("the best floor is 0, so the loss is a pure power of size")
        if self.coefficient and not EXPONENTS[0] * 1.01 < self.exponent < EXPONENTS[1] / 1.01:
            notes.append(f"the exponent is at its bound, {self.exponent:.3g}")
        return tuple(notes)

    def formula(self, size: str) -> str:
        """Write the law in terms of what its size is called.

        Example:
          >>> points = [SizeLoss(x, 1.5 + 30 * x**-0.4) for x in (1e4, 2e4, 4e4, 8e4, 16e4)]
          >>> ScalingLaw.fit(points).formula("parameters")
          '1.500 + 30 parameters^-0.400'
        """
        return f"{self.floor:.3f} + {self.coefficient:.3g} {size}^-{self.exponent:.3f}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return dataclasses.asdict(self) | {"points": [dataclasses.asdict(p) for p in self.points]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ScalingLaw":
        """Read what `to_json` wrote."""
        points = tuple(SizeLoss(**point) for point in content["points"])
        return cls(**{**content, "points": points})


@dataclasses.dataclass(frozen=True)
class _Best:
    """The best law with any exponent: its sum of squares, floor, coefficient and exponent."""

    squares: float
    floor: float
    scale: float
    exponent: float


def _best(
    sizes: np.ndarray, losses: np.ndarray, weights: np.ndarray, refinements: int = 2
) -> _Best:
    exponents = _GRID
    for _ in range(refinements):
        squares, _, _ = _least_squares(sizes, losses, weights, exponents)
        best = int(squares.argmin())
        low, high = max(best - 1, 0), min(best + 1, len(exponents) - 1)
        exponents = np.geomspace(exponents[low], exponents[high], _PARTS)
    squares, floors, scales = _least_squares(sizes, losses, weights, exponents)
    best = int(squares.argmin())
    found = (each[best] for each in (squares, floors, scales, exponents))
    return _Best(*map(float, found))


def _least_squares(
    sizes: np.ndarray, losses: np.ndarray, weights: np.ndarray, exponents: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sums of squares, floors and coefficients of the best law with each exponent.

    Arguments:
      sizes, losses, weights: shape [points].
      exponents: shape [exponents], as that of what is returned.
    """
    powers = sizes ** -exponents[:, None]
    total = weights.sum()
    mean_power, mean_loss = powers @ weights / total, losses @ weights / total
    apart = powers - mean_power[:, None]
    scale = apart @ (weights * losses) / np.maximum((apart**2) @ weights, 1e-300)
    floor = mean_loss - scale * mean_power
    # Both are at least 0, and the other one is then at its best.
    alone = powers @ (weights * losses) / ((powers**2) @ weights)
    scale, floor = np.where(floor < 0, alone, scale), np.maximum(floor, 0.0)
    floor, scale = np.where(scale < 0, mean_loss, floor), np.maximum(scale, 0.0)
    residuals = losses - floor[:, None] - scale[:, None] * powers
    return (residuals**2) @ weights, floor, scale


def _center(sizes: np.ndarray) -> float:
    return float(np.exp(np.log(sizes).mean()))


def _seed_variance(points: Sequence[SizeLoss]) -> tuple[float, int]:
    """Return the pooled relative variance of one run over seeds, and its degrees of freedom."""
    freedoms = [point.runs - 1 for point in points if point.variance is not None]
    variances = [point.variance for point in points if point.variance is not None]
    total = sum(freedoms)
    if not total:
        return 0.0, 0
    return sum(f * v for f, v in zip(freedoms, variances, strict=True)) / total, total


def _variance(points: Sequence[SizeLoss], squares: float) -> tuple[float, float]:
    """Return the relative variance of a point about the law, and its degrees of freedom."""
    of_one, seed_freedom = _seed_variance(points)
    freedom = len(points) - PARAMETERS
    of_mean = of_one * sum(1 / point.runs for point in points) / len(points)
    pooled = (squares + seed_freedom * of_mean) / (freedom + seed_freedom)
    excess = max(0.0, squares / freedom - pooled)
    if pooled == 0.0:
        return 0.0, float(freedom + seed_freedom)
    # Satterthwaite's: the excess is known from the residuals alone.
    total = pooled + excess
    effective = total**2 / (excess**2 / freedom + pooled**2 / (freedom + seed_freedom))
    return total, max(effective, float(freedom))


def _require_points(points: Sequence[SizeLoss]) -> None:
    if len(points) <= PARAMETERS:
        raise TransferError(
            f"A law of the loss has {PARAMETERS} parameters but there are {len(points)} sizes; "
            f"expected at least {PARAMETERS + 1}."
        )
    sizes = [point.size for point in points]
    if len(set(sizes)) < len(sizes):
        raise TransferError(
            f"The sizes are {', '.join(f'{size:g}' for size in sizes)}; expected none twice."
        )
    if not all(0 < point.loss < math.inf and 0 < point.size < math.inf for point in points):
        raise TransferError(
            "A law of the loss was given a size or a loss that is not a finite number above 0; "
            "expected the mean loss of runs that completed."
        )
