"""A number as the verdict reports it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; what is unknown is None, with the reason.

    Example:
      >>> Estimate(-5.4, (-5.6, -5.2)).to_json()
      {'value': -5.4, 'interval': [-5.6, -5.2]}
      >>> Estimate(None, reason="one width has no slope").to_json()
      {'value': None, 'interval': None, 'reason': 'one width has no slope'}
    """

    value: float | None
    interval: Interval | None = None
    reason: str | None = None

    @classmethod
    def of_draws(cls, draws: np.ndarray) -> "Estimate":
        """Return the median of draws from a posterior, with the interval of their middle 95 %.

        Example:
          >>> Estimate.of_draws(np.arange(201.0)).text(".1f")
          '100.0 [5.0, 195.0]'
        """
        tail = (1 - CONFIDENCE) / 2
        low, middle, high = np.quantile(draws, [tail, 0.5, 1 - tail])
        return cls(float(middle), (float(low), float(high)))

    @classmethod
    def of_cost(cls, cost: np.ndarray, offset: np.ndarray) -> "Estimate":
        """Return the same of a cost that is zero where an offset is and rises on either side.

        A cost has no draw below zero, so the middle of its draws leaves out a cost of zero. The
        cost with the sign of the offset has draws on both sides: where zero is in the interval of
        those, it is in that of the cost.

        Args:
          cost: draws, shape [draw], zero or above.
          offset: draws of what the cost is of, such as octaves from the optimum, shape [draw].

        Example:
          >>> offset = np.linspace(-1.0, 3.0, 401)
          >>> [round(end, 2) for end in Estimate.of_cost(offset**2, offset).interval]
          [0.0, 8.41]
        """
        signed = cls.of_draws(np.copysign(cost, offset))
        assert signed.value is not None
        assert signed.interval is not None
        low, high = signed.interval
        ends = sorted((abs(low), abs(high)))
        return cls(abs(signed.value), (0.0 if low <= 0 <= high else ends[0], ends[1]))

    def map(self, function: Callable[[float], float]) -> "Estimate":
        """Return what an increasing function makes of the value and of its interval.

        Example:
          >>> Estimate(1.0, (0.5, 2.0)).map(lambda x: 2 * x)
          Estimate(value=2.0, interval=(1.0, 4.0), reason=None)
        """
        interval = self.interval and (function(self.interval[0]), function(self.interval[1]))
        value = None if self.value is None else function(self.value)
        return Estimate(value, interval, self.reason)

    def text(self, form: str) -> str:
        """Return the value with its interval, where there is one; the value must be known.

        Example:
          >>> Estimate(0.76, (0.7, 0.81)).text("+z.2f"), Estimate(0.76).text("z.1f")
          ('+0.76 [+0.70, +0.81]', '0.8')
        """
        if self.interval is None:
            return f"{self.value:{form}}"
        return f"{self.value:{form}} [{self.interval[0]:{form}}, {self.interval[1]:{form}}]"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, with a `reason` only where something is null."""
        content = {"value": self.value, "interval": interval_json(self.interval)}
        return content | ({"reason": self.reason} if self.reason else {})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Estimate":
        """Read what `to_json` wrote; other keys are ignored.

        Example:
          >>> Estimate.from_json({"value": -5.4, "interval": [-5.6, -5.2]})
          Estimate(value=-5.4, interval=(-5.6, -5.2), reason=None)
        """
        return cls(content["value"], interval_from_json(content["interval"]), content.get("reason"))


def interval_json(interval: Interval | None) -> list[float] | None:
    """Return an interval as a JSON list.

    Example:
      >>> interval_json((0.1, 0.2)), interval_json(None)
      ([0.1, 0.2], None)
    """
    return None if interval is None else list(interval)


def interval_from_json(content: Sequence[float] | None) -> Interval | None:
    """Read what `interval_json` returned.

    Example:
      >>> interval_from_json([0.1, 0.2]), interval_from_json(None)
      ((0.1, 0.2), None)
    """
    if content is None:
        return None
    low, high = content
    return low, high
