"""What figures show of a run, for a figure or a page to draw."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transfer.analysis import Optimum, RecipeVerdict, Regret, SweepVerdict, WidthSweep
from transfer.analysis.losses import LossTable, setting_of
from transfer.notation import listed
from transfer.run_directory import TrialResult

Curve = tuple[np.ndarray, np.ndarray]  # steps, loss

# Shares of a run: the start, whose steep fall would flatten the rest, and the smoothing window.
_START, _WINDOW = 0.15, 0.02


def transferred(judged: RecipeVerdict) -> Regret | None:
    """Return the transferred run or reading at the widest width, if it has a loss."""
    widest = max(judged.regrets, key=lambda regret: regret.width, default=None)
    return widest if widest is not None and widest.loss is not None else None


def loss_range(
    sweeps: Mapping[str, Sequence[WidthSweep]], verdict: SweepVerdict
) -> tuple[float, float]:
    """Show every curve from its lowest point to two grid points away; what is higher runs out."""
    targets = [transferred(verdict.recipes[recipe]) for recipe in sweeps]
    shown = [target.loss for target in targets if target is not None and target.loss is not None]
    for sweep in (sweep for found in sweeps.values() for sweep in found):
        mean = sweep.curve.mean()
        best = int(mean.argmin())
        near = mean[max(best - 2, 0) : best + 3]
        shown.extend(near[np.isfinite(near)])
    if not shown:
        return 0.0, 1.0
    low, high = min(shown), max(shown)
    span = high - low or 1.0
    return low - 0.06 * span, high + 0.18 * span


@dataclasses.dataclass(frozen=True)
class DecayCell:
    """One learning rate and decay: the mean `loss` over seeds, and the percentage above the lowest.

    Both are None where a run diverged.
    """

    rate: float
    decay: float
    loss: float | None
    excess: float | None
    lowest: bool


@dataclasses.dataclass(frozen=True)
class DecayMap:
    """One recipe at one width: a cell per learning rate and decay, at the best multipliers."""

    recipe: str
    width: int
    cells: tuple[DecayCell, ...]


def decay_maps(trials: Sequence[TrialResult], verdict: SweepVerdict) -> list[DecayMap]:
    """Return a map for every recipe and width at which several decays were swept.

    Example:
      >>> decay_maps(trials, verdict)[0].cells[0].excess  # doctest: +SKIP
      0.7
    """
    return [
        DecayMap(optimum.recipe, optimum.width, cells)
        for judged in verdict.recipes.values()
        for optimum in judged.optima
        if (cells := _cells(trials, optimum))
    ]


def scale_end(maps: Iterable[DecayMap]) -> float:
    """Return the end of the colour scale, a round number that three cells in four are below."""
    excesses = [cell.excess for each in maps for cell in each.cells if cell.excess is not None]
    if not excesses:
        return 1.0
    share = max(float(np.quantile(excesses, 0.75)), 0.1)
    power = 10.0 ** math.floor(math.log10(share))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= share)


@dataclasses.dataclass(frozen=True, eq=False)
class RecipeCurves:
    """One recipe's training curves by width, and the widths at which a seed diverged."""

    curves: dict[int, Curve]
    diverged: tuple[int, ...]


def training_curves(
    trials: Sequence[TrialResult], metrics: pa.Table, verdict: SweepVerdict
) -> dict[str, RecipeCurves]:
    """Return training loss over steps by recipe and width.

    Every width is shown at its setting nearest the transferred learning rate: at the target that of
    the predicted trials where there are any, else the nearest point of its sweep. Curves are means
    over seeds and over a window of 2 % of the run; a width where a seed diverged has none. Recipes
    without a curve are left out.

    Example:
      >>> steps, loss = training_curves(trials, run.metrics(), verdict)[  # doctest: +SKIP
      ...     "mup+sqrt"
      ... ].curves[64]
    """
    result = {}
    for recipe, judged in verdict.recipes.items():
        shown = _shown(trials, judged)
        curves = {
            width: curve
            for width, here in shown.items()
            if not _diverged(here) and (curve := _mean_curve(metrics, here)) is not None
        }
        if curves:
            gone = tuple(width for width, here in shown.items() if _diverged(here))
            result[recipe] = RecipeCurves(curves, gone)
    return result


