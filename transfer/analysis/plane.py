"""Straight lines over one size, and planes over several, through optima that are known as draws.

With x the logs of the sizes of a run, an optimum is taken for

  y(x) = middle + slopes . (x - center) + departure,

where y is log2 of a hyperparameter, so that each slope is an exponent. Each draw of the optima has
a weighted least-squares plane, and the draws of its slopes are their posterior. An optimum's weight
is 1 / (its variance + departure^2), so that the plane is not that of what is known worst.
"""

import dataclasses

import numpy as np

DEPARTURE = 0.1
"""How far an optimum may lie from a plane, in octaves, where too few optima tell."""

_DEPARTURES = DEPARTURE * 2.0 ** np.linspace(-4, 4, 33)
_SPREAD = 1.0  # of the log of the departure around that of DEPARTURE, beforehand


@dataclasses.dataclass(frozen=True, eq=False)
class Plane:
    """Weighted least-squares planes, one per draw.

    Fields:
      center: the sizes around which the plane is given, shape [axis].
      middle: the value there, shape [draw].
      slopes: shape [axis, draw].
      squares: sum of squares of what the plane leaves over, shape [draw].
    """

    center: np.ndarray
    middle: np.ndarray
    slopes: np.ndarray
    squares: np.ndarray

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """Return the value at sizes [axis], shape [draw]."""
        return np.asarray(self.middle + (sizes - self.center) @ self.slopes)


def plane(sizes: np.ndarray, places: np.ndarray) -> Plane:
    """Return the planes through draws.

    Arguments:
      sizes: logs of the sizes, shape [optimum, axis]. They must tell the axes apart.
      places: draws of the optima, shape [optimum, draw].

    Example:
      >>> sizes = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
      >>> found = plane(sizes, np.array([[1.0], [1.5], [0.75], [1.25]]))
      >>> found.slopes.ravel().round(9).tolist()
      [0.5, -0.25]
    """
    weights = 1 / (places.var(axis=1) + DEPARTURE**2)
    center = weights @ sizes / weights.sum()
    centred = sizes - center
    middle = weights @ places / weights.sum()
    weighted = weights[:, None] * centred
    slopes = np.linalg.solve(weighted.T @ centred, weighted.T @ places)
    squares = ((places - middle - centred @ slopes) ** 2).sum(axis=0)
    return Plane(center, middle, slopes, squares)


@dataclasses.dataclass(frozen=True, eq=False)
class PowerLaw:
    """A plane whose departures were estimated, as draws.

    Fields:
      plane: through the optima and departures of theirs, which the slopes' spread includes.
      departure: standard deviation of a single optimum around it, shape [draw].
      log_evidence: of the optima, by which forms of sizes compare that have as many slopes.
    """

    plane: Plane
    departure: np.ndarray
    log_evidence: float


def fit_power_law(sizes: np.ndarray, places: np.ndarray) -> PowerLaw:
    """Return the power law through optima, with departures as large as they show.

    The departure has a lognormal prior, median 0.1 octaves, s.d. of the log 1; the plane's prior is
    flat. An optimum counts with the mean and variance of its draws.

    Arguments:
      sizes, places: as for `plane`; there must be more optima than axes.

    Example:
      >>> x = np.arange(12.0)[:, None]
      >>> draws = 0.5 * x + 0.01 * np.random.default_rng(0).standard_normal((12, 500))
      >>> law = fit_power_law(x, draws)
      >>> bool(abs(np.median(law.plane.slopes) - 0.5) < 0.01), bool(np.median(law.departure) < 0.05)
      (True, True)
    """
    generator = np.random.default_rng(3)
    draws = places.shape[1]
    y, variance = places.mean(axis=1), places.var(axis=1)
    design = np.column_stack([np.ones(len(sizes)), sizes - sizes.mean(axis=0)])
    logs = np.array([_log_likelihood(design, y, variance + s**2) for s in _DEPARTURES])
    prior = -(np.log(_DEPARTURES / DEPARTURE) ** 2) / (2 * _SPREAD**2)
    weights = np.exp(logs + prior - (logs + prior).max())
    total = np.exp(prior - prior.max()).sum()
    evidence = float((logs + prior).max() - prior.max() + np.log(weights.sum() / total))
    strata = (np.arange(draws) + 0.5) / draws * weights.sum()
    chosen = np.minimum(np.searchsorted(np.cumsum(weights), strata), len(weights) - 1)
    departure = generator.permutation(_DEPARTURES[chosen])
    moved = places + departure * generator.standard_normal(places.shape)
    return PowerLaw(plane(sizes, moved), departure, evidence)


def _log_likelihood(design: np.ndarray, y: np.ndarray, variance: np.ndarray) -> float:
    """Log likelihood of independent normal y around design @ beta, with beta integrated out."""
    weighted = design / variance[:, None]
    gram = weighted.T @ design
    beta = np.linalg.solve(gram, weighted.T @ y)
    rest = y - design @ beta
    log_det = np.log(variance).sum() + np.linalg.slogdet(gram)[1]
    return float(-(log_det + (rest**2 / variance).sum()) / 2)
