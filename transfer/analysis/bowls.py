r"""The bottoms of noisy bowls: one Bayesian regression for all widths of a recipe.

Near its lowest point a loss over x, the log2 of a hyperparameter, is taken for

  loss(x) = level + c u^2 + e u^3 + f u^4 + g u |u|,   u = x - mu,

averaged over seeds, which all points share, so that what a seed adds to all of them cancels. Every
width has a mu, level, c, e, f and g of its own. The posterior is computed on a grid over mu and
over what widths share (noise, mean curvature, mean form); level, c, e, f and g are integrated out
exactly, because the loss is linear in them. Priors, all relative to the mean curvature C:

  mu     flat
  level  flat
  C      flat in log C
  c      normal, mean C, s.d. 0.4 C: widths differ, and pool where few points tell them apart
  e      skewness: normal, mean K C, s.d. 0.08 C, with K normal, mean 0.05, s.d. 0.15
  g      kink, another curvature above the bottom than below: normal, mean Q C, s.d. 0.1 C, with Q
         normal, mean 0.1, s.d. 0.25. Losses rise faster above the best learning rate, where
         training grows unstable; in the sweeps under `experiments/` a cubic had a skewness of 0.1
         with a s.d. of 0.2, as these two have together. For other axes both means are 0.
  f      normal, mean 0, s.d. 0.07 C: at two octaves it bends the bowl by a quarter
  noise  lognormal, median 0.2 C, s.d. of the log 1: it was 0.2 to 1 C in the sweeps under
         `experiments/`. Only with one seed and few points does this prior matter.

What this form misses far from the bottom is an error of a tenth of the height above it, in every
point on its own. Only points within two octaves of the lowest one, or two points on either side of
it, are read. Noise is that of the seeds and of the residuals of the fit together, so one seed has
an interval too.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

DRAWS = 2000
REACH = 2.0
"""Octaves on either side of the lowest point that are read, at least two points."""
MISFIT = 0.1
"""Standard error of the bowl's form, as a share of the height above the bottom."""
SPREADS = np.array([0.4, 0.08, 0.07, 0.1])
"""Standard deviations of c, e, f and g around their means over widths, over C."""
RATE_FORM = (0.05, 0.1)
"""Prior means of K and Q for learning rates; those of other axes are 0."""
FORM_SPREAD = (0.15, 0.25)
NOISE_MEDIAN, NOISE_SPREAD = 0.2, 1.0

_NODES = 49  # of the grid over mu
_LEAST_NOISE = 1e-4  # over the curvature; below it the normal equations lose their digits
_NOISE_POOLING = 6.0  # seeds' degrees of freedom that the pooled noise counts for at each width
_CURVATURES = 2.0 ** np.linspace(-1.5, 1.5, 5)
_FORMS = np.stack(np.meshgrid(*2 * [np.linspace(-1.6, 1.6, 5)], indexing="ij"), -1).reshape(-1, 2)


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
      coefficients: c, e, f and g, shape [draw, 4].
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
        c, e, f, g = self.coefficients.T
        u = np.clip(x, *self.span) - self.bottom
        height = ((f * u + e) * u + c + g * np.sign(u)) * u**2
        outer, losses = self.points
        further = np.clip(x, outer[0], outer[-1]) - self.bottom
        read = np.interp(x, outer, losses) - self.level
        inside = (x >= self.span[0]) & (x <= self.span[1])
        height = np.where(inside, height, np.maximum(read, height))
        height = height + c * ((x - self.bottom) ** 2 - further**2)
        return np.maximum(height, 0.0) * np.maximum(1 + MISFIT * self.form_error, 0.0)


