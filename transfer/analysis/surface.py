"""The losses of one width over the learning rate and one other axis, as draws from a posterior.

A row is a bowl over the learning rate at one value of the other axis. Where the other axis has its
best value between others, the rows form a valley: their bottoms rise on both sides of the lowest
point, as a bowl over the other axis, and the best learning rate moves along the floor on a line:

  loss(x, z) = level + rise(z - nu) + bowl(x - mu - tilt (z - nu)).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from transfer.analysis.bowls import Bowl, fit_bowls
from transfer.analysis.points import Points

_BEND = 0.1  # of the valley's floor: octaves of learning rate, per squared octave along it


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Points over the learning rate by log2 of the other axis, and which row has the best point."""

    points: Mapping[float, Points]
    best: float

    @property
    def is_between(self) -> bool:
        """Whether the best row has a finite one (not a value of 0) on either side."""
        places = [place for place in self.points if np.isfinite(place)]
        return bool(places) and min(places) < self.best < max(places)


@dataclasses.dataclass(frozen=True, eq=False)
class Valley:
    """The part of a surface that rows alone do not tell, shape [draw].

    Fields:
      bottom: log2 of the best learning rate.
      rise: the bowl over the other axis.
      tilt: octaves by which the best learning rate moves per octave of the other axis.
    """

    bottom: np.ndarray
    rise: Bowl
    tilt: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Surface:
    """The loss of one width around its lowest point; without a valley that of the best row."""

    rows: Mapping[float, Bowl]
    best: float
    valley: Valley | None = None

    @property
    def row(self) -> Bowl:
        """The row with the best point."""
        return self.rows[self.best]

    @property
    def bottom(self) -> np.ndarray:
        """Draws of log2 of the best learning rate."""
        return self.row.bottom if self.valley is None else self.valley.bottom

    @property
    def other(self) -> np.ndarray:
        """Draws of log2 of the best value of the other axis; that of the best row if not fitted."""
        if self.valley is None:
            return np.full(len(self.row.bottom), self.best)
        return self.valley.rise.bottom

    @property
    def level(self) -> np.ndarray:
        """Draws of the lowest loss."""
        return self.row.level if self.valley is None else self.valley.rise.level

    def height_along_rate(self, rate: np.ndarray | float) -> np.ndarray:
        """Draws of the loss above the lowest, with the other axis at its best."""
        return self.row.height(rate - self.bottom + self.row.bottom)

    def height_along_other(self, other: np.ndarray | float) -> np.ndarray:
        """Draws of the loss above the lowest, with the learning rate at its best for each value."""
        if self.valley is not None:
            return self.valley.rise.height(other)
        return self._between_rows(other, lambda row: row.level) - self.level

    def height(self, rate: np.ndarray | float, other: np.ndarray | float) -> np.ndarray:
        """Draws of the loss above the lowest at a place, or at one place per draw."""
        if self.valley is not None:
            floor = self.valley.tilt * (other - self.other)
            return self.height_along_rate(rate - floor) + self.height_along_other(other)
        if len(self.rows) == 1 or np.all(other == self.best):
            return self.row.height(rate)
        found = self._between_rows(other, lambda row: row.level + row.height(rate))
        return found - self.level

    def _between_rows(
        self, other: np.ndarray | float, value: Callable[[Bowl], np.ndarray]
    ) -> np.ndarray:
        """Interpolate between rows, per draw; outside of them the nearest counts."""
        places = np.array(sorted(self.rows))
        values = np.stack([value(self.rows[place]) for place in places])
        other = np.broadcast_to(other, values.shape[1:])
        finite = np.isfinite(places)
        places, values = places[finite], values[finite]
        if len(places) == 1:
            return np.asarray(values[0])
        left = np.clip(np.searchsorted(places, other) - 1, 0, len(places) - 2)
        share = np.clip((other - places[left]) / (places[left + 1] - places[left]), 0, 1)
        draw = np.arange(values.shape[1])
        return np.asarray((1 - share) * values[left, draw] + share * values[left + 1, draw])


