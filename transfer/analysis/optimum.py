"""The best learning rate, and weight decay, at one width."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from transfer.analysis.estimate import Estimate
from transfer.analysis.losses import LossTable, setting_of
from transfer.analysis.points import Points
from transfer.analysis.quadratic import curve_minimum, open_end
from transfer.analysis.surface import Rows, Surface, fit_surfaces
from transfer.errors import TransferError
from transfer.markup import html_table
from transfer.notation import interval, learning_rate, number
from transfer.renamed import renamed
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import Hyperparameters


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
            "Optimum", {"curve": "WidthSweep.curve", "landscape": "WidthSweep.surface"}
        )

    def _repr_html_(self) -> str:
        """What is known of it, and why what is not is not, for notebooks."""
        rate, decay = self.log2_learning_rate, self.log2_weight_decay
        best = f"learning rate {learning_rate(self.best.learning_rate)}, "
        best += f"decay {self.best.weight_decay:.4g}"
        loss = "every run diverged" if self.best_loss is None else f"loss {self.best_loss:.4f}"
        rows = [
            [f"width {self.width}", self.recipe],
            ["best learning rate", _told(rate, learning_rate)],
            *([["best decay", _told(decay, number)]] if decay else []),
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

    `curve` holds the losses over learning rate at the best decay and multipliers, `surface` draws
    from the posterior of the losses around the optimum, over learning rate and decay; predicted
    trials on the curve count there too. Slopes and regrets are computed from the draws. Draws of
    sweeps that were fitted together belong together.
    """

    optimum: Optimum
    curve: LossTable = dataclasses.field(repr=False)
    surface: Surface = dataclasses.field(repr=False)

    if not TYPE_CHECKING:
        __getattr__ = renamed("WidthSweep", {"landscape": "WidthSweep.surface"})

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
        trials = list(trials)
        swept = {t.width for t in _swept(trials, recipe)} | {width}
        if weight_decay is not None:
            at_decay = [t for t in trials if t.weight_decay == weight_decay]
            swept = {t.width for t in _swept(at_decay, recipe)} | {width}
        widths = sorted(swept)
        return fit_widths(trials, recipe, widths, weight_decay)[widths.index(width)]


def fit_widths(
    trials: Iterable[TrialResult],
    recipe: str,
    widths: Sequence[int],
    weight_decay: float | None = None,
) -> list[WidthSweep]:
    """Return the sweeps of a recipe at some widths, fitted together as one regression.

    Raises:
      TransferError: a width has no finished trials, or its losses do not compare.

    Example:
      >>> narrow, wide = fit_widths(trials, "mup+sqrt", [32, 64])  # doctest: +SKIP
    """
    trials = list(trials)
    return fit_together([(trials, width) for width in widths], recipe, weight_decay)


def fit_together(
    parts: Sequence[tuple[Sequence[TrialResult], int]],
    recipe: str,
    weight_decay: float | None = None,
) -> list[WidthSweep]:
    """Return the sweeps of a recipe in some parts of a run, fitted together as one regression.

    Arguments:
      parts: trials and a width each, such as the rungs of a ladder.

    Raises:
      TransferError: a part has no finished trials of its width, or its losses do not compare.
    """
    tables = [_Table.of(trials, recipe, width, weight_decay) for trials, width in parts]
    told = [table for table in tables if table.rows is not None]
    surfaces = iter(fit_surfaces([table.rows for table in told if table.rows is not None]))
    return [
        table.sweep(recipe, next(surfaces) if table.rows is not None else _nowhere())
        for table in tables
    ]


