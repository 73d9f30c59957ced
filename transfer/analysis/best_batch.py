"""The batch size with which runs of a length end at the lowest loss, and how it follows length.

For each width, depth and number of tokens of a ladder, the lowest losses at its batch sizes are the
points of a bowl over log2 batch size, whose bottom is the best batch. It is known where the lowest
of them has a batch size on either side.
"""

import dataclasses
import functools
from collections.abc import Iterable, Sequence

import numpy as np

from transfer.analysis.bowls import fit_bowls
from transfer.analysis.estimate import Estimate
from transfer.analysis.optimum import WidthSweep, bounded
from transfer.analysis.plane import PowerLaw, fit_power_law
from transfer.analysis.rungs import RungSize
from transfer.analysis.surface import lowest_points

LEAST_FOR_A_KNEE = 5
"""At how many batch sizes of a length a knee can be seen: fewer optima fit every form."""

_LENGTH_AXES = ("tokens", "width", "layers")


@dataclasses.dataclass(frozen=True, eq=False)
class Rung:
    """One rung of a ladder: how large its runs are, and its sweep."""

    size: RungSize
    sweep: WidthSweep

    @property
    def is_known(self) -> bool:
        """Whether its best learning rate lies between others, with an interval."""
        return self.sweep.optimum.log2_learning_rate.interval is not None

    @property
    def rate(self) -> np.ndarray:
        """Draws of log2 of the best learning rate."""
        return self.sweep.surface.bottom

    @property
    def decay(self) -> np.ndarray | None:
        """Draws of log2 of the best decay; None where decays were not swept around it."""
        fitted = self.sweep.optimum.log2_weight_decay is not None
        return self.sweep.surface.other if fitted else None


@dataclasses.dataclass(frozen=True, eq=False)
class BestBatch:
    """The best batch of one width, depth and number of tokens.

    Fields:
      size: of the run with the lowest loss.
      batches: how many batch sizes were swept.
      log2: log2 of the best batch, with an interval; None with a reason where it is unknown.
      draws: from its posterior; empty where it is unknown.
    """

    size: RungSize
    batches: int
    log2: Estimate
    draws: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class BestBatchLaw:
    """How the best batch follows the length of runs, and their width and depth.

    Fields:
      axes: sizes that it follows; of others too few were swept.
      law: the power law.
      known: the best batches that it goes through.
    """

    axes: tuple[str, ...]
    law: PowerLaw
    known: tuple[BestBatch, ...]

    def log2_at(self, size: RungSize) -> float:
        """Return log2 of the best batch for a size."""
        return float(np.median(self.draws_at(size)))

    def draws_at(self, size: RungSize) -> np.ndarray:
        """Return draws of the same."""
        return self.law.plane.at(np.array([size.log2(axis) for axis in self.axes]))

    def exponent(self, axis: str) -> Estimate:
        """Return its exponent in one of the axes."""
        if axis not in self.axes:
            return Estimate(None, reason=f"best batches are known at too few values of {axis}")
        return Estimate.of_draws(self.law.plane.slopes[self.axes.index(axis)])

    @property
    def may_show_a_knee(self) -> bool:
        """Whether enough batch sizes were swept at one length for a knee."""
        return any(each.batches >= LEAST_FOR_A_KNEE for each in self.known)


def best_batches(rungs: Iterable[Rung]) -> list[BestBatch]:
    """Return the best batch of every width, depth and number of tokens, small ones first."""
    lines: dict[tuple[int, int, int], list[Rung]] = {}
    for rung in sorted(rungs, key=lambda rung: rung.size):
        if rung.is_known:
            key = rung.size.width, rung.size.layers, rung.size.tokens
            lines.setdefault(key, []).append(rung)
    return [_best_batch(tuple(line)) for line in lines.values() if len(line) > 1]


def best_batch_law(found: Sequence[BestBatch]) -> BestBatchLaw | None:
    """Return the law of best batches; None where none is known."""
    known = tuple(each for each in found if each.log2.interval is not None)
    if not known:
        return None
    axes = telling_axes([each.size for each in known], _LENGTH_AXES)
    sizes = np.array([[each.size.log2(axis) for axis in axes] for each in known])
    law = fit_power_law(sizes.reshape(len(known), len(axes)), np.stack([e.draws for e in known]))
    return BestBatchLaw(axes, law, known)


def telling_axes(sizes: Sequence[RungSize], axes: Sequence[str]) -> tuple[str, ...]:
    """Return the axes whose exponents so many sizes tell apart, the first ones first.

    Example:
      >>> sizes = [RungSize(16, 1, tokens, 8) for tokens in (64, 128, 256)]
      >>> telling_axes(sizes, ("tokens", "width"))
      ('tokens',)
    """
    chosen: list[str] = []
    for axis in axes:
        tried = [*chosen, axis]
        logs = np.array([[size.log2(each) for each in tried] for size in sizes])
        rank = np.linalg.matrix_rank(logs - logs.mean(axis=0), tol=1e-6)
        # One more than the plane has numbers, or its departures could not be seen.
        if rank == len(tried) and len(sizes) > len(tried) + 1:
            chosen = tried
    return tuple(chosen)


@functools.lru_cache(maxsize=1024)
def _best_batch(line: tuple[Rung, ...]) -> BestBatch:
    """The best batch among rungs that differ in batch size alone, small ones first."""
    logs = np.array([rung.size.log2("batch_size") for rung in line])
    points = lowest_points(
        logs,
        np.stack([rung.sweep.surface.level for rung in line]),
        np.stack([rung.sweep.surface.row.noise for rung in line]),
    )
    best = int(np.argmin(points.y))
    size = line[best].size
    if best in (0, len(line) - 1):
        end = "smallest" if best == 0 else "largest"
        reason = f"the {end} batch, {size.batch_size}, is the best of {size.tokens:,} tokens"
        return BestBatch(size, len(line), Estimate(None, reason=reason), np.empty(0))
    draws = fit_bowls([points], (0.0, 0.0))[0].bottom
    where = f" of batch size at {size.tokens:,} tokens"
    found = bounded(Estimate.of_draws(draws), logs, where)
    return BestBatch(size, len(line), found, draws)
