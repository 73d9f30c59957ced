"""Times two ways of doing the same thing in this process, in alternation."""

import time
from collections.abc import Callable

import jax

from benchmarks.options import Options
from benchmarks.results import Part

FIRST, SECOND = "first", "second"


def compare(
    part: Part,
    case: str,
    first: Callable[[], object],
    second: Callable[[], object],
    options: Options,
) -> None:
    """Measure the seconds of both, once each before the first block so that all is compiled."""
    if not part.missing(case, options.blocks):
        return
    _seconds(first), _seconds(second)
    contenders = {FIRST: lambda: _seconds(first), SECOND: lambda: _seconds(second)}
    part.alternate(case, contenders, options.blocks)


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - started
