"""One line of a coordinate check."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from transfer.analysis.estimate import Estimate, Interval, interval_json
from transfer.checks.measured_sizes import SizeKey
from transfer.checks.slope_interval import HALF_STEP, slope_interval

CheckOutcome = Literal["agrees", "differs", "undecided", "not judged"]
# Inits and entrywise steps follow their law at every width, not only in the limit.
EXACT = HALF_STEP / 2

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class CheckRow:
    """One size against width: the root mean square of a tensor, averaged over seeds.

    `quantity` is weight, gradient, update, activation or change; the change at step 0 is that by an
    infinitesimal step, times the learning rate. `sizes` are by width, None where a tensor is zero
    or not finite; `predicted` is the lowest and the highest slope that theory allows, mostly the
    same, and None where it says nothing. `interval` holds the slope's limit with 95 % confidence
    (`slope_interval`). A row agrees where its whole interval is within `tolerance` of what theory
    allows, which is half the step between slopes that theory tells apart, and for sizes that follow
    their law exactly a quarter. It differs where a wider interval lies outside altogether, and is
    undecided otherwise.
    """

    quantity: str
    name: str
    step: int
    sizes: Mapping[int, float | None]
    slope: float | None
    interval: Interval | None
    predicted: Range | None
    verdict: CheckOutcome
    tolerance: float = HALF_STEP

    @classmethod
    def of(
        cls,
        key: SizeKey,
        sizes: Mapping[int, list[float]],
        predicted: Range | None,
        *,
        tolerance: float = HALF_STEP,
        terms: int = 64,
        rows: int = 1,
    ) -> "CheckRow":
        """Make the row of sizes by width and seed.

        Arguments:
          key: quantity, name and step.
          sizes: at each width one size for each seed.
          predicted: the lowest and the highest slope that theory allows.
          tolerance: how far from them a slope still agrees.
          terms: how many terms sums over the width have, in the middle of the widths.
          rows: how many rows are judged together, so that one of them may differ by chance.
        """
        if not all(0 < size < math.inf for each in sizes.values() for size in each):
            # A constant init, or what a zero-initialized readout or query makes zero at first.
            nothing = dict.fromkeys(sizes)
            return cls(*key, nothing, None, None, predicted, "not judged")
        logs = np.log2(list(sizes.values()))
        # What follows its law exactly is no sum over the width.
        found = slope_interval(list(sizes), logs, terms if tolerance > EXACT else 64, rows)
        means = dict(zip(sizes, np.exp2(logs.mean(axis=1)).tolist(), strict=True))
        row = cls(*key, means, found.slope, found.interval, predicted, "not judged", tolerance)
        if predicted is None:
            return row
        low, high = predicted[0] - tolerance, predicted[1] + tolerance
        if found.strict[1] < low or found.strict[0] > high:
            return dataclasses.replace(row, verdict="differs")
        inside = low <= found.interval[0] and found.interval[1] <= high
        return dataclasses.replace(row, verdict="agrees" if inside else "undecided")

    def left_open(self) -> "CheckRow":
        """The same row, undecided if it was judged."""
        return (
            self if self.verdict == "not judged" else dataclasses.replace(self, verdict="undecided")
        )

    @property
    def error(self) -> float:
        """By how much the slope is above (or, negative, below) what theory allows."""
        if self.slope is None or self.predicted is None:
            return 0.0
        low, high = self.predicted
        return max(self.slope - high, 0.0) + min(self.slope - low, 0.0)

    @property
    def reach(self) -> float:
        """Half the width of the interval."""
        return (self.interval[1] - self.interval[0]) / 2 if self.interval else 0.0

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


def steps(number: int) -> str:
    """A number of steps in words."""
    return "1 step" if number == 1 else f"{number} steps"
