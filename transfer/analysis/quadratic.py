"""Minima of sampled losses, from a quadratic through the best neighbouring points."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Minimum:
    """Where a curve over log2 learning rate is lowest, or None with what would decide it."""

    location: float | None
    reason: str | None = None


def curve_minimum(x: np.ndarray, y: np.ndarray) -> Minimum:
    """Return the vertex of the quadratic through the best 3 to 5 neighbouring points.

    y = a (x - x*)^2 + c is fitted by least squares to the lowest point and up to two neighbours on
    either side; a diverged point (y = inf) ends the neighbourhood. Should the vertex leave the gap
    between the lowest point's neighbours, as it may on a lopsided curve, only the nearest
    neighbours are kept.

    Args:
      x: log2 learning rates, increasing, shape [points].
      y: losses, +inf where training diverged, shape [points].

    Example:
      >>> x = np.arange(-9.0, -4.0)
      >>> round(curve_minimum(x, (x + 6.3) ** 2).location, 9)
      -6.3
      >>> curve_minimum(x[:3], (x[:3] + 6.3) ** 2).reason
      'the best learning rate is the largest: add 2^-6 and 2^-5 above 2^-7'
    """
    if not np.isfinite(y).any():
        return Minimum(None, f"every learning rate diverged: add {_below(x)}")
    best = int(np.argmin(y))
    if len(x) == 1:
        return Minimum(None, f"there is one learning rate: add {_below(x)} and {_above(x)}")
    if best == 0:
        return Minimum(None, f"the best learning rate is the smallest: add {_below(x)}")
    if best == len(x) - 1:
        return Minimum(None, f"the best learning rate is the largest: add {_above(x)}")
    for reach in (2, 1):
        near = _neighbourhood(y, best, reach)
        vertex = _vertex(x[near], y[near], x[best])
        if vertex is not None and x[best - 1] < vertex < x[best + 1]:
            return Minimum(vertex)
    # Both neighbours finite would have given a vertex, so one of them diverged.
    gaps = [
        f"{power(middle)} between {power(x[best])} and {power(x[side])}, which diverged"
        for side in (best - 1, best + 1)
        if not np.isfinite(y[side])
        for middle in [(x[best] + x[side]) / 2]
    ]
    return Minimum(None, f"the best learning rate borders on divergence: add {', and '.join(gaps)}")


def open_end(x: np.ndarray, interval: tuple[float, float]) -> str | None:
    """Say at which end of the points an interval is open, if it leaves them by over a step.

    Example:
      >>> open_end(np.array([-7.0, -6.0, -5.0]), (-9.0, -5.5))
      'how far below 2^-7 the optimum may lie is open: add 2^-8 and 2^-9 below 2^-7'
      >>> open_end(np.array([-7.0, -6.0, -5.0]), (-6.5, -4.5)) is None
      True
    """
    step = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
    if interval[0] < x[0] - step:
        return f"how far below {power(x[0])} the optimum may lie is open: add {_below(x)}"
    if interval[1] > x[-1] + step:
        return f"how far above {power(x[-1])} the optimum may lie is open: add {_above(x)}"
    return None


def power(exponent: float) -> str:
    """Write a power of two the way a config takes it.

    Example:
      >>> power(-9.5), power(-10.0)
      ('2^-9.5', '2^-10')
    """
    return f"2^{round(float(exponent), 3):g}"


def _neighbourhood(y: np.ndarray, best: int, reach: int) -> slice:
    low = high = best
    while low > max(best - reach, 0) and np.isfinite(y[low - 1]):
        low -= 1
    while high < min(best + reach, len(y) - 1) and np.isfinite(y[high + 1]):
        high += 1
    return slice(low, high + 1)


def _vertex(x: np.ndarray, y: np.ndarray, centre: float) -> float | None:
    if len(x) < 3:
        return None
    # Centred and scaled, so that neither units of loss nor far-away learning rates cost digits.
    offsets = x - centre
    design = np.stack([np.ones_like(offsets), offsets, offsets**2], axis=1)
    _, linear, curvature = np.linalg.lstsq(design, y - y.min())[0]
    return float(centre - linear / (2 * curvature)) if curvature > 0 else None


def _below(x: np.ndarray) -> str:
    step = x[1] - x[0] if len(x) > 1 else 1.0
    return f"{power(x[0] - step)} and {power(x[0] - 2 * step)} below {power(x[0])}"


def _above(x: np.ndarray) -> str:
    step = x[-1] - x[-2] if len(x) > 1 else 1.0
    return f"{power(x[-1] + step)} and {power(x[-1] + 2 * step)} above {power(x[-1])}"
