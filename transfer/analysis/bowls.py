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

from transfer.analysis.evidence import (
    LEAST_NOISE,
    MISFIT,
    RATE_FORM,
    SPREADS,
    Group,
    Shared,
    basis,
    first_grid,
    known_noise,
    log_evidence,
    narrowed_grid,
    noise_by_group,
    normal_equations,
    posterior_of_shared,
    typical_curvature,
)
from transfer.analysis.points import Points, with_rising_noise

DRAWS = 2000


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
      >>> abs(float(np.median(bowls[0].bottom)) + 6.2) < 0.1
      True
    """
    read = [Group.of(points) for points in with_rising_noise(groups)]
    curvature = typical_curvature(read)
    least = (LEAST_NOISE * curvature) ** 2
    read = [dataclasses.replace(group, least=least) for group in read]
    noise = known_noise(read, curvature)
    scales = noise_by_group(read)
    shared = Shared.wide(curvature, noise, form)
    grids = [first_grid(group) for group in read]
    for _ in range(2):
        tables = [
            log_evidence(*each, shared.thinned()) for each in zip(read, grids, scales, strict=True)
        ]
        grids = [narrowed_grid(*each) for each in zip(grids, tables, strict=True)]
    tables = [log_evidence(*each, shared) for each in zip(read, grids, scales, strict=True)]
    shared = shared.narrowed(posterior_of_shared(tables, grids, read, shared, noise))
    tables = [log_evidence(*each, shared) for each in zip(read, grids, scales, strict=True)]
    posterior = posterior_of_shared(tables, grids, read, shared, noise)
    return _draw(read, grids, scales, tables, shared, posterior)


def _draw(
    groups: Sequence[Group],
    grids: Sequence[np.ndarray],
    scales: Sequence[float],
    tables: Sequence[np.ndarray],
    shared: Shared,
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
    group: Group,
    mu: np.ndarray,
    scale: float,
    table: np.ndarray,
    shared: Shared,
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

    design = normal_equations(group, mu, shared.noise * scale)
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
    fitted = np.einsum("dri,di->dr", basis(u), coefficients)
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
