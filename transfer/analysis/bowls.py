r"""The bottoms of noisy bowls: one Bayesian regression for all widths of a recipe.

Near its lowest point a loss over x, the log2 of a hyperparameter, is taken for

  loss(x) = level + c u^2 + e u^3 + f u^4,   u = x - mu,

averaged over seeds, which all points share, so that what a seed adds to all of them cancels. Every
width has a mu, level, c, e and f of its own. The posterior is computed on a grid over mu and over
what widths share (noise, mean curvature, mean skewness); level, c, e, f are integrated out
exactly, because the loss is linear in them. Priors, all relative to the mean curvature C:

  mu     flat
  level  flat
  C      flat in log C
  c      normal, mean C, s.d. 0.4 C: widths differ, and pool where few points tell them apart
  e      normal, mean K C, s.d. 0.12 C, with K normal, mean 0.1, s.d. 0.15: losses rise faster
         above the best learning rate; e / c of the sweeps under `experiments/` was 0.1 with a
         s.d. of 0.2. For other axes the mean of K is 0.
  f      normal, mean 0, s.d. 0.07 C: at two octaves it bends the bowl by a quarter
  noise  lognormal, median 0.2 C, s.d. of the log 1: it was 0.2 to 1 C in the sweeps under
         `experiments/`. Only with one seed and few points does this prior matter.

What the polynomial misses far from the bottom is an error of a tenth of the height above it, in
every point on its own. Only points within two octaves of the lowest one, or two points on either
side of it, are read. Noise is that of the seeds and of the residuals of the fit together, so one
seed has an interval too.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

DRAWS = 2000
REACH = 2.0
"""Octaves on either side of the lowest point that are read, at least two points."""
MISFIT = 0.1
"""Standard error of the bowl's form, as a share of the height above the bottom."""
CURVATURE_SPREAD, SKEWNESS_SPREAD, QUARTIC_SPREAD = 0.4, 0.12, 0.07
RATE_SKEWNESS = 0.1
SKEWNESS_MEAN_SPREAD = 0.15
NOISE_MEDIAN, NOISE_SPREAD = 0.2, 1.0
_NODES = 49  # of the grid over mu
_LEAST_NOISE = 1e-4  # over the curvature; below it the normal equations lose their digits
_NOISE_POOLING = 6.0  # seeds' degrees of freedom that the pooled noise counts for at each width

