"""The evidence for places of a bowl's bottom, on a grid: the inside of `transfer.analysis.bowls`.

Shapes are named by M, places of the bottom; N, noise; C, mean curvature; J, mean form; R, points.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transfer.analysis.points import Points, around_lowest

MISFIT = 0.1
"""Standard error of the bowl's form, as a share of the height above the bottom."""
SPREADS = np.array([0.4, 0.08, 0.07, 0.1])
"""Standard deviations of c, e, f and g around their means over widths, over C."""
RATE_FORM = (0.05, 0.1)
"""Prior means of K and Q for learning rates; those of other axes are 0."""
FORM_SPREAD = (0.15, 0.25)
NOISE_MEDIAN, NOISE_SPREAD = 0.2, 1.0

_NODES = 49  # of the grid over mu
LEAST_NOISE = 1e-4  # over the curvature; below it the normal equations lose their digits
_NOISE_POOLING = 6.0  # seeds' degrees of freedom that the pooled noise counts for at each width
_CURVATURES = 2.0 ** np.linspace(-1.5, 1.5, 5)
_FORMS = np.stack(np.meshgrid(*2 * [np.linspace(-1.6, 1.6, 5)], indexing="ij"), -1).reshape(-1, 2)


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """The points that are read, with the error of the bowl's form."""

    x: np.ndarray
    y: np.ndarray
    variance: np.ndarray
    misfit: np.ndarray
    squares: float
    freedom: float
    allowed: tuple[float, float]
    lowest: float
    points: tuple[np.ndarray, np.ndarray]
    least: float = 0.0

    @classmethod
    def of(cls, points: Points) -> "Group":
        """Take what is read of the points, with the lowest loss as zero."""
        near, whole = points.near, around_lowest(points.x, points.y, np.inf)
        y = points.y[near]
        return cls(
            points.x[near],
            y - y.min(),
            points.variance[near],
            MISFIT * (y - y.min()),
            points.squares,
            points.freedom,
            points.allowed,
            float(y.min()),
            (points.x[whole], points.y[whole]),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Shared:
    """Grids over what groups share: noise [N], curvature [C], mean skewness and kink [J, 2]."""

    noise: np.ndarray
    curvature: np.ndarray
    form: np.ndarray
    prior: np.ndarray  # log prior of the form, [J]

    @classmethod
    def wide(cls, curvature: float, noise: "Noise", form: tuple[float, float]) -> "Shared":
        """Spread the nodes over all that is likely before the evidence of the groups."""
        log_noise = noise.center + noise.spread * np.linspace(-2.5, 2.5, 9)
        return cls(
            np.exp(log_noise),
            curvature * _CURVATURES,
            np.array(form) + np.array(FORM_SPREAD) * _FORMS,
            -(_FORMS**2).sum(axis=1) / 2,
        )

    def thinned(self) -> "Shared":
        """Fewer nodes, enough to find where the bottom may lie."""
        return Shared(self.noise[::2], self.curvature[::2], self.form[::3], self.prior[::3])

    @property
    def mean(self) -> np.ndarray:
        """Prior means of the coefficients, shape [C, J, 4]."""
        curvature = self.curvature[:, None]
        skewness, kink = curvature * self.form[:, 0], curvature * self.form[:, 1]
        whole = np.broadcast_to(curvature, skewness.shape)
        return np.stack([whole, skewness, np.zeros_like(skewness), kink], axis=-1)

    def narrowed(self, posterior: np.ndarray) -> "Shared":
        """Put the nodes of the noise where the posterior [N, C, J] has it."""
        weight = posterior.sum(axis=(1, 2))
        log = np.log(self.noise)
        mean = weight @ log
        step = log[1] - log[0]
        spread = np.sqrt(weight @ (log - mean) ** 2 + step**2 / 12)
        nodes = mean + np.minimum(spread, 1.2 * step) * np.linspace(-2.2, 2.2, 6)
        return dataclasses.replace(self, noise=np.exp(nodes))


@dataclasses.dataclass(frozen=True)
class Noise:
    """What is known of the noise beside the fit: squares over seeds, and the prior."""

    squares: float
    freedom: float
    median: float
    center: float
    spread: float

    def log_density(self, log_noise: np.ndarray) -> np.ndarray:
        """Of the log of the noise, up to a constant."""
        prior = -((log_noise - np.log(self.median)) ** 2) / (2 * NOISE_SPREAD**2)
        likelihood = -self.freedom * log_noise - self.squares * np.exp(-2 * log_noise) / 2
        return np.asarray(prior + likelihood)


def typical_curvature(groups: Sequence[Group]) -> float:
    """The median over groups of a parabola's curvature, the scale of all priors."""
    found = []
    for group in groups:
        if len(group.x) < 3:
            continue
        u = group.x - group.x[int(np.argmin(group.y))]
        weight = 1 / np.sqrt(group.misfit**2 + (0.1 * np.ptp(group.y)) ** 2 + 1e-300)
        found.append(float(np.polyfit(u, group.y, 2, w=weight)[0]))
    positive = [each for each in found if each > 0]
    if positive:
        return float(np.median(positive))
    rise = max(float(np.ptp(group.y)) for group in groups)
    return rise or 1.0


def known_noise(groups: Sequence[Group], curvature: float) -> Noise:
    """Return what seeds and prior say of the noise before any fit."""
    squares = sum(group.squares for group in groups)
    freedom = sum(group.freedom for group in groups)
    median = NOISE_MEDIAN * curvature
    squares += (LEAST_NOISE * curvature) ** 2 * freedom
    if not freedom:
        return Noise(squares, freedom, median, float(np.log(median)) - 0.5, 1.3)
    center = 0.5 * float(np.log(squares / freedom))
    spread = 1 / np.sqrt(2 * freedom)
    return Noise(squares, freedom, median, center, float(min(spread, 1.0)) * 1.5)


def noise_by_group(groups: Sequence[Group]) -> list[float]:
    """Noise of each group over the pooled noise, shrunk to 1 where few seeds tell."""
    freedom = sum(group.freedom for group in groups)
    squares = sum(group.squares for group in groups)
    if not freedom or not squares:
        return [1.0] * len(groups)
    pooled = squares / freedom
    return [
        float(np.sqrt((group.squares / pooled + _NOISE_POOLING) / (group.freedom + _NOISE_POOLING)))
        for group in groups
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class NormalEquations:
    """Normal equations at every mu and noise, with the level projected out.

    Fields: `gram` [M, N, 4, 4], `moment` [M, N, 4], `total` and `log_det` [N], `weight` [N, R].
    """

    gram: np.ndarray
    moment: np.ndarray
    total: np.ndarray
    log_det: np.ndarray
    weight: np.ndarray


def basis(u: np.ndarray) -> np.ndarray:
    """Return what the coefficients c, e, f and g multiply, shape [..., 4]."""
    return np.stack([u**2, u**3, u**4, u * np.abs(u)], axis=-1)


def normal_equations(group: Group, mu: np.ndarray, noise: np.ndarray) -> NormalEquations:
    """Return the normal equations of one group at places of the bottom and noises."""
    u = group.x - mu[:, None]
    powers = basis(u)  # [M, R, 4]
    variance = noise[:, None] ** 2 * group.variance + group.misfit**2 + group.least  # [N, R]
    weight = 1 / variance
    total = weight.sum(axis=1)
    share = weight / total[:, None]
    mean = np.einsum("nr,mri->mni", share, powers)
    # Differences to the weighted mean keep the digits that subtracting large sums would lose.
    centred = powers[:, None] - mean[:, :, None]  # [M, N, R, 4]
    y = group.y - (share @ group.y)[:, None]  # [N, R]
    weighted = centred * weight[:, :, None]
    gram = np.swapaxes(weighted, -1, -2) @ centred
    moment = np.einsum("mnri,nr->mni", weighted, y)
    squares = (weight * y**2).sum(axis=1)
    log_det = np.log(variance).sum(axis=1) + np.log(total)
    return NormalEquations(gram, moment, squares, log_det, weight)


def log_evidence(group: Group, mu: np.ndarray, scale: float, shared: Shared) -> np.ndarray:
    """Log evidence of one group, shape [M, N, C, J], with level and coefficients integrated out."""
    design = normal_equations(group, mu, shared.noise * scale)
    spread = SPREADS * shared.curvature[:, None]  # [C, 4]
    mean = shared.mean
    gram = design.gram[:, :, None] * (spread[:, :, None] * spread[:, None, :])  # [M, N, C, 4, 4]
    root = np.linalg.cholesky(np.eye(len(SPREADS)) + gram)
    # [M, N, C, 4, J], by which matrix products are fast.
    gram_mean = design.gram[:, :, None] @ np.swapaxes(mean, 1, 2)
    moment = design.moment[:, :, None, :, None]
    half = _forward(root, (moment - gram_mean) * spread[:, :, None])
    quadratic = ((gram_mean - 2 * moment) * np.swapaxes(mean, 1, 2)).sum(axis=-2)
    quadratic += design.total[:, None, None] - (half**2).sum(axis=-2)
    log_det = 2 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)[..., None]
    return np.asarray(-(log_det + design.log_det[:, None, None] + quadratic) / 2)


def _forward(root: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve root x = right for lower triangles [..., i, i] and [..., i, k], faster than LAPACK."""
    solved = np.empty_like(right)
    for row in range(root.shape[-1]):
        known = sum(root[..., row, k, None] * solved[..., k, :] for k in range(row))
        solved[..., row, :] = (right[..., row, :] - known) / root[..., row, row, None]
    return solved


def first_grid(group: Group) -> np.ndarray:
    """All places that are allowed, finer around the lowest point, whose bowl may be narrow."""
    best = group.x[int(np.argmin(group.y))]
    step = float(np.median(np.diff(group.x))) if len(group.x) > 1 else 1.0
    fine = best + step * np.linspace(-1, 1, _NODES)
    whole = np.concatenate([np.linspace(*group.allowed, _NODES // 2), fine])
    return np.unique(np.clip(whole, *group.allowed))


def narrowed_grid(mu: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A grid as fine as before over the part that has the posterior."""
    best = table.max(axis=(1, 2, 3))
    kept = np.flatnonzero(best > best.max() - 14)
    low, high = mu[max(kept[0] - 1, 0)], mu[min(kept[-1] + 1, len(mu) - 1)]
    return np.linspace(low, high, _NODES)


def posterior_of_shared(
    tables: Sequence[np.ndarray],
    grids: Sequence[np.ndarray],
    groups: Sequence[Group],
    shared: Shared,
    noise: Noise,
) -> np.ndarray:
    """Weights [N, C, J] of what groups share, with every mu integrated out."""
    log = noise.log_density(np.log(shared.noise))[:, None, None] + shared.prior
    for table, mu, group in zip(tables, grids, groups, strict=True):
        top = table.max(axis=0)
        width = (mu[1] - mu[0]) / (group.allowed[1] - group.allowed[0])
        log = log + top + np.log(np.exp(table - top).sum(axis=0) * width)
    weights = np.exp(log - log.max())
    return np.asarray(weights / weights.sum())
