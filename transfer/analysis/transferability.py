"""Whether a recipe's hyperparameters transfer across width."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from transfer.analysis.estimate import Estimate, Interval
from transfer.analysis.optimum import Optimum
from transfer.analysis.regret import Regret
from transfer.markup import html_paragraph

Transfers = Literal["true", "false", "undecided"]

SLOPE_BAND = 0.25
"""Largest |d log2 optimum / d log2 width| that still counts as transfer.

Halfway between no drift (0) and the m^-1/2 drift that rules without per-layer rates are known for:
a factor of at most two in the optimum over four doublings of width, half a step per doubling on the
usual grid. Fixed before any run, never fitted to one.
"""

REGRET_BAND = 0.01
"""Largest relative regret that still counts as transfer.

A convention: 0.03 nats at a loss of 3, little beside what a misplaced learning rate costs. Fixed
before any run, never fitted to one.
"""


@dataclasses.dataclass(frozen=True)
class Transferability:
    """The answer, and the sentence with the numbers behind it."""

    transfers: Transfers
    reason: str

    def _repr_html_(self) -> str:
        """The sentence, for notebooks; it says the answer."""
        return html_paragraph(self.reason)


def judge_transfer(
    optima: Sequence[Optimum], slope: Estimate, regrets: Sequence[Regret]
) -> Transferability:
    """Say whether the optimum stays in place and transferring costs next to nothing.

    `false` when the slope's interval lies outside [-0.25, 0.25], when the interval of a relative
    regret lies above 1 %, or when training diverges at the transferred hyperparameters. `true` when
    the slope's interval lies inside that band and no interval of a relative regret reaches above
    1 %. `undecided` otherwise, and whenever a width's own optimum is. A width that was not tuned
    has no regret and is left out, unless training diverged there.

    Example:
      >>> judge_transfer(optima, optimum_slope(optima), regrets).transfers  # doctest: +SKIP
      'true'
    """
    return judge_movement([o.log2_learning_rate for o in optima], slope, regrets)


def judge_movement(
    optima: Sequence[Estimate],
    slope: Estimate,
    regrets: Sequence[Regret],
    subject: str = "the optimum",
) -> Transferability:
    """Say what `judge_transfer` does of the optima along any axis; `subject` names them."""
    missing = [optimum.reason for optimum in optima if optimum.value is None]
    if missing:
        return Transferability("undecided", f"{_capital('; '.join(map(str, missing)))}.")
    if slope.value is None:
        return Transferability("undecided", f"{_capital(str(slope.reason))}.")

    drift = f"{subject}'s slope over width is {slope.text('+z.2f')}"
    known = [regret for regret in regrets if regret.relative_regret is not None]
    worst = max(known, key=_upper, default=None)
    cost = "no regret is known"
    if worst is not None:
        cost = f"the largest regret is {worst.relative.text('.2%')} at width {worst.width}"

    if _outside(slope.interval, SLOPE_BAND):
        return Transferability("false", f"It does not transfer: {drift} and {cost}.")
    diverged = [regret for regret in regrets if regret.diverged]
    if diverged:
        where = f"training diverges at the transferred hyperparameters at width {diverged[0].width}"
        return Transferability("false", f"It does not transfer: {where}, and {drift}.")
    if any(_clearly_above(regret) for regret in known):
        return Transferability("false", f"It does not transfer: {drift} and {cost}.")

    unknown = [s for s in regrets if s.relative_regret is None and s.best_loss is not None]
    if unknown:
        where = f"the regret at width {unknown[0].width} is unknown ({unknown[0].reason})"
        return Transferability("undecided", f"It cannot be told: {drift}, but {where}.")
    cheap = bool(known) and all(_clearly_below(regret) for regret in known)
    if cheap and _inside(slope.interval, SLOPE_BAND):
        return Transferability("true", f"It transfers: {drift} and {cost}.")
    bands = (
        f"intervals within {SLOPE_BAND} and {REGRET_BAND:.0%} or clearly outside are needed to tell"
    )
    return Transferability("undecided", f"It cannot be told: {drift} and {cost}; {bands}.")


def judge_regrets(regrets: Sequence[Regret]) -> Transferability:
    """Say whether moving costs next to nothing, where several axes move and no slope is one.

    Example:
      >>> found = Regret(64, 32, "fitted", None, relative_regret=0.02)
      >>> found = dataclasses.replace(found, relative_interval=(0.015, 0.03))
      >>> judge_regrets([found]).transfers
      'false'
    """
    known = [regret for regret in regrets if regret.relative_regret is not None]
    diverged = [regret for regret in regrets if regret.diverged]
    if diverged:
        where = f"training diverges at the transferred hyperparameters at width {diverged[0].width}"
        return Transferability("false", f"It does not transfer: {where}.")
    if not known:
        reasons = "; ".join(str(regret.reason) for regret in regrets) or "no regret is known"
        return Transferability("undecided", f"It cannot be told: {reasons}.")
    worst = max(known, key=_upper)
    cost = f"the largest regret is {worst.relative.text('.2%')} at width {worst.width}"
    if any(_clearly_above(regret) for regret in known):
        return Transferability("false", f"It does not transfer: {cost}.")
    if len(known) == len(regrets) and all(_clearly_below(regret) for regret in known):
        return Transferability("true", f"It transfers: {cost}.")
    return Transferability(
        "undecided",
        f"It cannot be told: {cost}; an interval within {REGRET_BAND:.0%} or clearly outside is "
        "needed to tell.",
    )


def _outside(interval: Interval | None, band: float) -> bool:
    return interval is not None and (interval[0] > band or interval[1] < -band)


def _inside(interval: Interval | None, band: float) -> bool:
    return interval is not None and -band <= interval[0] and interval[1] <= band


def _clearly_above(regret: Regret) -> bool:
    return regret.relative_interval is not None and regret.relative_interval[0] > REGRET_BAND


def _clearly_below(regret: Regret) -> bool:
    return regret.relative_interval is not None and regret.relative_interval[1] <= REGRET_BAND


def _upper(regret: Regret) -> float:
    """The end of the interval, by which the worst regret is chosen, or else the value."""
    interval = regret.relative_interval
    return interval[1] if interval is not None else regret.relative_regret or 0.0


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
