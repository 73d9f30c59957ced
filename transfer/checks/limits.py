"""What widths, seeds and inputs cannot decide, in sentences that come before any verdict."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from transfer.checks.predictions import Predictions
from transfer.checks.rows import CheckRow
from transfer.scaling import Layout, Role

# Below it the share n^-1/2 by which a sum of n terms is off from its limit is more than 1/8.
ENOUGH_TERMS = 64


def dead_inputs(inputs: Sequence[Any]) -> tuple[str, ...]:
    """Say that a batch lets nothing through, if all its floating point numbers are zero.

    Example:
      >>> dead_inputs([jnp.zeros((2, 3))])[0].partition(",")[0]
      'The inputs are zero everywhere'
      >>> dead_inputs([jnp.ones((2, 3))]), dead_inputs([jnp.zeros(3, "int32")])
      ((), ())
    """
    numbers = [array for array in inputs if jnp.issubdtype(jnp.result_type(array), jnp.inexact)]
    if not numbers or any(bool(jnp.any(array)) for array in numbers):
        return ()
    return (
        "The inputs are zero everywhere, so that only inits could be judged; expected inputs= like "
        "those of training.",
    )


def terms_in_the_middle(layouts: Mapping[int, Layout]) -> int:
    """Return the fewest terms of a sum over the width, in the middle of the ladder of widths.

    There a sum of n terms, whose logarithm is off by about n^-1/2, bends as much as on average.
    """
    narrowest, widest = min(layouts), max(layouts)
    summed = (Role.HIDDEN, Role.OUTPUT)
    terms = [each.fan_in for each in layouts[narrowest].values() if each.role in summed]
    return round(min(terms, default=ENOUGH_TERMS) * math.sqrt(widest / narrowest))


def limits_of(rows: Sequence[CheckRow], predictions: Predictions, seeds: int) -> tuple[str, ...]:
    """Return what the widths, the seeds and the forward pass leave open."""
    return (*_of_widths(rows, predictions), *_of_graph(rows, predictions), *_of_rows(rows, seeds))


def _of_widths(rows: Sequence[CheckRow], predictions: Predictions) -> Iterator[str]:
    widths = sorted(predictions.layouts)
    terms = terms_in_the_middle(predictions.layouts)
    undecided = any(row.verdict in ("undecided", "differs") for row in rows)
    listed = ", ".join(map(str, widths))
    if terms < ENOUGH_TERMS and undecided:
        yield (
            f"The widths {listed} are narrow: in their middle sums have {terms} terms, which are "
            f"off from their limit by up to {terms**-0.5:.2f} in slope, where 0.25 decides; "
            f"expected widths whose sums have {ENOUGH_TERMS} terms or more."
        )
    if len(widths) < 3 and undecided:
        yield (
            f"The {len(widths)} widths {listed} do not show whether a slope "
            "still bends toward its limit; expected three or more."
        )
    if widths[-1] < 2 * widths[0]:
        yield (
            f"The widths {listed} span less than a doubling, over which noise "
            "looks like a slope; expected two doublings or more."
        )


def _of_graph(rows: Sequence[CheckRow], predictions: Predictions) -> Iterator[str]:
    inner = predictions.structure.inner
    if not inner or predictions.derived is not None:
        return
    count = sum(row.predicted is None and row.slope is not None for row in rows)
    yield (
        f"{count} sizes are not judged: {', '.join(inner[:3])} maps the width to a fixed size "
        "inside of the model, and loops, branches or operations without a rule hide how sizes "
        "pass through it."
    )


def _of_rows(rows: Sequence[CheckRow], seeds: int) -> Iterator[str]:
    open_rows = [row for row in rows if row.verdict == "undecided"]
    if not open_rows:
        return
    first = max(open_rows, key=lambda row: row.reach / row.tolerance)
    others = f" (and of {len(open_rows) - 1} more)" if len(open_rows) > 1 else ""
    opening = f"The slope of the {first.what} of {first.name}{others} is undecided"
    if first.reach > first.tolerance:
        # Noise falls as the square root of the number of seeds.
        wanted = math.ceil(seeds * (first.reach / first.tolerance) ** 2)
        yield (
            f"{opening}: its interval is {2 * first.reach:.2f} wide, where {2 * first.tolerance:g} "
            f"decides; expected some {wanted} seeds instead of {seeds}, or a longer ladder of "
            "widths."
        )
    else:
        yield (
            f"{opening}: its interval is partly within {first.tolerance:g} of theory and partly "
            "not; expected more seeds, a longer ladder of widths, or wider ones."
        )
