"""Training losses at the transferred setting, for a figure or a page to draw."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transfer.analysis import Optimum
from transfer.analysis.losses import setting_of
from transfer.report.words import listed
from transfer.run_directory import Trial

Curve = tuple[np.ndarray, np.ndarray]  # steps, loss

# Shares of a run: the start, whose steep fall would flatten the rest, and the smoothing window.
_START, _WINDOW = 0.15, 0.02


@dataclasses.dataclass(frozen=True, eq=False)
class RecipeCurves:
    """One recipe's training curves by width, and the widths at which a seed diverged."""

    curves: dict[int, Curve]
    diverged: tuple[int, ...]


def training_curves(
    trials: Sequence[Trial], metrics: pa.Table, optima: Mapping[str, Sequence[Optimum]]
) -> dict[str, RecipeCurves]:
    """Return training loss over steps by recipe and width.

    Every width is shown at its setting nearest the transferred learning rate: at the target that of
    the predicted trials where there are any, else the nearest point of its sweep. Curves are means
    over seeds and over a window of 2 % of the run; a width where a seed diverged has none. Recipes
    without a curve are left out.

    Example:
      >>> steps, loss = training_curves(trials, run.metrics(), optima)[  # doctest: +SKIP
      ...     "mup+sqrt"
      ... ].curves[64]
    """
    result = {}
    for recipe, found in optima.items():
        shown = _shown(trials, recipe, found)
        curves = {
            width: curve
            for width, here in shown.items()
            if not _diverged(here) and (curve := _mean_curve(metrics, here)) is not None
        }
        if curves:
            gone = tuple(width for width, here in shown.items() if _diverged(here))
            result[recipe] = RecipeCurves(curves, gone)
    return result


def close_up(shown: Mapping[str, RecipeCurves]) -> tuple[float, float]:
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


def _shown(
    trials: Sequence[Trial], recipe: str, optima: Sequence[Optimum]
) -> dict[int, list[Trial]]:
    """Return, by width, the trials of the setting nearest the transferred one."""
    mine = [trial for trial in trials if trial.recipe == recipe and trial.status != "failed"]
    widths = sorted({trial.width for trial in mine})
    proxy = [o for o in optima if o.width < widths[-1] or o is optima[0]][-1]
    fitted = proxy.log2_learning_rate.value
    transferred = proxy.best.learning_rate if fitted is None else 2**fitted
    shown = {}
    for width in widths:
        here = [trial for trial in mine if trial.width == width]
        here = [trial for trial in here if trial.origin == "predicted"] or here
        nearest = min(
            here, key=lambda t: (abs(np.log2(t.learning_rate / transferred)), t.objective_value)
        )
        setting = setting_of(nearest)
        shown[width] = [trial for trial in here if setting_of(trial) == setting]
    return shown


def _diverged(trials: Sequence[Trial]) -> bool:
    return any(trial.status == "diverged" for trial in trials)


def _mean_curve(metrics: pa.Table, trials: Sequence[Trial]) -> Curve | None:
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