_SPREADS = np.array([CURVATURE_SPREAD, SKEWNESS_SPREAD, QUARTIC_SPREAD])
_CURVATURES = 2.0 ** np.linspace(-1.5, 1.5, 6)
_SKEWNESSES = np.linspace(-2.0, 2.0, 5)


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Losses over one axis at one width.

    Fields:
      x: log2 of the values, increasing, shape [point].
      y: losses averaged over seeds, +inf where training diverged, shape [point].
      variance: of `y`, as multiples of the variance of one trial's noise, shape [point].
      squares: sum of squares of trials around `y` and around their seed's mean.
      freedom: degrees of freedom of `squares`.
    """

    x: np.ndarray
    y: np.ndarray
    variance: np.ndarray
    squares: float = 0.0
    freedom: float = 0.0

    @classmethod
    def of(cls, x: np.ndarray, losses: np.ndarray) -> "Points":
        """Make them of losses [point, seed]; points that are read decide the noise alone.

        Example:
          >>> points = Points.of(np.arange(3.0), np.array([[2.0, 3.0], [1.0, 2.2], [2.0, 3.0]]))
          >>> points.y.tolist(), points.freedom, round(points.squares, 6)
          ([2.5, 1.6, 2.5], 2.0, 0.013333)
        """
        seeds = losses.shape[1]
        y = losses.mean(axis=1)
        read = losses[_read(x, y)]
        rest = read - read.mean(axis=1, keepdims=True) - read.mean(axis=0) + read.mean()
        return cls(
            x,
            y,
            np.full(len(x), 1 / seeds),
            float((rest**2).sum()),
            float(max(len(read) - 1, 0) * (seeds - 1)),
        )

    @property
    def allowed(self) -> tuple[float, float]:
        """Where the bottom may lie: up to two steps outside the points, and not in divergence."""
        whole = _read(self.x, self.y, np.inf)
        step = float(np.median(np.diff(self.x))) if len(self.x) > 1 else 1.0
        low = self.x[whole.start - 1] if whole.start else self.x[0] - 2 * step
        above = self.x[whole.stop] if whole.stop < len(self.x) else self.x[-1] + 2 * step
        return float(low), float(above)


@dataclasses.dataclass(frozen=True, eq=False)
class Bowl:
    """Draws from the posterior of one width's bowl, shape [draw] each.

    Draws of the widths of one fit belong together: the k-th of each is one joint draw.

    Fields:
      bottom: mu, log2 of the best value.
      level: the loss there.
      coefficients: c, e and f, shape [draw, 3].
      noise: standard deviation of one trial.
      span: lowest and highest point that was read.
      points: (x, loss) of all points between divergences, which take over outside the span.
      form_error: the standard normal error of the bowl's form far from the bottom.
    """

    bottom: np.ndarray
    level: np.ndarray
    coefficients: np.ndarray
    noise: np.ndarray
    span: tuple[float, float]
    points: tuple[np.ndarray, np.ndarray]
    form_error: np.ndarray

    def height(self, x: np.ndarray | float) -> np.ndarray:
        """Return the loss at x above the bottom, shape [draw]; x is one place or one per draw.

        Outside the points that were read it is interpolated between points, and outside of all
        points it goes on as a parabola from their edge, because a quartic may bend down there.
        """
        x = np.broadcast_to(x, self.bottom.shape)
        c, e, f = self.coefficients.T
        u = np.clip(x, *self.span) - self.bottom
        height = ((f * u + e) * u + c) * u**2
        outer, losses = self.points
        further = np.clip(x, outer[0], outer[-1]) - self.bottom
        read = np.interp(x, outer, losses) - self.level
        inside = (x >= self.span[0]) & (x <= self.span[1])
        height = np.where(inside, height, np.maximum(read, height))
        height = height + c * ((x - self.bottom) ** 2 - further**2)
        return np.maximum(height, 0.0) * np.maximum(1 + MISFIT * self.form_error, 0.0)


def fit_bowls(groups: Sequence[Points], skewness: float = RATE_SKEWNESS) -> list[Bowl]:
    """Return draws from the joint posterior of the bowls of all groups, such as widths.

    The draws come from a generator with a fixed seed, so intervals reproduce.

    Args:
      groups: losses over the same axis, each with a finite one.
      skewness: prior mean of K.

    Example:
      >>> x = np.arange(-9.0, -3.0)
      >>> bowls = fit_bowls([Points.of(x, 0.1 * (x[:, None] + 6.2) ** 2 + np.zeros(3))])
      >>> round(float(np.median(bowls[0].bottom)), 2)
      -6.2
    """
    read = [_Group.of(points) for points in groups]
    curvature = _typical_curvature(read)
    least = (_LEAST_NOISE * curvature) ** 2
    read = [dataclasses.replace(group, least=least) for group in read]
    noise = _noise_guess(read, curvature)
    scales = _noise_by_group(read)
    shared = _Shared.wide(curvature, noise, skewness)
    grids = [_first_grid(group) for group in read]
    for _ in range(2):
        tables = [_evidence(*each, shared) for each in zip(read, grids, scales, strict=True)]
        grids = [_narrowed(*each, shared) for each in zip(grids, tables, strict=True)]
    tables = [_evidence(*each, shared) for each in zip(read, grids, scales, strict=True)]
    shared = shared.narrowed(_posterior(tables, grids, read, shared, noise))
    tables = [_evidence(*each, shared) for each in zip(read, grids, scales, strict=True)]
    posterior = _posterior(tables, grids, read, shared, noise)
    return _draw(read, grids, scales, tables, shared, posterior)


@dataclasses.dataclass(frozen=True, eq=False)
class _Group:
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
    def of(cls, points: Points) -> "_Group":
        near, whole = _read(points.x, points.y), _read(points.x, points.y, np.inf)
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
class _Shared:
    """Grids over what groups share: noise [N], mean curvature [C], mean skewness [K]."""

    noise: np.ndarray
    curvature: np.ndarray
    skewness: np.ndarray
    prior: np.ndarray  # log prior of the skewness, [K]

    @classmethod
    def wide(cls, curvature: float, noise: "_Noise", skewness: float) -> "_Shared":
        log_noise = noise.center + noise.spread * np.linspace(-2.5, 2.5, 9)
        return cls(
            np.exp(log_noise),
            curvature * _CURVATURES,
            skewness + SKEWNESS_MEAN_SPREAD * _SKEWNESSES,
            -(_SKEWNESSES**2) / 2,
        )

    def narrowed(self, posterior: np.ndarray) -> "_Shared":
        """Put the nodes of the noise where the posterior [N, C, K] has it."""
        weight = posterior.sum(axis=(1, 2))
        log = np.log(self.noise)
        mean = weight @ log
        step = log[1] - log[0]
        spread = np.sqrt(weight @ (log - mean) ** 2 + step**2 / 12)
        nodes = mean + np.minimum(spread, 1.2 * step) * np.linspace(-2.4, 2.4, 7)
        return dataclasses.replace(self, noise=np.exp(nodes))


@dataclasses.dataclass(frozen=True)
class _Noise:
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


def _read(x: np.ndarray, y: np.ndarray, reach: float = REACH) -> slice:
    """The points around the lowest that are read; divergence ends them."""
    best = int(np.argmin(y))
    near = np.abs(x - x[best]) <= reach
    near[max(best - 2, 0) : best + 3] = True
    ends = np.flatnonzero(~(near & np.isfinite(y)))
    first = ends[ends < best].max(initial=-1) + 1
    last = ends[ends > best].min(initial=len(y))
    return slice(int(first), int(last))


def _typical_curvature(groups: Sequence[_Group]) -> float:
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


def _noise_guess(groups: Sequence[_Group], curvature: float) -> _Noise:
    squares = sum(group.squares for group in groups)
    freedom = sum(group.freedom for group in groups)
    median = NOISE_MEDIAN * curvature
    squares += (_LEAST_NOISE * curvature) ** 2 * freedom
    if not freedom:
        return _Noise(squares, freedom, median, float(np.log(median)) - 0.5, 1.3)
    center = 0.5 * float(np.log(squares / freedom))
    spread = 1 / np.sqrt(2 * freedom)
    return _Noise(squares, freedom, median, center, float(min(spread, 1.0)) * 1.5)


def _noise_by_group(groups: Sequence[_Group]) -> list[float]:
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
class _Design:
    """Normal equations at every mu and noise, with the level projected out.

    Fields: `gram` [M, N, 3, 3], `moment` [M, N, 3], `total` [N], `log_det` [N].
    """

    gram: np.ndarray
    moment: np.ndarray
    total: np.ndarray
    log_det: np.ndarray
    weight: np.ndarray


def _design(group: _Group, mu: np.ndarray, noise: np.ndarray) -> _Design:
    u = group.x - mu[:, None]
    powers = np.stack([u**2, u**3, u**4], axis=-1)  # [M, R, 3]
    variance = noise[:, None] ** 2 * group.variance + group.misfit**2 + group.least  # [N, R]
    weight = 1 / variance
    total = weight.sum(axis=1)
    share = weight / total[:, None]
    mean = np.einsum("nr,mri->mni", share, powers)
    # Differences to the weighted mean keep the digits that subtracting large sums would lose.
    centred = powers[:, None] - mean[:, :, None]  # [M, N, R, 3]
    y = group.y - (share @ group.y)[:, None]  # [N, R]
    weighted = centred * weight[:, :, None]
    gram = np.swapaxes(weighted, -1, -2) @ centred
    moment = np.einsum("mnri,nr->mni", weighted, y)
    squares = (weight * y**2).sum(axis=1)
    log_det = np.log(variance).sum(axis=1) + np.log(total)
    return _Design(gram, moment, squares, log_det, weight)


def _evidence(group: _Group, mu: np.ndarray, scale: float, shared: _Shared) -> np.ndarray:
    """Log evidence of one group, shape [M, N, C, K], with level, c, e and f integrated out."""
    design = _design(group, mu, shared.noise * scale)
    spread = _SPREADS * shared.curvature[:, None]  # [C, 3]
    mean = _prior_mean(shared)  # [C, K, 3]
    gram = design.gram[:, :, None] * (spread[:, :, None] * spread[:, None, :])  # [M, N, C, 3, 3]
    gram_mean = np.einsum("mnij,ckj->mncki", design.gram, mean)
    rest = (design.moment[:, :, None, None] - gram_mean) * spread[:, None, :]
    quadratic = (
        design.total[:, None, None]
        - 2 * np.einsum("mni,cki->mnck", design.moment, mean)
        + np.einsum("mncki,cki->mnck", gram_mean, mean)
    )
    b11, b22, b33 = (1 + gram[..., i, i] for i in range(3))
    b21, b31, b32 = gram[..., 1, 0], gram[..., 2, 0], gram[..., 2, 1]
    # Cholesky by hand: LAPACK takes a call per matrix of three rows.
    l11 = np.sqrt(b11)
    l21, l31 = b21 / l11, b31 / l11
    l22 = np.sqrt(b22 - l21**2)
    l32 = (b32 - l31 * l21) / l22
    l33 = np.sqrt(np.maximum(b33 - l31**2 - l32**2, 1e-12))
    z1 = rest[..., 0] / l11[..., None]
    z2 = (rest[..., 1] - l21[..., None] * z1) / l22[..., None]
    z3 = (rest[..., 2] - l31[..., None] * z1 - l32[..., None] * z2) / l33[..., None]
    log_det = 2 * np.log(l11 * l22 * l33)[..., None] + design.log_det[:, None, None]
    return np.asarray(-(log_det + quadratic - z1**2 - z2**2 - z3**2) / 2)


def _prior_mean(shared: _Shared) -> np.ndarray:
    c, k = np.meshgrid(shared.curvature, shared.skewness, indexing="ij")
    return np.stack([c, k * c, np.zeros_like(c)], axis=-1)


def _first_grid(group: _Group) -> np.ndarray:
    """All places that are allowed, finer around the lowest point, whose bowl may be narrow."""
    best = group.x[int(np.argmin(group.y))]
    step = float(np.median(np.diff(group.x))) if len(group.x) > 1 else 1.0
    fine = best + step * np.linspace(-1, 1, _NODES)
    whole = np.concatenate([np.linspace(*group.allowed, _NODES // 2), fine])
    return np.unique(np.clip(whole, *group.allowed))


def _narrowed(mu: np.ndarray, table: np.ndarray, shared: _Shared) -> np.ndarray:
    """A grid as fine as before over the part that has the posterior."""
    best = (table + shared.prior).max(axis=(1, 2, 3))
    kept = np.flatnonzero(best > best.max() - 14)
    low, high = mu[max(kept[0] - 1, 0)], mu[min(kept[-1] + 1, len(mu) - 1)]
    return np.linspace(low, high, _NODES)


def _posterior(
    tables: Sequence[np.ndarray],
    grids: Sequence[np.ndarray],
    groups: Sequence[_Group],
    shared: _Shared,
    noise: _Noise,
) -> np.ndarray:
    """Weights [N, C, K] of what groups share, with every mu integrated out."""
    log = noise.log_density(np.log(shared.noise))[:, None, None] + shared.prior
    for table, mu, group in zip(tables, grids, groups, strict=True):
        top = table.max(axis=0)
        width = (mu[1] - mu[0]) / (group.allowed[1] - group.allowed[0])
        log = log + top + np.log(np.exp(table - top).sum(axis=0) * width)
    weights = np.exp(log - log.max())
    return np.asarray(weights / weights.sum())


def _draw(
    groups: Sequence[_Group],
    grids: Sequence[np.ndarray],
    scales: Sequence[float],
    tables: Sequence[np.ndarray],
    shared: _Shared,
    posterior: np.ndarray,
) -> list[Bowl]:
    generator = np.random.default_rng(0)
    strata = (np.arange(DRAWS) + 0.5) / DRAWS
    chosen = np.searchsorted(np.cumsum(posterior.ravel()), strata * (1 - 1e-12))
    n, c, k = np.unravel_index(np.minimum(chosen, posterior.size - 1), posterior.shape)
    form_error = generator.standard_normal(DRAWS)
    return [
        _draw_one(*each, shared, (n, c, k), generator, form_error)
        for each in zip(groups, grids, scales, tables, strict=True)
    ]


def _draw_one(
    group: _Group,
    mu: np.ndarray,
    scale: float,
    table: np.ndarray,
    shared: _Shared,
    place: tuple[np.ndarray, np.ndarray, np.ndarray],
    generator: np.random.Generator,
    form_error: np.ndarray,
) -> Bowl:
    n, c, k = place
    log = table[:, n, c, k]  # [M, draw]
    density = np.exp(log - log.max(axis=0))
    total = np.cumsum(density, axis=0)
    uniform = generator.permutation((np.arange(DRAWS) + 0.5) / DRAWS) * total[-1]
    row = np.minimum((total < uniform).sum(axis=0), len(mu) - 1)
    below = np.where(row > 0, total[row - 1, np.arange(DRAWS)], 0.0)
    share = (uniform - below) / density[row, np.arange(DRAWS)]
    bottom = np.clip(mu[row] + (share - 0.5) * (mu[1] - mu[0]), *group.allowed)

    design = _design(group, mu, shared.noise * scale)
    spread = _SPREADS * shared.curvature[c][:, None]
    mean = _prior_mean(shared)[c, k]
    gram = design.gram[row, n]
    precision = np.eye(3) + gram * spread[:, :, None] * spread[:, None, :]
    rest = (design.moment[row, n] - np.einsum("dij,dj->di", gram, mean)) * spread
    root = np.linalg.cholesky(precision)
    normal = generator.standard_normal((DRAWS, 3))
    half = np.linalg.solve(root, rest[..., None])[..., 0] + normal
    coefficients = mean + spread * np.linalg.solve(np.swapaxes(root, 1, 2), half[..., None])[..., 0]
    u = group.x - mu[row][:, None]
    fitted = np.einsum("dri,di->dr", np.stack([u**2, u**3, u**4], axis=-1), coefficients)
    weight = design.weight[n]
    level = ((group.y - fitted) * weight).sum(axis=1) / weight.sum(axis=1)
    level = level + generator.standard_normal(DRAWS) / np.sqrt(weight.sum(axis=1))
    return Bowl(
        bottom=bottom,
        level=level + group.lowest,
        coefficients=coefficients,
        noise=shared.noise[n] * scale,
        span=(float(group.x[0]), float(group.x[-1])),
        points=group.points,
        form_error=form_error,
    )
