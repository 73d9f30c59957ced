"""Bootstrap intervals over seeds.

All trials of a sweep share their seeds and their batches, so a resample draws *seeds* and applies
the same draw to every learning rate and every width: differences between settings keep their
pairing, and noise that a seed adds to all of them cancels.

The percentile interval is too narrow when seeds are few: it cannot leave the range of the single
seeds, so at 95 % it covers the truth about half the time with two seeds and about three times in
four with three. Read an interval beside its number of seeds.
"""

from collections.abc import Callable, Sequence

import numpy as np

from transfer.analysis.estimate import Interval

RESAMPLES = 1000
CONFIDENCE = 0.95

Statistic = Callable[[np.ndarray], float]


def bootstrap(statistic: Statistic, seeds: int) -> tuple[Interval | None, str | None]:
    """Return the percentile interval of `statistic`, or None with the reason.

    `statistic` takes the weights of the seeds, shape [seeds] with sum 1, and returns NaN where it
    has no answer. The draws come from a generator with a fixed seed, so intervals reproduce.

    Example:
      >>> losses = np.array([1.0, 2.0, 3.0, 4.0])
      >>> bootstrap(lambda weights: float(losses @ weights), seeds=4)
      ((1.5, 3.5), None)
    """
    (result,) = bootstrap_jointly(lambda weights: (statistic(weights),), seeds, count=1)
    return result


def bootstrap_jointly(
    statistics: Callable[[np.ndarray], Sequence[float]], seeds: int, count: int
) -> list[tuple[Interval | None, str | None]]:
    """Return what `bootstrap` would of `count` statistics, which share their resamples.

    Example:
      >>> losses = np.array([1.0, 2.0, 3.0, 4.0])
      >>> bootstrap_jointly(lambda weights: (losses @ weights, losses @ weights / 2), 4, count=2)
      [((1.5, 3.5), None), ((0.75, 1.75), None)]
    """
    if seeds < 2:
        return [(None, "an interval needs at least two seeds")] * count
    counts = np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)
    # With few seeds most draws repeat: each distinct one is evaluated once.
    distinct, places = np.unique(counts, axis=0, return_inverse=True)
    samples = np.array([statistics(draw / seeds) for draw in distinct])[places]
    return [_percentiles(samples[:, place]) for place in range(count)]


def _percentiles(samples: np.ndarray) -> tuple[Interval | None, str | None]:
    tail = (1 - CONFIDENCE) / 2
    missing = 1 - np.isfinite(samples).mean()
    if missing > tail:
        share = f"{missing:.0%} of the resamples of seeds"
        return None, f"{share} put the optimum on the grid's edge or diverge"
    low, high = np.quantile(samples[np.isfinite(samples)], [tail, 1 - tail])
    return (float(low), float(high)), None