def find_optimum(
    trials: Iterable[TrialResult], recipe: str, width: int, weight_decay: float | None = None
) -> Optimum:
    """Return the optimum of a recipe at one width, with a 95 % interval.

    The optimum is the bottom of a bowl in log2 learning rate (`transfer.analysis.bowls`), in one
    regression with all other widths that the trials hold. Where several weight decays were swept
    around the best one, bowls at each decay form a valley, whose lowest point is meant, unless
    `weight_decay` asks for one decay. Multipliers are held at their best.

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
    swept = [trial for trial in trials if trial.origin == "sweep" and trial.is_finished]
    if not swept:
        raise TransferError(
            "There are no sweep trials to judge; run `transfer sweep` at two or more widths first."
        )
    widths: dict[str, set[int]] = {}
    for trial in swept:
        widths.setdefault(trial.recipe, set()).add(trial.width)
    return {recipe: fit_widths(trials, recipe, sorted(widths[recipe])) for recipe in sorted(widths)}


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


def _told(log2: Estimate, written: Callable[[float], str]) -> str:
    if log2.value is None:
        return f"undecided: {log2.reason}"
    if log2.interval is None:
        return f"{written(2**log2.value)} (no interval: {log2.reason})"
    low, high = log2.interval
    return f"{written(2**log2.value)} {interval(2**low, 2**high)}"


def _swept(trials: Iterable[TrialResult], recipe: str) -> list[TrialResult]:
    return [
        trial
        for trial in trials
        if (trial.recipe, trial.origin) == (recipe, "sweep") and trial.is_finished
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class _Table:
    """One width's losses, with the rows that its optimum is fitted to; None if all diverged."""

    width: int
    table: LossTable
    best: Hyperparameters
    best_loss: float
    curve: LossTable
    rows: Rows | None

    @classmethod
    def of(
        cls, trials: Iterable[TrialResult], recipe: str, width: int, weight_decay: float | None
    ) -> "_Table":
        table = LossTable.of(trials, recipe, width)
        if weight_decay is not None:
            table = table.where(lambda setting: setting.weight_decay == weight_decay)
        _require_comparable(table, recipe, width, weight_decay)
        losses = table.mean()
        best = table.settings[int(losses.argmin())]
        curves = rows_along(table, best, "weight_decay")
        predicted = [t for t in trials if (t.recipe, t.width) == (recipe, width)]
        predicted = [t for t in predicted if t.origin == "predicted" and t.is_finished]
        fitted = {place: _with_predicted(curve, predicted) for place, curve in curves.items()}
        rows = {
            place: points_of(curve)
            for place, curve in fitted.items()
            if np.isfinite(curve.mean()).any()
        }
        place = log2_or_nothing(best.weight_decay)
        return cls(
            width,
            table,
            best,
            float(losses.min()),
            curves[place],
            Rows(rows, place) if rows else None,
        )

    def sweep(self, recipe: str, surface: Surface) -> WidthSweep:
        x = log2_rates(self.curve)
        minimum = curve_minimum(x, self.curve.mean())
        rate = Estimate(None, reason=f"{minimum.reason} at width {self.width}")
        decay, note = None, None
        if self.rows is not None and minimum.location is not None:
            decay, note = _decay(surface, self.rows, self.best)
            if decay is None:
                surface = dataclasses.replace(surface, valley=None)
            finite = x[np.isfinite(self.curve.mean())]
            rate = bounded(Estimate.of_draws(surface.bottom), finite, f" at width {self.width}")
        return WidthSweep(
            Optimum(
                recipe=recipe,
                width=self.width,
                log2_learning_rate=rate,
                log2_weight_decay=decay,
                best=self.best,
                best_loss=self.best_loss if math.isfinite(self.best_loss) else None,
                seeds=len(self.table.seeds),
                note=note,
            ),
            self.curve,
            surface,
        )


def _with_predicted(curve: LossTable, predicted: Sequence[TrialResult]) -> LossTable:
    """Return a curve with the predicted trials that lie on it and have all of its seeds.

    They were trained like the sweep's, at a learning rate that it may lack.
    """
    swept = curve.settings[0]
    loss: dict[Hyperparameters, dict[int, float]] = {}
    for trial in predicted:
        setting = setting_of(trial)
        on_curve = dataclasses.replace(setting, learning_rate=swept.learning_rate) == swept
        if on_curve and setting not in curve.settings:
            loss.setdefault(setting, {})[trial.seed] = trial.objective_value
    added = {
        setting: [by_seed[seed] for seed in curve.seeds]
        for setting, by_seed in loss.items()
        if set(curve.seeds) <= by_seed.keys()
    }
    if not added:
        return curve
    settings = (*curve.settings, *added)
    losses = np.concatenate([curve.losses, np.array(list(added.values()))])
    order = np.argsort([setting.learning_rate for setting in settings])
    return LossTable(tuple(settings[place] for place in order), curve.seeds, losses[order])


def rows_along(table: LossTable, best: Hyperparameters, axis: str) -> dict[float, LossTable]:
    """Return the losses over learning rate by log2 of an axis' value, all else at its best."""
    values = sorted({getattr(setting, axis) for setting in table.settings})
    rows = [dataclasses.replace(best, **{axis: value}) for value in values]
    tables = [_along_rate(table, row) for row in rows]
    return {
        log2_or_nothing(value): found
        for value, found in zip(values, tables, strict=True)
        if found.settings
    }


def _along_rate(table: LossTable, setting: Hyperparameters) -> LossTable:
    """The part of a table that differs from a setting in the learning rate alone."""
    rate = setting.learning_rate
    return table.where(lambda each: dataclasses.replace(each, learning_rate=rate) == setting)


def points_of(curve: LossTable) -> Points:
    """Return the losses over learning rate as points to fit a bowl to."""
    return Points.of(log2_rates(curve), curve.losses)


def log2_rates(curve: LossTable) -> np.ndarray:
    """Return log2 learning rates, shape [setting]."""
    return np.log2([setting.learning_rate for setting in curve.settings])


def log2_or_nothing(value: float) -> float:
    """Return log2 of a value, -inf of 0."""
    return math.log2(value) if value else -math.inf


def bounded(estimate: Estimate, x: np.ndarray, where: str = "") -> Estimate:
    """Return the estimate, without its interval where that leaves the points by over a step."""
    assert estimate.interval is not None
    reason = open_end(x, estimate.interval)
    return estimate if reason is None else Estimate(estimate.value, None, f"{reason}{where}")


def _decay(
    surface: Surface, rows: Rows, best: Hyperparameters
) -> tuple[Estimate | None, str | None]:
    """Return the best decay, or why it cannot be fitted."""
    if len(rows.points) == 1:
        return None, None
    kept = f"weight decay stays at {best.weight_decay:g}, the best that was run"
    if surface.valley is None:
        return None, f"{kept}, because no decays were swept on both sides of it"
    places = np.array(sorted(place for place in rows.points if math.isfinite(place)))
    found = bounded(Estimate.of_draws(surface.other), places)
    if found.interval is None:
        return (
            None,
            f"{kept}, because the losses around it do not form a bowl with its bottom there",
        )
    return found, None


def _nowhere() -> Surface:
    """The surface of a width at which every run diverged: nothing reads it."""
    return Surface({}, math.nan)
