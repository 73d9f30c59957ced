"""How well hyperparameters transfer, as numbers (definitions of our own)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.analysis.estimate import Estimate, Interval, interval_from_json, interval_json
from transfer.run_directory import TrialResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransferNumbers:
    """Numbers of one recipe's learning rate, with 95 % intervals.

    Fields:
      robustness: by width, loss lost by a factor of two in the learning rate (the worse of half and
        twice the best), as a share of the best loss.
      robustness_exponent: the slope of log2 robustness over log2 width; negative means that wider
        networks forgive more.
      near_optimal: by width, the interval of log2 learning rates within 0.1 % of the best loss.
      near_optimal_everywhere: their intersection over widths, None where it is empty.
      left_out: by width, the optimum predicted from the other widths' line less its own, octaves.
      fast_transfer: by wider width of a pair, regret of the narrow optimum there over the gap
        between the two best losses; below 1, transfer loses less than the width gains.
    """

    robustness: Mapping[int, Estimate]
    robustness_exponent: Estimate
    near_optimal: Mapping[int, Interval]
    near_optimal_everywhere: Interval | None
    left_out: Mapping[int, Estimate]
    fast_transfer: Mapping[int, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "robustness": _by_width(self.robustness),
            "robustness_exponent": self.robustness_exponent.to_json(),
            "near_optimal": {
                str(width): interval_json(each) for width, each in self.near_optimal.items()
            },
            "near_optimal_everywhere": interval_json(self.near_optimal_everywhere),
            "left_out": _by_width(self.left_out),
            "fast_transfer": _by_width(self.fast_transfer),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TransferNumbers":
        """Read what `to_json` wrote."""
        near = {
            int(width): interval_from_json(each) for width, each in content["near_optimal"].items()
        }
        return cls(
            robustness=_read_by_width(content["robustness"]),
            robustness_exponent=Estimate.from_json(content["robustness_exponent"]),
            near_optimal={width: each for width, each in near.items() if each is not None},
            near_optimal_everywhere=interval_from_json(content["near_optimal_everywhere"]),
            left_out=_read_by_width(content["left_out"]),
            fast_transfer=_read_by_width(content["fast_transfer"]),
        )


def transfer_numbers(trials: Sequence[TrialResult], recipe: str) -> TransferNumbers:
    """Return robustness, near-optimal sets, left-out errors and fast-transfer ratios of a sweep.

    Raises:
      TransferError: there are no sweep trials of the recipe, or their losses do not compare.

    Example:
      >>> transfer_numbers(trials, "mup+sqrt").left_out[64].value  # doctest: +SKIP
      -0.12
    """
    del trials, recipe
    unknown = Estimate(None, reason="not computed yet")
    return TransferNumbers(
        robustness={},
        robustness_exponent=unknown,
        near_optimal={},
        near_optimal_everywhere=None,
        left_out={},
        fast_transfer={},
    )


def forecast_regret(trials: Sequence[TrialResult], recipe: str, width: int) -> Estimate:
    """Return the relative regret to expect at a target before it is trained, with its interval.

    That of training the target of `width` at the optimum of the widest proxy below it. The value
    is the median of the predictive distribution and the interval its 95 %.

    Raises:
      TransferError: there are no sweep trials of the recipe below that width.

    Example:
      >>> forecast_regret(trials, "mup+sqrt", 1024).text(".2%")  # doctest: +SKIP
      '0.11% [0.00%, 0.90%]'
    """
    del trials, recipe, width
    return Estimate(None, reason="not computed yet")


def _by_width(estimates: Mapping[int, Estimate]) -> dict[str, Any]:
    return {str(width): each.to_json() for width, each in estimates.items()}


def _read_by_width(content: Mapping[str, Any]) -> dict[int, Estimate]:
    return {int(width): Estimate.from_json(each) for width, each in content.items()}
