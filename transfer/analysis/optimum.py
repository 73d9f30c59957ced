"""The best learning rate, and weight decay, at one width."""

import dataclasses
from collections.abc import Collection, Iterable

import numpy as np

from transfer.analysis.bootstrap import bootstrap
from transfer.analysis.estimate import Estimate
from transfer.analysis.losses import LossTable
from transfer.analysis.quadratic import curve_minimum, surface_minimum
from transfer.errors import TransferError
from transfer.markup import html_table
from transfer.run_directory import Trial
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


@dataclasses.dataclass(frozen=True, eq=False)
class Optimum:
    """The best hyperparameters of one recipe at one width.

    `best` is the best setting that was run and `best_loss` its loss averaged over seeds. `curve`
    holds the losses over learning rate at its decay and multipliers, `landscape` those that the fit
    reads. `log2_learning_rate` is fitted; `log2_weight_decay` too when decays were swept around
    their best, else it is None, `weight_decay` is that of `best` and `note` says why.
    """

    recipe: str
    width: int
    log2_learning_rate: Estimate
    log2_weight_decay: Estimate | None
    best: Hyperparameters
    best_loss: float | None
    curve: LossTable = dataclasses.field(repr=False)
    landscape: Landscape = dataclasses.field(repr=False)
    note: str | None = None

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
    def weight_decay(self) -> float:
        """The weight decay of the optimum, fitted or else the best that was run."""
        if self.log2_weight_decay is None or self.log2_weight_decay.value is None:
            return self.best.weight_decay
        return float(2**self.log2_weight_decay.value)


def find_optimum(
    trials: Iterable[Trial], recipe: str, width: int, weight_decay: float | None = None
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
    table = LossTable.of(trials, recipe, width)
    if weight_decay is not None:
        table = table.where(lambda setting: setting.weight_decay == weight_decay)
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
    losses = table.mean()
    best = table.settings[int(losses.argmin())]
    curve = Landscape(
        table.where(lambda s: dataclasses.replace(s, learning_rate=best.learning_rate) == best),
        joint=False,
    )
    surface, note = _surface(table, best)
    minimum = curve_minimum(curve.coordinates[0], curve.table.mean())
    landscape = surface if surface is not None and minimum.location is not None else curve

    learning_rate = Estimate(None, reason=f"{minimum.reason} at width {width}")
    decay = None
    if minimum.location is not None:
        learning_rate = _estimate(landscape, axis=0)
        decay = _estimate(landscape, axis=1) if landscape.joint else None
    best_loss = float(losses.min())
    return Optimum(
        recipe=recipe,
        width=width,
        log2_learning_rate=learning_rate,
        log2_weight_decay=decay,
        best=best,
        best_loss=best_loss if np.isfinite(best_loss) else None,
        curve=curve.table,
        landscape=landscape,
        note=note,
    )


def _told(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undecided: {estimate.reason}"
    gap = f" (no interval: {estimate.reason})" if estimate.reason else ""
    return estimate.text("z.2f") + gap


def _estimate(landscape: Landscape, axis: int) -> Estimate:
    interval, reason = bootstrap(
        lambda weights: landscape.locate(weights)[axis], len(landscape.table.seeds)
    )
    return Estimate(landscape.locate()[axis], interval, reason)


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
