"""One line of a coordinate check."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.estimate import Estimate, Interval, interval_json
from transfer.analysis.slope import least_squares_slope
from transfer.checks.measured_sizes import SizeKey

CheckOutcome = Literal["agrees", "differs", "unclear", "not judged"]
# Slopes that theory tells apart are 1/2 from each other, so that 1/4 would do; at widths from 64 on
# those of a right recipe were within 0.12 of their limits.
TOLERANCE = 0.15

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class CheckRow:
    """One size against width: the root mean square of a tensor, averaged over seeds.

    `quantity` is weight, gradient, update, activation or change; the change at step 0 is that by an
    infinitesimal step, times the learning rate. `sizes` are by width, None where a tensor is zero
    or not finite; `predicted` is the lowest and the highest slope that theory allows, mostly the
    same, and None where it says nothing. A row agrees where its slope is within `TOLERANCE` of them
    and its interval over seeds no wider than what is allowed, differs where its whole interval is
    further away, and is unclear otherwise.
    """

    quantity: str
    name: str
    step: int
    sizes: Mapping[int, float | None]
    slope: float | None
    interval: Interval | None
    predicted: Range | None
    verdict: CheckOutcome

    @classmethod
    def of(
        cls, key: SizeKey, sizes: Mapping[int, list[float]], predicted: Range | None
    ) -> "CheckRow":
        """Make the row of sizes by width and seed."""
        if not all(0 < size < math.inf for each in sizes.values() for size in each):
            # A constant init, or what a zero-initialized readout or query makes zero at first.
            nothing = dict.fromkeys(sizes)
            return cls(*key, nothing, None, None, predicted, "not judged")
        widths, logs = np.log2(list(sizes)), np.log2(list(sizes.values()))
        slope = least_squares_slope(widths, logs.mean(axis=1))
        interval, _ = bootstrap(
            lambda weights: least_squares_slope(widths, logs @ weights), logs.shape[1]
        )
        means = dict(zip(sizes, np.exp2(logs.mean(axis=1)).tolist(), strict=True))
        row = cls(*key, means, slope, interval, predicted, "not judged")
        return row if predicted is None else dataclasses.replace(row, verdict=row._judged())

    @property
    def error(self) -> float:
        """By how much the slope is above (or, negative, below) what theory allows."""
        if self.slope is None or self.predicted is None:
            return 0.0
        low, high = self.predicted
        return max(self.slope - high, 0.0) + min(self.slope - low, 0.0)

    @property
    def expected(self) -> str:
        """What theory allows, as text."""
        if self.predicted is None:
            return "-"
        low, high = self.predicted
        return f"{low:+.2f}" if low == high else f"{low:+.2f} to {high:+.2f}"

    @property
    def what(self) -> str:
        """The quantity, and after how many steps: `change, 4 steps`."""
        return self.quantity + (f", {steps(self.step)}" if self.step else "")

    def cells(self) -> list[str]:
        """The row as text."""
        sizes = ["-" if size is None else f"{size:.3g}" for size in self.sizes.values()]
        slope = "-" if self.slope is None else Estimate(self.slope, self.interval).text("+z.2f")
        return [self.what, self.name, *sizes, slope, self.expected, self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return dataclasses.asdict(self) | {
            "sizes": {str(width): size for width, size in self.sizes.items()},
            "interval": interval_json(self.interval),
            "predicted": interval_json(self.predicted),
        }

    def _judged(self) -> CheckOutcome:
        low, high = self.predicted or (-math.inf, math.inf)
        least, most = self.interval or (self.slope or 0.0, self.slope or 0.0)
        if most < low - TOLERANCE or least > high + TOLERANCE:
            return "differs"
        certain = most - least <= high - low + 2 * TOLERANCE
        return "agrees" if certain and abs(self.error) <= TOLERANCE else "unclear"


def steps(number: int) -> str:
    """A number of steps in words."""
    return "1 step" if number == 1 else f"{number} steps"
