"""The evidence for places of a bowl's bottom: the inside of `transfer.analysis.bowls`.

Shapes are named by M, places of the bottom; S, samples of what bowls share; R, points. Every sample
has places of its own, around where its bowl has its bottom.
"""

import dataclasses

import numpy as np

from transfer.analysis.bowl_prior import Group, Shared

_WIDE, _FINE = 17, 17  # nodes of the first grid over all places, and around the lowest point
_LIKELY = 12.0  # log densities so far below the highest are left out
_BLOCK = 80  # samples at a time, whose arrays stay in the cache


@dataclasses.dataclass(frozen=True, eq=False)
class NormalEquations:
    """One bowl's normal equations with the level projected out, in units of the prior's spread.

    The coefficients are mean + spread z with z standard normal beforehand, and z has the precision
    root root^T and the mean root^-T half afterwards.

    Fields:
      root: lower Cholesky factor of the precision of z, rows of [M, S].
      half: root^-1 times the moments, four of [M, S].
      squares: weighted sum of squares of what the mean bowl leaves over, [M, S].
      log_det: of the points' variances with the level projected out, [S].
    """

    root: list[list[np.ndarray]]
    half: list[np.ndarray]
    squares: np.ndarray
    log_det: np.ndarray

    @property
    def log_evidence(self) -> np.ndarray:
        """Log evidence of the points, level and coefficients integrated out, [M, S]."""
        log_det = self.log_det + 2 * sum(np.log(row[-1]) for row in self.root)
        return np.asarray(-(log_det + self.squares - sum(half**2 for half in self.half)) / 2)


def basis(u: np.ndarray) -> list[np.ndarray]:
    """Return what the coefficients c, e, f and g multiply."""
    square = u * u
    return [square, square * u, square * square, u * np.abs(u)]


def weights(group: Group, shared: Shared) -> np.ndarray:
    """Return the inverse variances of the points around a bowl of the family, [R, S]."""
    noise = group.variance[:, None] * shared.noise**2
    return np.asarray(1 / (noise + (group.y[:, None] * shared.misfit) ** 2 + shared.least))


def normal_equations(group: Group, mu: np.ndarray, shared: Shared) -> NormalEquations:
    """Return the normal equations of one bowl with its bottom at mu, shape [M, S] or [M, 1]."""
    weight = weights(group, shared)
    total = weight.sum(axis=0)
    share = weight / total  # [R, S]
    shape = (len(group.x), len(mu), len(total))  # [R, M, S]
    rest = (group.y[:, None] - group.y @ share)[:, None]
    scaled = []
    for power, mean, spread in zip(
        basis(group.x[:, None, None] - mu), shared.mean, shared.spread, strict=True
    ):
        # Differences to the weighted mean keep the digits that subtracting large sums would lose.
        centred = power - np.einsum("rs,rms->ms", share, np.broadcast_to(power, shape))
        rest = rest - mean * centred
        scaled.append(spread * centred)
    weighted = [weight[:, None] * each for each in scaled]
    root: list[list[np.ndarray]] = []
    half: list[np.ndarray] = []
    for i, row in enumerate(weighted):
        line: list[np.ndarray] = []
        for j in range(i):
            known = sum(line[k] * root[j][k] for k in range(j))
            line.append((_dot(row, scaled[j]) - known) / root[j][j])
        precision = 1 + _dot(row, scaled[i]) - sum(each**2 for each in line)
        line.append(np.sqrt(np.maximum(precision, 1e-12)))
        root.append(line)
        known = sum(line[k] * half[k] for k in range(i))
        half.append((_dot(row, rest) - known) / line[i])
    squares = _dot(weight[:, None] * rest, rest)
    log_det = np.log(total) - np.log(weight).sum(axis=0)
    return NormalEquations(root, half, squares, log_det)


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sum of products over points, without an array of them."""
    return np.einsum("rms,rms->ms", one, other)


@dataclasses.dataclass(frozen=True, eq=False)
class Bottoms:
    """Places of one bowl's bottom for every sample, evenly spaced, with their log evidence, [M, S].

    Places beyond those are as good as impossible.
    """

    mu: np.ndarray
    log_evidence: np.ndarray

    @classmethod
    def of(cls, group: Group, shared: Shared, nodes: int) -> "Bottoms":
        """Find them: all that is allowed, then twice where the evidence is."""
        found = []
        for start in range(0, len(shared.noise), _BLOCK):
            block = shared.take(slice(start, start + _BLOCK))
            mu = _first_grid(group)[:, None]
            for _ in range(2):
                mu = _narrowed(mu, normal_equations(group, mu, block).log_evidence, nodes)
            found.append((mu, normal_equations(group, mu, block).log_evidence))
        mus, logs = zip(*found, strict=True)
        return cls(np.concatenate(mus, axis=1), np.concatenate(logs, axis=1))

    @property
    def step(self) -> np.ndarray:
        """Octaves between places, [S]."""
        return np.asarray(self.mu[1] - self.mu[0])

    def integral(self) -> np.ndarray:
        """Log of the evidence, with the place integrated out, up to a constant, [S]."""
        top = self.log_evidence.max(axis=0)
        return np.asarray(top + np.log(np.exp(self.log_evidence - top).sum(axis=0) * self.step))


def _first_grid(group: Group) -> np.ndarray:
    """All places that are allowed, finer around the lowest point, whose bowl may be narrow."""
    best = group.x[int(np.argmin(group.y))]
    step = float(np.median(np.diff(group.x))) if len(group.x) > 1 else 1.0
    fine = best + step * np.linspace(-1, 1, _FINE)
    whole = np.concatenate([np.linspace(*group.allowed, _WIDE), fine])
    return np.unique(np.clip(whole, *group.allowed))


def _narrowed(mu: np.ndarray, log: np.ndarray, nodes: int) -> np.ndarray:
    """Return even grids [nodes, S] over the parts of mu, [M, S] or [M, 1], with the evidence."""
    likely = log > log.max(axis=0) - _LIKELY
    last = len(mu) - 1
    first = np.maximum(likely.argmax(axis=0) - 1, 0)
    final = np.minimum(last - likely[::-1].argmax(axis=0) + 1, last)
    mu = np.broadcast_to(mu, log.shape)
    low, high = (np.take_along_axis(mu, each[None], axis=0)[0] for each in (first, final))
    return np.asarray(low + (high - low) * np.linspace(0, 1, nodes)[:, None])
