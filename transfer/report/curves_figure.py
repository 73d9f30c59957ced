"""Training curves at the transferred setting: wider should be better, all the way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from transfer.analysis import Optimum
from transfer.analysis.losses import setting_of
from transfer.report.style import house_style, panels, width_colours
from transfer.report.words import title
from transfer.runs import Trial

# Shares of a run: the start, whose steep fall would flatten the rest, and the smoothing window.
_START, _WINDOW = 0.05, 0.02


def curves_figure(
    trials: Sequence[Trial],
    metrics: pa.Table,
    optima: Mapping[str, Sequence[Optimum]],
    verdict: Mapping[str, Any],
) -> Figure | None:
    """Draw training loss over steps, one panel per recipe, one curve per width.

    Every width is shown at its setting nearest the transferred learning rate: at the target that of
    the predicted trials where there are any, else the nearest point of its sweep. Curves are means
    over seeds and over a window of 2 % of the run. None when no metrics were recorded.
    """
    chosen = {
        recipe: {
            width: curve
            for width, shown in _shown(trials, recipe, found).items()
            if (curve := _mean_curve(metrics, shown)) is not None
        }
        for recipe, found in optima.items()
    }
    chosen = {recipe: curves for recipe, curves in chosen.items() if curves}
    if not chosen:
        return None
    colours = width_colours(sorted({width for curves in chosen.values() for width in curves}))
    with house_style():
        figure, axes = panels(
            [title(recipe, verdict["recipes"][recipe]) for recipe in chosen],
            "Training at the transferred learning rate",
        )
        seen = []
        for axis, curves in zip(axes, chosen.values(), strict=True):
            for width, (steps, loss) in curves.items():
                axis.plot(steps, loss, color=colours[width], label=f"width {width}")
                seen.extend(loss[steps >= _START * steps[-1]])
            axis.set_xlabel("step")
        axes[0].set_ylabel("training loss (nats per token)")
        margin = 0.05 * (max(seen) - min(seen)) or 0.1
        axes[0].set_ylim(min(seen) - margin, max(seen) + margin)
        lines = {line.get_label(): line for axis in axes for line in axis.get_lines()}
        ordered = [lines[f"width {width}"] for width in colours]
        figure.legend(handles=ordered, loc="outside right center")
    return figure


def _shown(
    trials: Sequence[Trial], recipe: str, optima: Sequence[Optimum]
) -> dict[int, list[Trial]]:
    """Return, by width, the finished trials of the setting nearest the transferred one."""
    mine = [trial for trial in trials if trial.recipe == recipe and trial.status == "completed"]
    widths = sorted({trial.width for trial in mine})
    proxy = [o for o in optima if o.width < widths[-1] or o is optima[0]][-1] if widths else None
    if proxy is None:
        return {}
    fitted = proxy.log2_learning_rate.value
    transferred = proxy.best.learning_rate if fitted is None else 2**fitted
    shown = {}
    for width in widths:
        here = [trial for trial in mine if trial.width == width]
        here = [trial for trial in here if trial.origin == "predicted"] or here
        nearest = min(
            here,
            key=lambda t: (abs(np.log2(t.learning_rate / transferred)), t.eval_loss),
        )
        shown[width] = [trial for trial in here if setting_of(trial) == setting_of(nearest)]
    return shown


def _mean_curve(metrics: pa.Table, trials: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray] | None:
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
