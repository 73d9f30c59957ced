"""Where one recipe's law falls below another's: an interval, or none."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from transfer.analysis.scaling_law import ScalingLaw

# Beyond the largest size that either was run at.
_BEYOND = 64.0
_PLACES = 49


@dataclasses.dataclass(frozen=True)
class Crossover:
    """The sizes between which two laws cross.

    Fields:
      first, second: the names of the laws.
      better: the name of the one that is surely lower at the largest size where either surely is;
        None where neither is anywhere.
      lower, upper: the crossover lies between them. A `lower` of None means that it may lie before
        the smallest size, or not exist; an `upper` of None that it may never come.
      crosses: whether each law is surely the lower one somewhere.
      sizes: the range that was looked at.
    """

    first: str
    second: str
    better: str | None
    lower: float | None
    upper: float | None
    crosses: bool
    sizes: tuple[float, float]

    def sentence(self, size: str) -> str:
        """Say it, given what the size is called."""
        where = f"between {self.sizes[0]:.2g} and {self.sizes[1]:.2g} {size}"
        if self.better is None:
            return f"{self.first} and {self.second} are not told apart {where}."
        other = self.second if self.better == self.first else self.first
        if self.crosses:
            return (
                f"{self.better} overtakes {other} between {self.lower:.2g} and "
                f"{self.upper:.2g} {size}."
            )
        if self.lower is None and self.upper is None:
            return f"{self.better} is below {other} everywhere {where}: they do not cross."
        parts = []
        if self.lower is not None:
            parts.append(f"up to {self.lower:.2g} {size}")
        if self.upper is not None:
            parts.append(f"from {self.upper:.2g} {size} on")
        return (
            f"{self.better} is below {other} {' and '.join(parts)}; elsewhere {where} they are not "
            "told apart, so that no crossover is known."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return dataclasses.asdict(self) | {"sizes": list(self.sizes)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Crossover":
        """Read what `to_json` wrote."""
        low, high = content["sizes"]
        return cls(**{**content, "sizes": (low, high)})


def crossover(laws: Mapping[str, ScalingLaw]) -> Crossover:
    """Return where two laws cross, from the smallest size to 64 times the largest.

    At every size the difference of the laws has an interval, made of theirs as if they were
    independent; runs of the same seeds are not, which makes it too wide rather than too narrow. The
    crossover lies between the sizes at which the interval leaves out zero on different sides.

    Example:
      >>> from transfer.analysis.scaling_law import SizeLoss
      >>> sizes = (1e4, 3e4, 1e5, 3e5, 1e6)
      >>> def law(floor, scale):
      ...     return ScalingLaw.fit([SizeLoss(x, floor + scale * x**-0.5) for x in sizes])
      >>> found = crossover({"steep": law(1.0, 300.0), "flat": law(2.0, 100.0)})
      >>> found.better, found.crosses, found.lower < 4e4 < found.upper
      ('steep', True, True)
    """
    (first, one), (second, other) = laws.items()
    known = [point.size for law in laws.values() for point in law.points]
    sizes = np.geomspace(min(known), _BEYOND * max(known), _PLACES)
    signs = [_sign(one, other, float(size)) for size in sizes]
    told = [place for place, sign in enumerate(signs) if sign]
    reach = (float(sizes[0]), float(sizes[-1]))
    if not told:
        return Crossover(first, second, None, None, None, False, reach)
    last = told[-1]
    better = first if signs[last] < 0 else second
    against = [place for place in told if signs[place] != signs[last]]
    if against:
        after = next(place for place in told if place > against[-1])
        ends = float(sizes[against[-1]]), float(sizes[after])
        return Crossover(first, second, better, *ends, True, reach)
    lower = None if last == len(sizes) - 1 else float(sizes[last])
    upper = None if told[0] == 0 else float(sizes[told[0]])
    return Crossover(first, second, better, lower, upper, False, reach)


def _sign(one: ScalingLaw, other: ScalingLaw, size: float) -> int:
    """Return -1 where the first law is surely lower, 1 where the second is, and else 0."""
    (low, high), (other_low, other_high) = one.interval(size), other.interval(size)
    middle, other_middle = one.at(size), other.at(size)
    apart = middle - other_middle
    if apart < 0:
        return -1 if -apart > math.hypot(high - middle, other_middle - other_low) else 0
    return 1 if apart > math.hypot(middle - low, other_high - other_middle) else 0
