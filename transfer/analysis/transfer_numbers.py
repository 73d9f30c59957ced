"""How well hyperparameters transfer, as numbers (definitions of our own)."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfer.analysis.estimate import Estimate, Interval, interval_from_json, interval_json
from transfer.analysis.optimum import WidthSweep
from transfer.analysis.slope import is_known, line, slope_of_draws
from transfer.analysis.surface import Surface

NEAR = 0.001
"""Learning rates are near-optimal within this share of the best loss."""


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


def transfer_numbers(sweeps: Sequence[WidthSweep]) -> TransferNumbers:
    """Return robustness, near-optimal sets, left-out errors and fast-transfer ratios of a sweep.

    Widths whose optimum is undecided are left out.

    Args:
      sweeps: of one recipe, narrow ones first.

    Example:
      >>> sweeps = sweeps_by_recipe(trials)["mup+sqrt"]  # doctest: +SKIP
      >>> transfer_numbers(sweeps).left_out[64].value  # doctest: +SKIP
      -0.12
    """
    surfaces = {sweep.optimum.width: sweep.surface for sweep in sweeps if is_known(sweep)}
    lost = {width: _factor_of_two(surface) for width, surface in surfaces.items()}
    robustness = {width: Estimate.of_draws(each) for width, each in lost.items()}
    logs = {width: np.log2(np.maximum(each, 1e-12)) for width, each in lost.items()}
    near = {width: near_optimal(surface) for width, surface in surfaces.items()}
    bottoms = {width: surface.bottom for width, surface in surfaces.items()}
    return TransferNumbers(
        robustness=robustness,
        robustness_exponent=slope_of_draws(
            {width: Estimate.of_draws(each) for width, each in logs.items()}, logs
        ),
        near_optimal=near,
        near_optimal_everywhere=_intersection(list(near.values())),
        left_out={
            width: Estimate.of_draws(line(_without(bottoms, width)).at(width) - own)
            for width, own in bottoms.items()
            if len(bottoms) > 2
        },
        fast_transfer={
            wide: _fast_transfer(surfaces[narrow], surfaces[wide])
            for narrow, wide in itertools.pairwise(surfaces)
        },
    )


def near_optimal(surface: Surface) -> Interval:
    """Return the interval of log2 learning rates within 0.1 % of the lowest loss of the bowl.

    The bowl is that of the medians of its draws, with all other hyperparameters at their best.
    """
    bottom, level = float(np.median(surface.bottom)), float(np.median(surface.level))
    offsets = np.arange(-4.0, 4.0 + 1e-9, 2**-9)
    row = surface.row
    typical = dataclasses.replace(
        row,
        bottom=np.full(len(offsets), np.median(row.bottom)),
        level=np.full(len(offsets), np.median(row.level)),
        coefficients=np.broadcast_to(np.median(row.coefficients, axis=0), (len(offsets), 4)),
        form_error=np.zeros(len(offsets)),
    )
    height = typical.height(offsets + np.median(row.bottom))
    outside = offsets[height > NEAR * abs(level)]
    low = outside[outside < 0].max(initial=offsets[0])
    high = outside[outside > 0].min(initial=offsets[-1])
    return bottom + float(low), bottom + float(high)


def _factor_of_two(surface: Surface) -> np.ndarray:
    half, twice = (surface.height_along_rate(surface.bottom + each) for each in (-1.0, 1.0))
    return np.maximum(half, twice) / surface.level


def _intersection(intervals: Sequence[Interval]) -> Interval | None:
    low = max((interval[0] for interval in intervals), default=math.inf)
    high = min((interval[1] for interval in intervals), default=-math.inf)
    return (low, high) if low <= high else None


def _without(draws: Mapping[int, np.ndarray], width: int) -> dict[int, np.ndarray]:
    return {each: places for each, places in draws.items() if each != width}


def _fast_transfer(narrow: Surface, wide: Surface) -> Estimate:
    gap = narrow.level - wide.level
    if np.quantile(gap, 0.025) <= 0:
        return Estimate(None, reason="the wider network's best loss is not clearly lower")
    cost = wide.height(narrow.bottom, narrow.other) / gap
    return Estimate.of_cost(cost, narrow.bottom - wide.bottom)


def _by_width(estimates: Mapping[int, Estimate]) -> dict[str, Any]:
    return {str(width): each.to_json() for width, each in estimates.items()}


def _read_by_width(content: Mapping[str, Any]) -> dict[int, Estimate]:
    return {int(width): Estimate.from_json(each) for width, each in content.items()}
