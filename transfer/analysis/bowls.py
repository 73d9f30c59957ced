r"""The bottoms of noisy bowls: one Bayesian regression for all widths of a recipe.

Near its lowest point a loss over x, the log2 of a hyperparameter, is taken for

  loss(x) = level + c u^2 + e u^3 + f u^4 + g u |u|,   u = x - mu,

averaged over seeds, which all points share, so that what a seed adds to all of them cancels. Every
width has a mu, level, c, e, f and g of its own. The posterior of what widths share (noise, the mean
bowl, and how much widths differ from it) is sampled; given a sample, that of each mu is computed on
a grid, and level, c, e, f and g are integrated out exactly, because the loss is linear in them.

  mu         flat
  level      flat
  c          normal, mean C, s.d. 0.4 t C
  e          skewness: normal, mean K C, s.d. 0.08 t' C
  f          normal, mean F C, s.d. 0.03 t' C
  g          kink, another curvature above the bottom than below: normal, mean Q C, s.d. 0.1 t' C
  misfit     of every point: normal, s.d. 0.1 t' times its height above the lowest point
  log C      normal, s.d. 1, around that of a parabola's curvature
  K, F, Q    normal, 0.05 +- 0.15, 0 +- 0.07 and 0.1 +- 0.25. Losses rise faster above the best
             learning rate, where training grows unstable; in the sweeps under `experiments/` a
             cubic had a skewness of 0.1 with a s.d. of 0.2, as K and Q have together. For other
             axes all means are 0.
  logit t    normal, 0 +- 1.4: how much curvature differs between widths, t between 0 and 1
  logit t'   normal, logit t +- 1: form differs about as much as curvature does
  log noise  normal, median 0.2 C, s.d. 1: it was 0.2 to 1 C in the sweeps under `experiments/`.
             Only with one seed and few points does this prior matter.

Only points within two octaves of the lowest one, or two points on either side of it, are read.
Noise is that of the seeds and of the residuals of the fit together, so one seed has an interval
too. `transfer.analysis.bowl_prior` has the numbers.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from transfer.analysis.bowl_prior import RATE_FORM, Group, Shared, SharedPrior, with_own_noise
from transfer.analysis.evidence import Bottoms, basis, normal_equations, weights
from transfer.analysis.importance import importance_sample
from transfer.analysis.points import Points, with_rising_noise

DRAWS = 2000

_SAMPLES, _NODES = 160, 17  # while the proposal adapts: of what is shared, and of each bottom
_FINAL_SAMPLES, _FINAL_NODES = 800, 33


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
      form_error: of the height, as a share of it: what the form misses far from the bottom.
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
        return np.maximum(height, 0.0) * np.maximum(1 + self.form_error, 0.0)


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
    read = with_own_noise([Group.of(points) for points in with_rising_noise(groups)])
    prior = SharedPrior.of(read, form)
    bottoms: list[Bottoms] = []

    def log_posterior(coordinates: np.ndarray, nodes: int) -> np.ndarray:
        shared = prior.shared(coordinates)
        bottoms[:] = [Bottoms.of(group, shared, nodes) for group in read]
        return prior.log_density(coordinates) + sum(each.integral() for each in bottoms)

    found = importance_sample(
        lambda coordinates: log_posterior(coordinates, _NODES),
        lambda coordinates: log_posterior(coordinates, _FINAL_NODES),
        *prior.start(),
        _SAMPLES,
        _FINAL_SAMPLES,
    )
    chosen = found.resampled(DRAWS)
    shared = prior.shared(found.samples[chosen])
    generator = np.random.default_rng(0)
    form_error = shared.misfit * generator.standard_normal(DRAWS)
    return [
        _draw(
            group, each.mu[:, chosen], each.log_evidence[:, chosen], shared, generator, form_error
        )
        for group, each in zip(read, bottoms, strict=True)
    ]


def _draw(
    group: Group,
    mu: np.ndarray,
    log: np.ndarray,
    shared: Shared,
    generator: np.random.Generator,
    form_error: np.ndarray,
) -> Bowl:
    """Draw one bowl for each value of what is shared, from places mu [M, draw] of its bottom."""
    density = np.exp(log - log.max(axis=0))
    total = np.cumsum(density, axis=0)
    uniform = generator.permutation((np.arange(DRAWS) + 0.5) / DRAWS) * total[-1]
    row = np.minimum((total < uniform).sum(axis=0), len(mu) - 1)
    draw = np.arange(DRAWS)
    below = np.where(row > 0, total[row - 1, draw], 0.0)
    share = (uniform - below) / density[row, draw]
    place = mu[row, draw]
    bottom = np.clip(place + (share - 0.5) * (mu[1] - mu[0]), *group.allowed)

    equations = normal_equations(group, place[None], shared)
    z = [each[0] + generator.standard_normal(DRAWS) for each in equations.half]
    for i in reversed(range(len(z))):
        above = sum(equations.root[k][i][0] * z[k] for k in range(i + 1, len(z)))
        z[i] = (z[i] - above) / equations.root[i][i][0]
    coefficients = shared.mean + shared.spread * np.stack(z)
    fitted = sum(
        each * power
        for each, power in zip(coefficients, basis(group.x[:, None] - place), strict=True)
    )
    weight = weights(group, shared)
    total_weight = weight.sum(axis=0)
    level = (weight * (group.y[:, None] - fitted)).sum(axis=0) / total_weight
    level = level + generator.standard_normal(DRAWS) / np.sqrt(total_weight)
    return Bowl(
        bottom=bottom,
        level=level + group.lowest,
        coefficients=coefficients.T,
        noise=shared.noise * group.scale,
        span=(float(group.x[0]), float(group.x[-1])),
        points=group.points,
        form_error=form_error,
    )
