"""Where one recipe's law falls below another's: an interval, or none."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfer.analysis.scaling_law import PARAMETERS, ScalingLaw

# Beyond the largest size that either was run at.
_BEYOND = 64.0
_PLACES = 49
# The end of a 90 % interval of a normal distribution, in standard deviations.
_NORMAL = 1.645


@dataclasses.dataclass(frozen=True)
class Crossover:
    """The sizes between which two laws cross.

    Fields:
      first, second: the names of the laws.
      better: the name of the one that is surely lower at the largest size where either surely is;
        None where neither is anywhere.
      sure: from where to where it surely is; None without a better one.
      interval: between which sizes they cross; None where not both are surely lower somewhere.
      sizes: the range that was looked at.
    """

    first: str
    second: str
    better: str | None
    sure: tuple[float, float] | None
    interval: tuple[float, float] | None
    sizes: tuple[float, float]

    def sentence(self, size: str) -> str:
        """Say it, given what the size is called."""
        where = f"from {self.sizes[0]:.2g} to {self.sizes[1]:.2g} {size}"
        if self.better is None or self.sure is None:
            return f"{self.first} and {self.second} are not told apart {where}."
        other = self.second if self.better == self.first else self.first
        if self.interval is not None:
            low, high = self.interval
            return f"{self.better} overtakes {other} between {low:.2g} and {high:.2g} {size}."
        if self.sure == self.sizes:
            return f"{self.better} is below {other} {where}: they do not cross there."
        low, high = self.sure
        return (
            f"{self.better} is below {other} from {low:.2g} to {high:.2g} {size}; smaller or "
            f"larger, up to {self.sizes[1]:.2g}, they are not told apart, and no crossover is "
            "known."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        content = dataclasses.asdict(self)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in content.items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Crossover":
        """Read what `to_json` wrote."""
        ranges = {
            name: content[name] and (content[name][0], content[name][1])
            for name in ("sure", "interval", "sizes")
        }
        return cls(**{**content, **ranges})


def crossover(laws: Mapping[str, ScalingLaw]) -> Crossover:
    """Return where two laws cross, from the smallest size to 64 times the largest.

    At every size the difference of the laws has an interval made of theirs (MOVER). Recipes that
    were swept at the same widths with the same seeds err together; how much, the residuals of the
    laws tell, of whose correlation the lower end of a 90 % interval is taken, and none below 0. The
    crossover lies between the sizes at which the interval leaves out zero on different sides.

    Source: Zou and Donner, 2008, "Construction of confidence limits about effect measures".

    Example:
      >>> from transfer.analysis.scaling_law import SizeLoss
      >>> sizes = (1e4, 3e4, 1e5, 3e5, 1e6)
      >>> def law(floor, scale):
      ...     return ScalingLaw.fit([SizeLoss(x, floor + scale * x**-0.5) for x in sizes])
      >>> found = crossover({"steep": law(1.0, 300.0), "flat": law(2.0, 100.0)})
      >>> found.better, found.interval[0] < 4e4 < found.interval[1]
      ('steep', True)
    """
    (first, one), (second, other) = laws.items()
    known = [point.size for law in laws.values() for point in law.points]
    sizes = np.geomspace(min(known), _BEYOND * max(known), _PLACES)
    together = _correlation(one, other)
    signs = [_sign(one, other, float(size), together) for size in sizes]
    told = [place for place, sign in enumerate(signs) if sign]
    reach = (float(sizes[0]), float(sizes[-1]))
    if not told:
        return Crossover(first, second, None, None, None, reach)
    last = told[-1]
    against = [place for place in told if signs[place] != signs[last]]
    start = next(place for place in told if not against or place > against[-1])
    return Crossover(
        first=first,
        second=second,
        better=first if signs[last] < 0 else second,
        sure=(float(sizes[start]), float(sizes[last])),
        interval=(float(sizes[against[-1]]), float(sizes[start])) if against else None,
        sizes=reach,
    )


def _sign(one: ScalingLaw, other: ScalingLaw, size: float, together: float) -> int:
    """Return -1 where the first law is surely lower, 1 where the second is, and else 0."""
    (low, high), (other_low, other_high) = one.interval(size), other.interval(size)
    middle, other_middle = one.at(size), other.at(size)
    apart = middle - other_middle
    if apart < 0:
        near, other_near = high - middle, other_middle - other_low
    else:
        near, other_near = middle - low, other_high - other_middle
    reach = math.sqrt(near**2 + other_near**2 - 2 * together * near * other_near)
    return int(math.copysign(1, apart)) if abs(apart) > reach else 0


def _correlation(one: ScalingLaw, other: ScalingLaw) -> float:
    """Return how much the points of two laws surely err together, from 0 to 1."""
    sizes = [point.size for point in one.points]
    if sizes != [point.size for point in other.points] or len(sizes) <= PARAMETERS:
        return 0.0
    first, second = (
        np.array([point.loss / law.at(point.size) - 1 for point in law.points])
        for law in (one, other)
    )
    if min(np.ptp(first), np.ptp(second)) < 1e-9:  # the laws hold exactly, but for rounding
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    found = float(first @ second / math.sqrt(first @ first * (second @ second)))
    found = min(max(found, -1 + 1e-9), 1 - 1e-9)
    lower = math.atanh(found) - _NORMAL / math.sqrt(len(sizes) - PARAMETERS)
    return max(0.0, math.tanh(lower))
