"""Best learning rate and lowest loss over batch size, a curve per number of tokens."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from transfer.analysis import Ladder
from transfer.analysis.best_batch import Rung
from transfer.report.style import CATEGORIES, DPI, INK, PANEL_HEIGHT, PANEL_WIDTH, house_style


def ladder_figure(ladder: Ladder) -> Figure:
    """Draw the optima of the widest network over batch size, and the losses there."""
    widest = max(rung.size.width for rung in ladder.rungs)
    mine = [rung for rung in ladder.rungs if rung.size.width == widest and rung.is_known]
    lengths = sorted({rung.size.tokens for rung in mine})
    titles = ["best learning rate", "lowest held-out loss (nats)"]
    claim = f"Best learning rate and loss over batch size, width {widest}"
    with house_style():
        figure = Figure(
            figsize=(2 * PANEL_WIDTH + 1, PANEL_HEIGHT + 0.3), dpi=DPI, layout="constrained"
        )
        FigureCanvasAgg(figure)
        rates, losses = figure.subplots(1, 2)
        for axis, title in zip((rates, losses), titles, strict=True):
            axis.set_title(title)
        figure.suptitle(claim, x=0.01, ha="left", fontweight="bold")
        for place, tokens in enumerate(lengths):
            line = sorted((r for r in mine if r.size.tokens == tokens), key=lambda r: r.size)
            colour, name = CATEGORIES[place], f"{tokens:,} tokens"
            batches = [rung.size.batch_size for rung in line]
            low, middle, high = _quantiles(line)
            rates.plot(batches, middle, "o-", markersize=4, color=colour, label=name)
            rates.fill_between(batches, low, high, color=colour, alpha=0.15, linewidth=0)
            levels = [float(np.median(rung.sweep.surface.level)) for rung in line]
            losses.plot(batches, levels, "o-", markersize=4, color=colour, label=name)
        for best in ladder.best_batches:
            if best.size.width == widest and best.log2.value is not None:
                colour = CATEGORIES[lengths.index(best.size.tokens)]
                losses.axvline(2**best.log2.value, color=colour, linewidth=1, linestyle=":")
        known = [rung.size.batch_size for rung in mine]
        slope = np.array([min(known), max(known)], float)
        start = float(np.median([np.median(rung.rate) for rung in mine]))
        middle_batch = float(np.exp(np.log(known).mean()))
        rates.plot(slope, 2**start * np.sqrt(slope / middle_batch), "--", color=INK, linewidth=1)
        rates.annotate("sqrt(batch)", (slope[-1], 2**start * np.sqrt(slope[-1] / middle_batch)))
        rates.set_yscale("log", base=2)
        for axis in (rates, losses):
            axis.set_xscale("log", base=2)
            axis.set_xlabel("batch size (windows of 32 tokens)")
        losses.legend(fontsize=7)
    return figure


def _quantiles(line: list[Rung]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rates = np.stack([rung.rate for rung in line])
    low, middle, high = 2 ** np.quantile(rates, [0.025, 0.5, 0.975], axis=1)
    return low, middle, high
