"""The best learning rate, and weight decay, at one width."""

import dataclasses
import math
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from transfer.analysis.bootstrap import bootstrap_jointly
from transfer.analysis.estimate import Estimate
from transfer.analysis.losses import LossTable
from transfer.analysis.quadratic import curve_minimum, surface_minimum
from transfer.errors import TransferError
from transfer.markup import html_table
from transfer.renamed import renamed
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import MULTIPLIERS, Hyperparameters

Place = tuple[float, float]
_NOWHERE = (float("nan"), float("nan"))


@dataclasses.dataclass(frozen=True, eq=False)
class Landscape:
    """The part of a width's losses that decides its optimum, with multipliers at their best.

    Without `joint` it is a curve over the learning rate at one weight decay; with it, the best
    point and its neighbours on a grid over both.
    """

    table: LossTable
    joint: bool

    def locate(self, weights: np.ndarray | None = None) -> Place:
        """Return (log2 learning rate, log2 decay) of the optimum, NaN where undecided.

        On a curve the decay is not fitted: it is the curve's own, whose logarithm may be -inf. The
        bottom of a bowl counts where it lies among the points that the bowl was fitted to; further
        away it would be an extrapolation, which resamples with a flat bowl take to absurd places.
        """
        losses = self.table.mean(weights)
        if self.joint:
            place = surface_minimum(*self.coordinates, losses)
            return place if place is not None and self._holds(place) else _NOWHERE
        location = curve_minimum(self.coordinates[0], losses).location
        return _NOWHERE if location is None else (location, float(self.coordinates[1][0]))

    def _holds(self, place: Place) -> bool:
        return all(
            axis.min() <= coordinate <= axis.max()
            for axis, coordinate in zip(self.coordinates, place, strict=True)
        )

    def estimate(self) -> tuple[Estimate, ...]:
        """Return log2 of the best learning rate and, of a joint landscape, of the best decay."""
        place, count = self.locate(), 2 if self.joint else 1
        intervals = bootstrap_jointly(
            lambda weights: self.locate(weights)[:count], len(self.table.seeds), count
        )
        return tuple(
            Estimate(value, interval, reason)
            for value, (interval, reason) in zip(place[:count], intervals, strict=True)
        )

    def at_seeds(self, seeds: Collection[int]) -> "Landscape":
        """Return the same landscape with some of its seeds."""
        return Landscape(self.table.at_seeds(seeds), self.joint)

    @property
    def coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """log2 learning rates and log2 weight decays, shape [setting] each."""
        rates = [setting.learning_rate for setting in self.table.settings]
        decays = [setting.weight_decay for setting in self.table.settings]
        with np.errstate(divide="ignore"):
            return np.log2(rates), np.log2(decays)


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best hyperparameters of one recipe at one width.

    `best` is the best setting that was run, `best_loss` its loss averaged over `seeds` seeds, None
    where every run diverged. `log2_learning_rate` is fitted; `log2_weight_decay` too when decays
    were swept around their best, else it is None, `weight_decay` is that of `best` and `note` says
    why.
    """

    recipe: str
    width: int
    log2_learning_rate: Estimate
    log2_weight_decay: Estimate | None
    best: Hyperparameters
    best_loss: float | None
    seeds: int
    note: str | None = None

    if not TYPE_CHECKING:
        __getattr__ = renamed(
            "Optimum", {"curve": "WidthSweep.curve", "landscape": "WidthSweep.landscape"}
        )

    def _repr_html_(self) -> str:
        """What is known of it, and why what is not is not, for notebooks."""
        rate, decay = self.log2_learning_rate, self.log2_weight_decay
        best = f"learning rate {self.best.learning_rate:.4g}, decay {self.best.weight_decay:.4g}"
        loss = "every run diverged" if self.best_loss is None else f"loss {self.best_loss:.4f}"
        rows = [
            [f"width {self.width}", self.recipe],
            ["log2 of the best learning rate", _told(rate)],
            *([["log2 of the best decay", _told(decay)]] if decay else []),
            ["best that was run", f"{best}: {loss}"],
            *([["note", self.note]] if self.note else []),
        ]
        return html_table("The optimum at one width", rows)

    @property
    def nearest_log2_learning_rate(self) -> float:
        """log2 of the learning rate of the optimum, fitted or else the best that was run."""
        fitted = self.log2_learning_rate.value
        return math.log2(self.best.learning_rate) if fitted is None else fitted

    @property
    def weight_decay(self) -> float:
        """The weight decay of the optimum, fitted or else the best that was run."""
        if self.log2_weight_decay is None or self.log2_weight_decay.value is None:
            return self.best.weight_decay
        return float(2**self.log2_weight_decay.value)


@dataclasses.dataclass(frozen=True, eq=False)
class WidthSweep:
    """The sweep of one recipe at one width: its optimum, and the losses that it was fitted to.

    `curve` holds the losses over learning rate at the best decay and multipliers, `landscape` those
    that the fit reads; slopes and regrets resample it.
    """

    optimum: Optimum
    curve: LossTable = dataclasses.field(repr=False)
    landscape: Landscape = dataclasses.field(repr=False)

    @classmethod
    def of(
        cls,
        trials: Iterable[TrialResult],
        recipe: str,
        width: int,
        weight_decay: float | None = None,
    ) -> "WidthSweep":
        """Find the optimum as `find_optimum` does, and keep what it was found from.

        Raises:
          TransferError: there are no finished trials, or their losses do not compare.
        """
        table = LossTable.of(trials, recipe, width)
        if weight_decay is not None:
            table = table.where(lambda setting: setting.weight_decay == weight_decay)
        _require_comparable(table, recipe, width, weight_decay)
        losses = table.mean()
        best = table.settings[int(losses.argmin())]
        curve = Landscape(
            table.where(lambda s: dataclasses.replace(s, learning_rate=best.learning_rate) == best),
            joint=False,
        )
        surface, note = _surface(table, best)
        minimum = curve_minimum(curve.coordinates[0], curve.table.mean())
        decided = minimum.location is not None
        landscape = surface if surface is not None and decided else curve
        estimates = landscape.estimate() if decided else ()
        best_loss = float(losses.min())
        optimum = Optimum(
            recipe=recipe,
            width=width,
            log2_learning_rate=(
                estimates[0]
                if estimates
                else Estimate(None, reason=f"{minimum.reason} at width {width}")
            ),
            log2_weight_decay=estimates[1] if len(estimates) > 1 else None,
            best=best,
            best_loss=best_loss if np.isfinite(best_loss) else None,
            seeds=len(landscape.table.seeds),
            note=note,
        )
        return cls(optimum, curve.table, landscape)


def find_optimum(
    trials: Iterable[TrialResult], recipe: str, width: int, weight_decay: float | None = None
) -> Optimum:
    """Return the optimum of a recipe at one width, with a bootstrap interval over seeds.

    The optimum is the vertex of a quadratic in log2 learning rate through the best 3 to 5
    neighbouring losses, averaged over seeds. Where several weight decays were swept it is that of
    a quadratic in (log2 learning rate, log2 decay) through the best setting and its neighbours,
    unless `weight_decay` asks for one decay. Multipliers are held at their best.

    The value is None, with a reason that names the learning rates to add, when the best one lies
    on the grid's edge or too few neighbours of it are usable.

    Raises:
      TransferError: there are no finished trials, or their losses do not compare.

    Example:
      >>> find_optimum(trials, "mup+sqrt", 64).log2_learning_rate  # doctest: +SKIP
      Estimate(value=-5.4, interval=(-5.6, -5.2), reason=None)
    """
    return WidthSweep.of(trials, recipe, width, weight_decay).optimum


def sweeps_by_recipe(trials: Sequence[TrialResult]) -> dict[str, list[WidthSweep]]:
    """Return the sweep at every width, narrow ones first, by recipe in alphabetical order.

    Raises:
      TransferError: there are no sweep trials, or the losses of some do not compare.

    Example:
      >>> sweeps = sweeps_by_recipe(trials)  # doctest: +SKIP
      >>> [sweep.optimum.width for sweep in sweeps["mup+sqrt"]]  # doctest: +SKIP
      [16, 32, 64]
    """
    swept = [trial for trial in trials if trial.origin == "sweep" and trial.status != "failed"]
    if not swept:
        raise TransferError(
            "There are no sweep trials to judge; run `transfer sweep` at two or more widths first."
        )
    widths: dict[str, set[int]] = {}
    for trial in swept:
        widths.setdefault(trial.recipe, set()).add(trial.width)
    return {
        recipe: [WidthSweep.of(swept, recipe, width) for width in sorted(widths[recipe])]
        for recipe in sorted(widths)
    }


def _require_comparable(
    table: LossTable, recipe: str, width: int, weight_decay: float | None
) -> None:
    if not table.settings:
        at_decay = "" if weight_decay is None else f" and weight decay {weight_decay:g}"
        raise TransferError(
            f"There are no finished sweep trials of {recipe} at width {width}{at_decay}; sweep "
            "them first or name another."
        )
    if not table.seeds:
        raise TransferError(
            f"No seed was run at every setting of {recipe} at width {width}, so losses do not "
            "compare; sweep all settings with the same seeds."
        )


def _told(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undecided: {estimate.reason}"
    gap = f" (no interval: {estimate.reason})" if estimate.reason else ""
    return estimate.text("z.2f") + gap


def _surface(table: LossTable, best: Hyperparameters) -> tuple[Landscape | None, str | None]:
    """Return the best setting and its neighbours over both axes, or why decay cannot be fitted."""
    plane = table.where(lambda s: all(getattr(s, n) == getattr(best, n) for n in MULTIPLIERS))
    rates = sorted({setting.learning_rate for setting in plane.settings})
    decays = sorted({setting.weight_decay for setting in plane.settings})
    if len(decays) == 1:
        return None, None

    kept = f"weight decay stays at {best.weight_decay:g}, the best that was run"
    positive = [decay for decay in decays if decay > 0]
    if best.weight_decay in (0, positive[0], positive[-1]):
        return None, f"{kept}, because no decays were swept on both sides of it"

    rate, decay = rates.index(best.learning_rate), positive.index(best.weight_decay)
    near_rates, near_decays = rates[max(rate - 1, 0) : rate + 2], positive[decay - 1 : decay + 2]
    landscape = Landscape(
        plane.where(lambda s: s.learning_rate in near_rates and s.weight_decay in near_decays),
        joint=True,
    )
    if not np.isfinite(landscape.locate()).all():
        return (
            None,
            f"{kept}, because the losses around it do not form a bowl with its bottom there",
        )
    return landscape, None