def fit_bowls(groups: Sequence[Points], form: tuple[float, float] = RATE_FORM) -> list[Bowl]:
    """Return draws from the joint posterior of the bowls of all groups, such as widths.

    The draws come from a generator with a fixed seed, so intervals reproduce.

    Args:
      groups: losses over the same axis, each with a finite one.
      form: prior means of K and Q.

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
    shared = _Shared.wide(curvature, noise, form)
    grids = [_first_grid(group) for group in read]
    for _ in range(2):
        tables = [
            _evidence(*each, shared.thinned()) for each in zip(read, grids, scales, strict=True)
        ]
        grids = [_narrowed(*each) for each in zip(grids, tables, strict=True)]
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
    """Grids over what groups share: noise [N], curvature [C], mean skewness and kink [J, 2]."""

    noise: np.ndarray
    curvature: np.ndarray
    form: np.ndarray
    prior: np.ndarray  # log prior of the form, [J]

    @classmethod
    def wide(cls, curvature: float, noise: "_Noise", form: tuple[float, float]) -> "_Shared":
        log_noise = noise.center + noise.spread * np.linspace(-2.5, 2.5, 9)
        return cls(
            np.exp(log_noise),
            curvature * _CURVATURES,
            np.array(form) + np.array(FORM_SPREAD) * _FORMS,
            -(_FORMS**2).sum(axis=1) / 2,
        )

    def thinned(self) -> "_Shared":
        """Fewer nodes, enough to find where the bottom may lie."""
        return _Shared(self.noise[::2], self.curvature[::2], self.form[::3], self.prior[::3])

    @property
    def mean(self) -> np.ndarray:
        """Prior means of the coefficients, shape [C, J, 4]."""
        curvature = self.curvature[:, None]
        skewness, kink = curvature * self.form[:, 0], curvature * self.form[:, 1]
        whole = np.broadcast_to(curvature, skewness.shape)
        return np.stack([whole, skewness, np.zeros_like(skewness), kink], axis=-1)

    def narrowed(self, posterior: np.ndarray) -> "_Shared":
        """Put the nodes of the noise where the posterior [N, C, J] has it."""
        weight = posterior.sum(axis=(1, 2))
        log = np.log(self.noise)
        mean = weight @ log
        step = log[1] - log[0]
        spread = np.sqrt(weight @ (log - mean) ** 2 + step**2 / 12)
        nodes = mean + np.minimum(spread, 1.2 * step) * np.linspace(-2.2, 2.2, 6)
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

    Fields: `gram` [M, N, 4, 4], `moment` [M, N, 4], `total` and `log_det` [N], `weight` [N, R].
    """

    gram: np.ndarray
    moment: np.ndarray
    total: np.ndarray
    log_det: np.ndarray
    weight: np.ndarray


def _powers(u: np.ndarray) -> np.ndarray:
    return np.stack([u**2, u**3, u**4, u * np.abs(u)], axis=-1)


def _design(group: _Group, mu: np.ndarray, noise: np.ndarray) -> _Design:
    u = group.x - mu[:, None]
    powers = _powers(u)  # [M, R, 4]
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
    return _Design(gram, moment, squares, log_det, weight)


def _evidence(group: _Group, mu: np.ndarray, scale: float, shared: _Shared) -> np.ndarray:
    """Log evidence of one group, shape [M, N, C, J], with level and coefficients integrated out."""
    design = _design(group, mu, shared.noise * scale)
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


def _first_grid(group: _Group) -> np.ndarray:
    """All places that are allowed, finer around the lowest point, whose bowl may be narrow."""
    best = group.x[int(np.argmin(group.y))]
    step = float(np.median(np.diff(group.x))) if len(group.x) > 1 else 1.0
    fine = best + step * np.linspace(-1, 1, _NODES)
    whole = np.concatenate([np.linspace(*group.allowed, _NODES // 2), fine])
    return np.unique(np.clip(whole, *group.allowed))


def _narrowed(mu: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A grid as fine as before over the part that has the posterior."""
    best = table.max(axis=(1, 2, 3))
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
    """Weights [N, C, J] of what groups share, with every mu integrated out."""
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
    spread = SPREADS * shared.curvature[c][:, None]
    mean = shared.mean[c, k]
    gram = design.gram[row, n]
    precision = np.eye(len(SPREADS)) + gram * spread[:, :, None] * spread[:, None, :]
    rest = (design.moment[row, n] - np.einsum("dij,dj->di", gram, mean)) * spread
    root = np.linalg.cholesky(precision)
    normal = generator.standard_normal(mean.shape)
    half = np.linalg.solve(root, rest[..., None])[..., 0] + normal
    coefficients = mean + spread * np.linalg.solve(np.swapaxes(root, 1, 2), half[..., None])[..., 0]
    u = group.x - mu[row][:, None]
    fitted = np.einsum("dri,di->dr", _powers(u), coefficients)
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
