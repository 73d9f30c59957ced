"""The decay exponent that measured singular values ask for.

A settled hidden matrix has sigma_1 ~ sqrt(step / decay) width^p. Only p is unknown: 1/2 where its
entries are independent, 1 where one direction dominates, 3/4 as published. Under muP's rates decay
~ width^x keeps sigma_1 level for x = 2p - 1, and the rules are x = 0, 1/2, 1 for those three p.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from transfer.analysis.estimate import Estimate
from transfer.analysis.slope import slope_over_seeds
from transfer.analysis.spectrum import PUBLISHED_P, SETTLED, predicted_slope
from transfer.errors import TransferError
from transfer.scaling import Recipe


@dataclasses.dataclass(frozen=True)
class MeasuredDecay:
    """p of one kind of sublayer.

    Example:
      >>> MeasuredDecay(p=Estimate(0.75, (0.5, 0.875))).exponent
      Estimate(value=0.5, interval=(0.0, 0.75), reason=None)
    """

    p: Estimate

    @classmethod
    def of(cls, slope: Estimate, recipe: Recipe | str) -> "MeasuredDecay":
        """Return p where sigma_1 of settled runs under a recipe has this slope over width.

        With s the slope, step ~ m^e and decay ~ m^x, p = s - (e - x) / 2: under muP's rates
        s + (1 + x) / 2.

        Example:
          >>> MeasuredDecay.of(Estimate(-0.125), Recipe("mup", decay="independent")).p.value
          0.875
        """
        # The prediction is of the published p, so that what a slope is off by, p is off by.
        predicted = predicted_slope(recipe)
        return cls(slope.map(lambda value: value - predicted + PUBLISHED_P))

    @property
    def exponent(self) -> Estimate:
        """x = 2p - 1: decay ~ m_in^x keeps sigma_1 level under muP's rates, step ~ m_in^-1."""
        return self.p.map(lambda p: 2 * p - 1)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"p": self.p.to_json(), "decay_exponent": self.exponent.to_json()}


def measure_decay(
    sigma_1: Mapping[str, Mapping[int, Mapping[int, float]]],
    recipe: Recipe | str,
    decay_times: Mapping[int, float],
) -> dict[str, MeasuredDecay]:
    """Return p of every kind of sublayer, from runs at two or more widths under one recipe.

    It is `MeasuredDecay.of` the slope of log sigma_1 over log width; intervals resample seeds. That
    the exponent holds at another width is for a run at that width to show.

    Arguments:
      sigma_1: top singular values by kind of sublayer, width and seed, at the end of training.
      recipe: what the runs were trained under.
      decay_times: sum_t lr_t * decay of the hidden matrices, by width.

    Raises `TransferError` when a run has not settled, whose sigma_1 still tells of its init; with
    fewer than two widths; and for a sigma_1 that is not above 0.

    Example:
      >>> level = {64: {0: 2.0, 1: 2.5}, 256: {0: 2.0, 1: 2.5}}
      >>> times = {64: 8.0, 256: 4.0}
      >>> measured = measure_decay({"attention.query": level}, Recipe("mup"), times)
      >>> measured["attention.query"].p
      Estimate(value=0.75, interval=(0.75, 0.75), reason=None)

    Source: arXiv 2510.15262 (the law, and p = 3/4).
    """
    found = {}
    for kind, by_width in sigma_1.items():
        _require(kind, by_width, decay_times)
        logs = {
            width: {seed: math.log2(value) for seed, value in by_seed.items()}
            for width, by_seed in by_width.items()
        }
        found[kind] = MeasuredDecay.of(slope_over_seeds(logs), recipe)
    return found


def require_settled(decay_times: Mapping[int, float]) -> None:
    """Raise `TransferError` for a width whose runs have not settled.

    Example:
      >>> require_settled({64: 8.0, 256: 4.0})
    """
    for width, times in sorted(decay_times.items()):
        if not times >= SETTLED:
            raise TransferError(
                f"The runs at width {width} lasted {times:.2g} decay times and have not settled; "
                f"expected sum(lr * decay) of at least {SETTLED:g}: train longer, or with a larger "
                "lr * decay."
            )


def _require(
    kind: str, by_width: Mapping[int, Mapping[int, float]], decay_times: Mapping[int, float]
) -> None:
    if len(by_width) < 2:
        raise TransferError(
            f"{kind} was measured at {len(by_width)} widths; expected two or more, between which "
            "sigma_1 has a slope."
        )
    require_settled({width: decay_times.get(width, 0.0) for width in by_width})
    for width, by_seed in sorted(by_width.items()):
        for seed, value in by_seed.items():
            if not 0 < value < math.inf:
                raise TransferError(
                    f"sigma_1 of {kind} at width {width}, seed {seed}, is {value}; expected a "
                    "number above 0: leave out runs that diverged."
                )
