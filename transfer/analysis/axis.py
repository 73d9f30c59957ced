"""How the optimum along one swept axis moves with width, and what moving it costs."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from transfer.analysis.basis import Basis
from transfer.analysis.estimate import Estimate
from transfer.analysis.losses import LossTable
from transfer.analysis.optimum import (
    WidthSweep,
    bounded,
    log2_or_nothing,
    points_of,
    rows_along,
    sweeps_by_recipe,
)
from transfer.analysis.regret import Regret
from transfer.analysis.slope import slope_of_draws
from transfer.analysis.surface import Rows, Surface, apart, fit_surfaces
from transfer.analysis.transferability import Transferability, judge_movement, judge_regrets
from transfer.errors import TransferError
from transfer.run_directory import TrialResult
from transfer.scaling.hyperparameters import MULTIPLIERS, NAMES

JOINTLY = "jointly"
"""The name of the verdict on moving learning rate and weight decay together."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AxisRegret:
    """What one width loses at the optimum of the next narrower one, instead of at its own.

    `regret` is in units of the loss and `relative` a share of the loss at this width's optimum.
    Both are those of the fitted bowl, so they are zero or above. All other hyperparameters are at
    their best.
    """

    width: int
    from_width: int
    regret: Estimate
    relative: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "width": self.width,
            "from_width": self.from_width,
            "regret": self.regret.to_json(),
            "relative": self.relative.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "AxisRegret":
        """Read what `to_json` wrote."""
        return cls(
            width=content["width"],
            from_width=content["from_width"],
            regret=Estimate.from_json(content["regret"]),
            relative=Estimate.from_json(content["relative"]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AxisVerdict:
    """What a sweep says of one axis of one recipe.

    Fields:
      axis: a name of `transfer.scaling.hyperparameters.NAMES`, or `JOINTLY`.
      optima: log2 of the best value by width, narrow ones first; empty for `JOINTLY`.
      slope: of `optima` over log2 width; its value is None for `JOINTLY`.
      regrets: of moving the optimum to each wider width from the next narrower one.
      basis: the data behind it; `basis.tentative` says why the answer is tentative, or is None.
      answer: `transfers` is true, false or undecided, `reason` the sentence with the numbers.
    """

    axis: str
    optima: Mapping[int, Estimate]
    slope: Estimate
    regrets: tuple[AxisRegret, ...]
    basis: Basis
    answer: Transferability

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "axis": self.axis,
            "optimum_log2": {str(width): each.to_json() for width, each in self.optima.items()},
            "slope": self.slope.to_json(),
            "regrets": [each.to_json() for each in self.regrets],
            "basis": self.basis.to_json(),
            "transfers": self.answer.transfers,
            "reason": self.answer.reason,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "AxisVerdict":
        """Read what `to_json` wrote."""
        return cls(
            axis=content["axis"],
            optima={
                int(width): Estimate.from_json(each)
                for width, each in content["optimum_log2"].items()
            },
            slope=Estimate.from_json(content["slope"]),
            regrets=tuple(map(AxisRegret.from_json, content["regrets"])),
            basis=Basis.from_json(content["basis"]),
            answer=Transferability(content["transfers"], content["reason"]),
        )


def judge_axes(
    trials: Sequence[TrialResult], recipe: str, sweeps: Sequence[WidthSweep] | None = None
) -> tuple[AxisVerdict, ...]:
    """Return the verdict on every axis of which a recipe's sweep tried several values.

    The learning rate comes first, then weight decay, both jointly where both were swept, and the
    multipliers. An axis is judged on the grid through the best setting.

    Args:
      sweeps: what `sweeps_by_recipe` returned of the recipe, where it is known already.

    Raises:
      TransferError: there are no sweep trials of the recipe, or their losses do not compare.

    Example:
      >>> [each.axis for each in judge_axes(trials, "mup+sqrt")]  # doctest: +SKIP
      ['learning_rate', 'weight_decay', 'jointly']
    """
    if sweeps is None:
        by_recipe = sweeps_by_recipe(trials)
        if recipe not in by_recipe:
            raise TransferError(
                f"There are no finished sweep trials of {recipe}; there are of "
                f"{', '.join(by_recipe)}."
            )
        sweeps = by_recipe[recipe]
    tables = {
        each.optimum.width: LossTable.of(trials, recipe, each.optimum.width) for each in sweeps
    }
    swept = [
        name
        for name in NAMES
        if any(len({getattr(s, name) for s in t.settings}) > 1 for t in tables.values())
    ]
    found = []
    if "learning_rate" in swept:
        found.append(_learning_rate(sweeps, tables))
    if "weight_decay" in swept:
        found.append(_other("weight_decay", [_Axis.of_decay(each) for each in sweeps], tables))
    if {"learning_rate", "weight_decay"} <= set(swept):
        found.append(_jointly(sweeps, tables))
    for name in MULTIPLIERS:
        if name in swept:
            found.append(_other(name, _multiplier(sweeps, tables, name), tables))
    return tuple(found)


@dataclasses.dataclass(frozen=True, eq=False)
class _Axis:
    """One width along an axis: the optimum with its draws, and the cost of being elsewhere."""

    width: int
    optimum: Estimate
    draws: np.ndarray
    span: tuple[float, float]
    cost: Callable[[np.ndarray], np.ndarray]
    level: np.ndarray

    @classmethod
    def of_decay(cls, sweep: WidthSweep) -> "_Axis":
        optimum = sweep.optimum.log2_weight_decay
        if optimum is None:
            note = sweep.optimum.note or "one weight decay was swept"
            optimum = Estimate(None, reason=f"{note}, at width {sweep.optimum.width}")
        return cls.of_surface(sweep.optimum.width, optimum, sweep.surface)

    @classmethod
    def of_surface(cls, width: int, optimum: Estimate, surface: Surface) -> "_Axis":
        places = [place for place in surface.rows if math.isfinite(place)] or [math.nan]
        if not surface.rows:
            empty = np.full(1, math.nan)
            return cls(width, optimum, empty, (math.nan, math.nan), lambda x: x, empty)
        return cls(
            width,
            optimum,
            surface.other,
            (min(places), max(places)),
            surface.height_along_other,
            surface.level,
        )


def told_as(axis: str) -> str:
    """Return the name of an axis in a sentence.

    Example:
      >>> told_as("weight_decay"), told_as("readout_output")
      ('decay', 'readout output')
    """
    return "decay" if axis == "weight_decay" else axis.replace("_", " ")


def _learning_rate(sweeps: Sequence[WidthSweep], tables: Mapping[int, LossTable]) -> AxisVerdict:
    axes = []
    for sweep in sweeps:
        width, surface = sweep.optimum.width, sweep.surface
        if not surface.rows:
            axes.append(_Axis.of_surface(width, sweep.optimum.log2_learning_rate, surface))
            continue
        x = surface.row.points[0]
        axes.append(
            _Axis(
                width,
                sweep.optimum.log2_learning_rate,
                surface.bottom,
                (float(x[0]), float(x[-1])),
                surface.height_along_rate,
                surface.level,
            )
        )
    return _other("learning_rate", axes, tables)


def _other(name: str, axes: Sequence[_Axis], tables: Mapping[int, LossTable]) -> AxisVerdict:
    optima = {axis.width: axis.optimum for axis in axes}
    decided = {axis.width: axis.draws for axis in axes if axis.optimum.value is not None}
    slope = slope_of_draws(optima, decided)
    regrets = [_moved(narrow, wide) for narrow, wide in itertools.pairwise(axes)]
    subject = f"the best {told_as(name)}"
    return AxisVerdict(
        axis=name,
        optima=optima,
        slope=slope,
        regrets=tuple(map(_axis_regret, regrets)),
        basis=_basis(name, tables, len(decided)),
        answer=judge_movement(list(optima.values()), slope, regrets, subject),
    )


def _moved(narrow: _Axis, wide: _Axis) -> Regret:
    place = narrow.optimum.value
    unknown = Regret(wide.width, narrow.width, "fitted", None)
    if place is None:
        reason = f"the optimum at width {narrow.width} is undecided"
        return dataclasses.replace(unknown, reason=reason)
    if not wide.span[0] <= place <= wide.span[1]:
        reason = f"2^{place:.3g} lies outside of what was trained at width {wide.width}"
        return dataclasses.replace(unknown, reason=reason)
    gaps = [
        axis.optimum.reason or f"the optimum at width {axis.width} is undecided"
        for axis in (narrow, wide)
        if axis.optimum.interval is None
    ]
    return _regret(unknown, wide.cost(narrow.draws), narrow.draws - wide.draws, wide.level, gaps)


def _regret(
    regret: Regret,
    cost: np.ndarray,
    offset: np.ndarray,
    level: np.ndarray,
    gaps: Sequence[str],
) -> Regret:
    found, relative = Estimate.of_cost(cost, offset), Estimate.of_cost(cost / level, offset)
    best = float(np.median(level))
    assert found.value is not None
    return dataclasses.replace(
        regret,
        loss=best + found.value,
        best_loss=best,
        regret=found.value,
        interval=None if gaps else found.interval,
        relative_regret=relative.value,
        relative_interval=None if gaps else relative.interval,
        reason=gaps[0] if gaps else None,
    )


def _axis_regret(regret: Regret) -> AxisRegret:
    return AxisRegret(
        width=regret.width,
        from_width=regret.from_width,
        regret=Estimate(regret.regret, regret.interval, regret.reason),
        relative=regret.relative,
    )


def _jointly(sweeps: Sequence[WidthSweep], tables: Mapping[int, LossTable]) -> AxisVerdict:
    regrets = []
    for narrow, wide in itertools.pairwise(sweeps):
        unknown = Regret(wide.optimum.width, narrow.optimum.width, "fitted", None)
        open_ends = [
            f"the optimum at width {each.optimum.width} is undecided"
            for each in (narrow, wide)
            if each.optimum.log2_learning_rate.interval is None
            or each.optimum.log2_weight_decay is None
        ]
        if open_ends:
            regrets.append(dataclasses.replace(unknown, reason=open_ends[0]))
            continue
        cost = wide.surface.height(narrow.surface.bottom, narrow.surface.other)
        offset = apart(narrow.surface, wide.surface)
        regrets.append(_regret(unknown, cost, offset, wide.surface.level, []))
    return AxisVerdict(
        axis=JOINTLY,
        optima={},
        slope=Estimate(None, reason="two axes move at once"),
        regrets=tuple(map(_axis_regret, regrets)),
        basis=_basis("weight_decay", tables, len(sweeps)),
        answer=judge_regrets(regrets),
    )


def _multiplier(
    sweeps: Sequence[WidthSweep], tables: Mapping[int, LossTable], name: str
) -> list[_Axis]:
    """Fit a multiplier as decay is: bowls over the learning rate at each of its values."""
    rows = {}
    for sweep in sweeps:
        best = sweep.optimum.best
        points = {
            place: points_of(curve)
            for place, curve in rows_along(tables[sweep.optimum.width], best, name).items()
            if np.isfinite(curve.mean()).any()
        }
        if points:
            rows[sweep.optimum.width] = Rows(points, log2_or_nothing(getattr(best, name)))
    surfaces = dict(zip(rows, fit_surfaces(list(rows.values())), strict=True))
    axes = []
    for sweep in sweeps:
        width = sweep.optimum.width
        surface = surfaces.get(width, Surface({}, math.nan))
        if surface.valley is None:
            value = getattr(sweep.optimum.best, name)
            reason = f"the best {told_as(name)}, {value:g}, has no others on both sides"
            axes.append(
                _Axis.of_surface(
                    width, Estimate(None, reason=f"{reason} at width {width}"), surface
                )
            )
            continue
        places = np.array(sorted(place for place in surface.rows if math.isfinite(place)))
        optimum = bounded(Estimate.of_draws(surface.other), places, f" at width {width}")
        axes.append(_Axis.of_surface(width, optimum, surface))
    return axes


def _basis(name: str, tables: Mapping[int, LossTable], widths: int) -> Basis:
    return Basis(
        seeds=min(len(table.seeds) for table in tables.values()),
        widths=widths,
        values=min(len({getattr(s, name) for s in table.settings}) for table in tables.values()),
    )