def curves_range(shown: Mapping[str, RecipeCurves]) -> tuple[float, float]:
    """Return the range of losses that shows everything but the steep start."""
    curves = [curve for found in shown.values() for curve in found.curves.values()]
    late = np.concatenate([loss[steps >= _START * steps[-1]] for steps, loss in curves])
    margin = 0.05 * float(np.ptp(late)) or 0.1
    return float(late.min()) - margin, float(late.max()) + margin


def curves_claim(shown: Mapping[str, RecipeCurves]) -> str:
    """Say under which recipes the loss at the end falls with every step in width."""
    better = []
    for recipe, found in shown.items():
        ends = [found.curves[width][1][-1] for width in sorted(found.curves)]
        if (np.diff(ends) < 0).all() and not found.diverged:
            better.append(recipe)
    if not better:
        return "At the transferred learning rate, wider is not always better"
    where = "" if len(better) == len(shown) else f" under {listed(better)} only"
    return f"At the transferred learning rate, wider is better{where}"


def _cells(trials: Sequence[TrialResult], optimum: Optimum) -> tuple[DecayCell, ...]:
    best = optimum.best
    table = LossTable.of(trials, optimum.recipe, optimum.width).where(
        lambda s: (
            dataclasses.replace(s, learning_rate=1.0, weight_decay=1.0)
            == dataclasses.replace(best, learning_rate=1.0, weight_decay=1.0)
        )
    )
    if len({setting.weight_decay for setting in table.settings}) < 2:
        return ()
    losses = table.mean()
    low = float(losses.min())
    return tuple(
        DecayCell(
            rate=setting.learning_rate,
            decay=setting.weight_decay,
            loss=float(loss) if np.isfinite(loss) else None,
            excess=100 * float(loss - low) / low if np.isfinite(loss) else None,
            lowest=setting == best,
        )
        for setting, loss in zip(table.settings, losses, strict=True)
    )


def _shown(trials: Sequence[TrialResult], judged: RecipeVerdict) -> dict[int, list[TrialResult]]:
    """Return, by width, the trials of the setting nearest the transferred one."""
    mine = [t for t in trials if t.recipe == judged.recipe and t.is_finished]
    widths = sorted({trial.width for trial in mine})
    place = judged.proxy(widths[-1]).nearest_log2_learning_rate
    shown = {}
    for width in widths:
        here = [trial for trial in mine if trial.width == width]
        here = [trial for trial in here if trial.origin == "predicted"] or here
        nearest = min(
            here, key=lambda t: (abs(math.log2(t.learning_rate) - place), t.objective_value)
        )
        setting = setting_of(nearest)
        shown[width] = [trial for trial in here if setting_of(trial) == setting]
    return shown


def _diverged(trials: Sequence[TrialResult]) -> bool:
    return any(trial.status == "diverged" for trial in trials)


def _mean_curve(metrics: pa.Table, trials: Sequence[TrialResult]) -> Curve | None:
    names = pa.array([trial.trial for trial in trials])
    rows = metrics.filter(pc.is_in(metrics["trial"], value_set=names))
    means = rows.group_by("step").aggregate([("loss", "mean")]).sort_by("step")
    steps, loss = means["step"].to_numpy(), means["loss_mean"].to_numpy()
    steps, loss = steps[np.isfinite(loss)], loss[np.isfinite(loss)]
    if not len(steps):
        return None
    window = max(round(_WINDOW * len(steps)), 1)
    smooth = np.convolve(loss, np.full(window, 1 / window), mode="valid")
    return steps[window - 1 :], smooth
