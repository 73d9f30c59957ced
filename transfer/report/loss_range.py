"""The part of the losses that a figure over learning rates shows, and the transferred point."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from transfer.analysis import Optimum


def transferred(zero_shot: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the transferred run or reading at the widest width, if it has a loss.

    Example:
      >>> transferred({"64": {"loss": 2.1}, "128": {"loss": 2.0}})
      {'loss': 2.0}
      >>> transferred({"128": {"loss": None}}) is None
      True
    """
    target = zero_shot[max(zero_shot, key=int)] if zero_shot else None
    return target if target and target["loss"] is not None else None


def close_up(
    optima: Mapping[str, Sequence[Optimum]], recipes: Mapping[str, Any]
) -> tuple[float, float]:
    """Show every curve from its lowest point to two grid points away; what is higher runs out."""
    targets = [transferred(recipes[recipe]["zero_shot"]) for recipe in optima]
    shown = [target["loss"] for target in targets if target is not None]
    for optimum in (o for found in optima.values() for o in found):
        mean = optimum.curve.mean()
        best = int(mean.argmin())
        near = mean[max(best - 2, 0) : best + 3]
        shown.extend(near[np.isfinite(near)])
    if not shown:
        return 0.0, 1.0
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    return low - 0.06 * span, high + 0.18 * span
