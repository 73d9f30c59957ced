"""The searched hyperparameters in octaves, and the points that may be tried."""

import dataclasses
import functools
import itertools

import numpy as np

# A lattice of more points is replaced by quasi-random ones, because a round takes the square.
MOST_POINTS = 800


@dataclasses.dataclass(frozen=True)
class Box:
    """The range of each searched hyperparameter.

    Arguments:
      names: of the hyperparameters, the learning rate first.
      low, high: log2 of the ends of their ranges.
      step: between neighboring points, in octaves; losses a quarter of an octave apart differ by
        less than seeds do.

    Example:
      >>> box = Box(("learning_rate",), (-8.0,), (-7.0,))
      >>> box.points[:, 0].tolist()
      [-8.0, -7.75, -7.5, -7.25, -7.0]
    """

    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    step: float = 0.25

    @property
    def center(self) -> np.ndarray:
        """The middle of every range (axis)."""
        return (np.array(self.low) + np.array(self.high)) / 2

    @property
    def half(self) -> np.ndarray:
        """Half the length of every range, in octaves (axis)."""
        return (np.array(self.high) - np.array(self.low)) / 2

    @functools.cached_property
    def points(self) -> np.ndarray:
        """The points (point, axis) that may be tried: a lattice from the low ends upwards.

        Where the lattice has more than 800 points, 800 of a Sobol sequence are
        moved to the nearest points of it instead.
        """
        lines = [
            low + self.step * np.arange(round((high - low) / self.step) + 1)
            for low, high in zip(self.low, self.high, strict=True)
        ]
        if np.prod([float(len(line)) for line in lines]) <= MOST_POINTS:
            return np.array(list(itertools.product(*lines)))
        return self._on_lattice(_sobol(len(lines), MOST_POINTS, seed=0))

    def first(self, count: int, seed: int) -> np.ndarray:
        """Return points (point, axis) that fill the box, for a search that knows nothing yet.

        One point alone is the middle, where the bottom is expected; more are quasi-random.

        Example:
          >>> Box(("learning_rate",), (-8.0,), (-4.0,)).first(1, seed=0).tolist()
          [[-6.0]]
        """
        axes = len(self.names)
        unit = _sobol(axes, count, seed) if count > 1 else np.full((1, axes), 0.5)
        # The outer tenth on either side is left out, since few optima lie there.
        wanted = np.array(self.low) + 2 * self.half * (0.1 + 0.8 * unit)
        free = np.ones(len(self.points), dtype=bool)
        chosen = []
        for point in wanted:
            distance = np.square(self.points - point).sum(axis=1)
            nearest = int(np.argmin(np.where(free, distance, np.inf)))
            free[nearest] = False
            chosen.append(nearest)
        return self.points[chosen[: len(self.points)]]

    def extended(self, point: np.ndarray, octaves: float) -> "Box":
        """Return the box with every range extended on the side where `point` lies at its end.

        Example:
          >>> Box(("learning_rate",), (-8.0,), (-7.0,)).extended(np.array([-7.0]), 1.0).high
          (-6.0,)
        """
        edge = self.step / 2
        low, high = np.array(self.low), np.array(self.high)
        return dataclasses.replace(
            self,
            low=tuple((low - octaves * (point <= low + edge)).tolist()),
            high=tuple((high + octaves * (point >= high - edge)).tolist()),
        )

    def _on_lattice(self, unit: np.ndarray) -> np.ndarray:
        steps = np.round(unit * 2 * self.half / self.step)
        return np.unique(np.array(self.low) + self.step * steps, axis=0)


def _sobol(axes: int, count: int, seed: int) -> np.ndarray:
    """Scrambled Sobol points in the unit cube, the first of a power of two, which fills it best."""
    from scipy.stats import qmc  # takes a second

    drawn: np.ndarray = qmc.Sobol(axes, rng=np.random.default_rng(seed)).random_base2(
        max(1, (count - 1).bit_length())
    )
    return drawn[:count]