def apart(one: Surface, other: Surface) -> np.ndarray:
    """Return draws of the octaves between two optima, along the axis that tells them apart best.

    A cost is signed by them (`Estimate.of_cost`): zero is among the costs where both optima may be
    the same place.
    """
    with np.errstate(invalid="ignore"):  # log2 of a decay of 0, less itself
        rate, along = one.bottom - other.bottom, one.other - other.other
    if not np.isfinite(along).all() or not along.any():
        return rate
    return max(rate, along, key=lambda each: abs(each.mean()) / (each.std() + 1e-12))


def fit_surfaces(widths: Sequence[Rows]) -> list[Surface]:
    """Return the posterior of all widths' surfaces, whose rows are fitted as one regression.

    Example:
      >>> x = np.arange(-9.0, -3.0)
      >>> rows = {z: Points.of(x, (0.1 * (x + 6) ** 2 + z**2)[:, None]) for z in (-1.0, 0.0, 1.0)}
      >>> surface, = fit_surfaces([Rows(rows, best=0.0)])
      >>> bool(abs(np.median(surface.other)) < 0.05)
      True
    """
    if not widths:
        return []
    bowls = iter(fit_bowls([points for rows in widths for points in rows.points.values()]))
    fitted = [{place: next(bowls) for place in rows.points} for rows in widths]
    valleys = [place for place, rows in enumerate(widths) if rows.is_between]
    rises = fit_bowls([_bottoms(fitted[place]) for place in valleys], (0.0, 0.0)) if valleys else []
    found: dict[int, Valley] = {
        place: _valley(fitted[place], rise) for place, rise in zip(valleys, rises, strict=True)
    }
    return [
        Surface(bowls, rows.best, found.get(place))
        for place, (rows, bowls) in enumerate(zip(widths, fitted, strict=True))
    ]


def _bottoms(rows: Mapping[float, Bowl]) -> Points:
    """The lowest losses of the rows as points over the other axis."""
    places = sorted(place for place in rows if np.isfinite(place))
    return lowest_points(
        np.array(places),
        np.stack([rows[place].level for place in places]),
        np.stack([rows[place].noise for place in places]),
    )


def lowest_points(x: np.ndarray, levels: np.ndarray, noises: np.ndarray) -> Points:
    """Return the lowest losses of bowls that were fitted together as points over another axis.

    Their variance is that of the bowls' posteriors around what all share, in units of a trial's
    noise, which is as well known as there. What they share is no error of their differences.

    Arguments:
      x: log2 of the places along the other axis, increasing, shape [bowl].
      levels: draws of the lowest losses, shape [bowl, draw].
      noises: draws of the standard deviation of a trial, shape [bowl, draw].
    """
    log_noise = np.log(noises).mean(axis=0)
    noise, freedom = float(np.exp(log_noise.mean())), 1 / (2 * float(log_noise.var()) + 1e-9)
    shared = np.median(levels - np.median(levels, axis=1, keepdims=True), axis=0)
    low, middle, high = np.quantile(levels - shared, [0.16, 0.5, 0.84], axis=1)
    variance = ((high - low) / 2 / noise) ** 2
    return Points(x, middle, variance, freedom * noise**2, freedom)


def _valley(rows: Mapping[float, Bowl], rise: Bowl) -> Valley:
    places = np.array(sorted(place for place in rows if np.isfinite(place)))
    bottoms = np.stack([rows[place].bottom for place in places])  # [row, draw]
    low, high = np.quantile(bottoms, [0.16, 0.84], axis=1)
    away = places - np.median(rise.bottom)
    weight = 1 / (((high - low) / 2) ** 2 + (_BEND * away**2) ** 2 + 1e-12)
    center = weight @ places / weight.sum()
    spread = weight @ (places - center) ** 2
    tilt = (weight * (places - center)) @ bottoms / spread
    middle = weight @ bottoms / weight.sum()
    return Valley(middle + tilt * (rise.bottom - center), rise, tilt)
