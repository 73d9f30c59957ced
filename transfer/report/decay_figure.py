"""Loss over learning rate and weight decay: whether both are best in the same place."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from transfer.analysis import SweepVerdict
from transfer.report.axes import decay_claim
from transfer.report.figure_data import DecayMap, decay_maps, scale_end
from transfer.report.style import INK, grid, house_style
from transfer.run_directory import TrialResult

_SHADES = matplotlib.colormaps["viridis_r"]


def decay_figure(trials: Sequence[TrialResult], verdict: SweepVerdict) -> Figure | None:
    """Draw by how many percent each loss lies above the lowest of its width, which has a frame.

    One row of maps per recipe and one column per width; crosses mark divergence. None when no width
    was swept at several decays.
    """
    maps = decay_maps(trials, verdict)
    if not maps:
        return None
    by_recipe: dict[str, list[DecayMap]] = {}
    for each in maps:
        by_recipe.setdefault(each.recipe, []).append(each)
    end = scale_end(maps)
    columns = max(map(len, by_recipe.values()))
    titles = [
        [f"{recipe}, width {each.width}" for each in found] + [""] * (columns - len(found))
        for recipe, found in by_recipe.items()
    ]
    how_far = f"how far the {verdict.objective} lies above the lowest of its width, in percent"
    judged = decay_claim(verdict)
    claim = f"{judged}: {how_far}" if judged else how_far.capitalize()
    with house_style():
        figure, rows = grid(titles, claim, panel_width=3.0)
        for axes, found in zip(rows, by_recipe.values(), strict=True):
            for axis in axes[len(found) :]:
                axis.set_axis_off()
            for axis, each in zip(axes, found, strict=False):
                _draw(axis, each, end)
            axes[0].set_ylabel(f"weight decay{verdict.at_base}")
        for axis in rows[-1]:
            axis.set_xlabel(f"learning rate{verdict.at_base}")
    return figure


def _draw(axis: Axes, each: DecayMap, end: float) -> None:
    rates = sorted({cell.rate for cell in each.cells})
    decays = sorted({cell.decay for cell in each.cells})
    shade = Normalize(0.0, end, clip=True)
    for cell in each.cells:
        place = rates.index(cell.rate), decays.index(cell.decay)
        excess = cell.excess
        colour = "#eeeeee" if excess is None else _SHADES(0.03 + 0.92 * float(shade(excess)))
        corner = place[0] - 0.5, place[1] - 0.5
        axis.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=1.2))
        text = "×" if excess is None else f"{excess:.1f}"
        dark = excess is not None and excess > 0.45 * end
        ink = "white" if dark else INK
        axis.text(*place, text, ha="center", va="center", color=ink, fontsize=8.5)
        if cell.lowest:
            axis.add_patch(
                Rectangle(
                    (corner[0] + 0.04, corner[1] + 0.04),
                    0.92,
                    0.92,
                    fill=False,
                    edgecolor="black",
                    linewidth=2.2,
                    zorder=4,
                )
            )
    axis.grid(visible=False)
    axis.set_xlim(-0.5, len(rates) - 0.5)
    axis.set_ylim(-0.5, len(decays) - 0.5)
    axis.set_xticks(range(len(rates)), [_rate(rate) for rate in rates])
    axis.set_yticks(range(len(decays)), [f"{decay:g}" for decay in decays])
    axis.tick_params(length=0)
    axis.spines[["left", "bottom"]].set_visible(False)


def _rate(rate: float) -> str:
    return f"{rate:.2g}\n($2^{{{np.log2(rate):z.3g}}}$)"
