"""Training curves at the transferred setting: wider should be better, all the way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from transfer.analysis import Optimum
from transfer.analysis.losses import setting_of
from transfer.report.style import house_style, panels, width_colours
from transfer.report.words import listed, title
from transfer.runs import Trial

Curve = tuple[np.ndarray, np.ndarray]  # steps, loss

# Shares of a run: the start, whose steep fall would flatten the rest, and the smoothing window.
_START, _WINDOW = 0.15, 0.02


def curves_figure(
    trials: Sequence[Trial],
    metrics: pa.Table,
    optima: Mapping[str, Sequence[Optimum]],
    verdict: Mapping[str, Any],
) -> Figure | None:
    """Draw training loss over steps, one panel per recipe, one curve per width.

    Every width is shown at its setting nearest the transferred learning rate: at the target that of
    the predicted trials where there are any, else the nearest point of its sweep. Curves are means
    over seeds and over a window of 2 % of the run; where a seed diverged a note stands in for the
    curve. None when no metrics were recorded.
    """
    shown = {recipe: _shown(trials, recipe, found) for recipe, found in optima.items()}
    drawn = {
        recipe: {
            width: curve
            for width, here in by_width.items()
            if not _diverged(here) and (curve := _mean_curve(metrics, here)) is not None
        }
        for recipe, by_width in shown.items()
    }
    chosen = {recipe: curves for recipe, curves in drawn.items() if curves}
    if not chosen:
        return None
    colours = width_colours(sorted({width for curves in chosen.values() for width in curves}))
    with house_style():
        titles = [title(recipe, verdict["recipes"][recipe]) for recipe in chosen]
        figure, axes = panels(titles, _claim(shown, chosen))
        for axis, (recipe, curves) in zip(axes, chosen.items(), strict=True):
            for width, (steps, loss) in curves.items():
                axis.plot(steps, loss, color=colours[width])
            axis.set_xlabel("step")
            if gone := [str(width) for width, here in shown[recipe].items() if _diverged(here)]:
                text = f"diverged: width {', '.join(gone)}"
                axis.text(0.97, 0.95, text, ha="right", va="top", transform=axis.transAxes)
        axes[0].set_ylabel("training loss (nats)")
        axes[0].set_ylim(*_limits(chosen))
        handles = [Line2D([], [], color=c, label=f"width {width}") for width, c in colours.items()]
        figure.legend(handles=handles, loc="outside right center")
    return figure


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
        nearest = min(here, key=lambda t: (abs(np.log2(t.learning_rate / transferred)), t.compared))
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


def _limits(chosen: Mapping[str, Mapping[int, Curve]]) -> tuple[float, float]:
    """Show everything but the steep start."""
    curves = [curve for by_width in chosen.values() for curve in by_width.values()]
    late = np.concatenate([loss[steps >= _START * steps[-1]] for steps, loss in curves])
    margin = 0.05 * float(np.ptp(late)) or 0.1
    return float(late.min()) - margin, float(late.max()) + margin


def _claim(
    shown: Mapping[str, Mapping[int, Sequence[Trial]]], chosen: Mapping[str, Mapping[int, Curve]]
) -> str:
    """Say under which recipes the loss at the end falls with every step in width."""
    better = []
    for recipe, curves in chosen.items():
        ends = [curves[width][1][-1] for width in sorted(curves)]
        if (np.diff(ends) < 0).all() and not any(map(_diverged, shown[recipe].values())):
            better.append(recipe)
    if not better:
        return "At the transferred learning rate, wider is not always better"
    where = "" if len(better) == len(chosen) else f" under {listed(better)} only"
    return f"At the transferred learning rate, wider is better{where}"
