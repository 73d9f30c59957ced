"""Times two ways of doing the same thing in alternation, so that both meet the same machine."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

REPEATS = 7


class Ratio(NamedTuple):
    """Time of the first over time of the second: the median over pairs, and the extremes."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.lowest:.2f}, {self.highest:.2f}]"


def ratio(first: Callable[[], object], second: Callable[[], object]) -> Ratio:
    _seconds(first), _seconds(second)
    ratios = [_seconds(first) / _seconds(second) for _ in range(REPEATS)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - started
