"""How what was read off trunks at a horizon agrees with runs of that length."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from transfer.analysis.losses import LossTable
from transfer.analysis.optimum import find_optimum
from transfer.run_directory import TrialResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class HorizonAgreement:
    """How one sweep ranks settings as another of the same settings does.

    Fields:
      recipe, width: of both.
      settings: how many of them both completed.
      rank_correlation: Spearman's, of their mean losses; None with fewer than three.
      octaves: log2 of the best learning rate read off, over that of the runs; None where an optimum
        is undecided.
      regret: loss of the runs at the setting that was best when read off, above their lowest,
        relative to it.
      offset: mean over settings of the loss read off over that of the runs, less 1.
    """

    recipe: str
    width: int
    settings: int
    rank_correlation: float | None
    octaves: float | None
    regret: float
    offset: float


def horizon_agreement(
    read_off: Sequence[TrialResult], runs: Sequence[TrialResult], recipe: str, width: int
) -> HorizonAgreement:
    """Compare what was read off trunks (`at_horizon`) with runs of that length.

    Settings are compared by their mean over the seeds of each sweep; those that diverged in either
    are left out.

    Raises:
      TransferError: losses of one sweep do not compare, or it has none of this recipe and width.

    Example:
      >>> read_off = trunks.trials(ReadOff(400, "branch"))  # doctest: +SKIP
      >>> horizon_agreement(read_off, runs.trials(), "mup+sqrt", 64).octaves  # doctest: +SKIP
      -0.06
    """
    optima = [find_optimum(trials, recipe, width) for trials in (read_off, runs)]
    tables = [LossTable.of(trials, recipe, width) for trials in (read_off, runs)]
    found = [dict(zip(table.settings, table.mean(), strict=True)) for table in tables]
    shared = [
        setting
        for setting in found[0]
        if all(math.isfinite(losses.get(setting, math.inf)) for losses in found)
    ]
    read, run = (np.array([losses[setting] for setting in shared]) for losses in found)
    log2_rates = [optimum.log2_learning_rate.value for optimum in optima]
    known = [rate for rate in log2_rates if rate is not None]
    return HorizonAgreement(
        recipe=recipe,
        width=width,
        settings=len(shared),
        rank_correlation=rank_correlation(read, run) if len(shared) > 2 else None,
        octaves=known[0] - known[1] if len(known) == 2 else None,
        regret=float(run[int(read.argmin())] / run.min() - 1) if len(shared) else math.nan,
        offset=float((read / run).mean() - 1) if len(shared) else math.nan,
    )


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation of two arrays of values that all differ.

    Example:
      >>> rank_correlation(np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.3, 0.2]))
      0.5
    """
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (one, other)]
    return round(float(np.corrcoef(np.stack(ranks))[0, 1]), 12)
