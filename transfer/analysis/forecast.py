"""The loss of targets before they train, from the law of their proxies."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.analysis.collapse import Collapse
from transfer.analysis.crossover import Crossover, crossover
from transfer.analysis.estimate import Interval
from transfer.analysis.scaling_law import ScalingLaw
from transfer.analysis.width_losses import WidthLoss, width_losses
from transfer.errors import TransferError
from transfer.run_directory import OBJECTIVES, TrialResult

MIN_WIDTHS = 5
SIZES: Mapping[str, str] = {"parameters": "parameters", "flops": "FLOPs"}
"""What a law is over, by the column of the table of trials, in words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetSize:
    """What one run at a width has and takes."""

    width: int
    parameters: int
    flops: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetForecast:
    """The loss of one target at its best learning rate, of the law over one size.

    Fields:
      loss: what the law has there.
      interval: in which the mean over as many seeds as the proxies have lies with 95 %.
      one_run: in which a single run lies with 95 %.
    """

    width: int
    size: float
    loss: float
    interval: Interval
    one_run: Interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What the narrower proxies forecast of the widest one, and what it came to."""

    width: int
    forecast: float
    interval: Interval
    loss: float

    @property
    def inside(self) -> bool:
        """Whether the loss is in the interval."""
        return self.interval[0] <= self.loss <= self.interval[1]

    @property
    def error(self) -> float:
        """By how much the forecast is too high, relative to the loss."""
        return self.forecast / self.loss - 1

    def __str__(self) -> str:
        """Say it in a clause."""
        return (
            f"held out, width {self.width} was forecast as {_numbers(self.forecast, self.interval)}"
            f" from the narrower widths and is {self.loss:.4f}: "
            f"{'inside' if self.inside else 'OUTSIDE'}, {100 * abs(self.error):.2f} % off."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeForecast:
    """The forecasts of one recipe.

    Fields:
      recipe, objective: whose loss, and which one.
      seeds: over how many runs the losses of proxies are averaged.
      widths: of the proxies.
      steps: of the narrowest and of the widest proxy.
      laws: of the loss over each of `SIZES`.
      targets: narrow ones first, by the same.
      held_out: by the same.
      collapse: of the training curves, where they were recorded.
      notes: what the forecast rests on beside its law.
    """

    recipe: str
    objective: str
    seeds: int
    widths: tuple[int, ...]
    steps: tuple[int, int]
    laws: Mapping[str, ScalingLaw]
    targets: Mapping[str, tuple[TargetForecast, ...]]
    held_out: Mapping[str, HeldOut]
    collapse: Collapse | None = None
    notes: tuple[str, ...] = ()

    def sentence(self, target: TargetForecast) -> str:
        """Say what a target, of the law over parameters, will reach."""
        runs = "one run" if self.seeds == 1 else f"the mean of {self.seeds} seeds"
        single = "" if self.seeds == 1 else f"; one run [{_ends(target.one_run)}]"
        return (
            f"At width {target.width} ({target.size:,.0f} parameters) {self.recipe} will reach a "
            f"{OBJECTIVES[self.objective]} of {_numbers(target.loss, target.interval)}, "
            f"{runs}, at its best learning rate{single}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return dataclasses.asdict(self) | {
            "widths": list(self.widths),
            "steps": list(self.steps),
            "laws": {size: law.to_json() for size, law in self.laws.items()},
            "targets": {
                size: [_plain(target) for target in targets]
                for size, targets in self.targets.items()
            },
            "held_out": {size: _plain(found) for size, found in self.held_out.items()},
            "collapse": self.collapse and self.collapse.to_json(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RecipeForecast":
        """Read what `to_json` wrote."""
        first, last = content["steps"]
        collapse = content["collapse"]
        return cls(
            **{
                **content,
                "widths": tuple(content["widths"]),
                "steps": (first, last),
                "laws": {size: ScalingLaw.from_json(law) for size, law in content["laws"].items()},
                "targets": {
                    size: tuple(_target(target) for target in targets)
                    for size, targets in content["targets"].items()
                },
                "held_out": {
                    size: HeldOut(**_with_intervals(found, "interval"))
                    for size, found in content["held_out"].items()
                },
                "collapse": collapse and Collapse.from_json(collapse),
                "notes": tuple(content["notes"]),
            }
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """Forecasts of all recipes of a sweep, and where their laws cross.

    Fields:
      recipes: by name.
      missing: why other recipes have none, by name.
      crossovers: of the laws over parameters, of every two recipes.
    """

    recipes: Mapping[str, RecipeForecast]
    missing: Mapping[str, str]
    crossovers: tuple[Crossover, ...] = ()

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the targets, narrow ones first."""
        targets = next(iter(self.recipes.values())).targets["parameters"]
        return tuple(target.width for target in targets)

    def __str__(self) -> str:
        """The sentences first, then what they rest on."""
        lines = []
        for found in self.recipes.values():
            lines += [found.sentence(target) for target in found.targets["parameters"]]
        for found in self.recipes.values():
            lines.append(f"{found.recipe}: {found.held_out['parameters']}")
            lines += [
                f"The law of {found.recipe} over {name}: loss = {found.laws[size].formula(name)}."
                for size, name in SIZES.items()
            ]
            if found.collapse:
                lines.append(f"{found.recipe}: {found.collapse}")
            lines += [f"{found.recipe}: {note}." for note in found.notes]
        lines += [each.sentence("parameters") for each in self.crossovers]
        lines += [f"No forecast for {name}: {reason}." for name, reason in self.missing.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`."""
        return {
            "recipes": {name: found.to_json() for name, found in self.recipes.items()},
            "missing": dict(self.missing),
            "crossovers": [each.to_json() for each in self.crossovers],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Forecast":
        """Read what `to_json` wrote; other keys are ignored.

        Raises:
          TransferError: a field is missing or unknown.
        """
        try:
            return cls(
                recipes={
                    name: RecipeForecast.from_json(found)
                    for name, found in content["recipes"].items()
                },
                missing=dict(content["missing"]),
                crossovers=tuple(map(Crossover.from_json, content["crossovers"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TransferError(
                f"This is not a forecast ({error}); restore what `transfer forecast` wrote."
            ) from error


def forecast(
    trials: Sequence[TrialResult],
    targets: Sequence[TargetSize],
    collapses: Mapping[str, Collapse] | None = None,
) -> Forecast:
    """Forecast the loss of targets from all narrower widths of a sweep, recipe by recipe.

    A law L = E + A x^-a is fitted to the lowest loss of every width (`width_losses`), over
    parameters and over FLOPs of a run. The widest proxy is held out once, and forecast from the
    others.

    Arguments:
      trials: of the run; those of the targets' width or wider are not looked at.
      targets: at least one.
      collapses: of the proxies' training curves, by recipe.

    Raises:
      TransferError: no recipe has five widths that are narrower than every target; it says what is
        missing.

    Example:
      >>> size = TargetSize(width=96, parameters=280_000, flops=1e12)
      >>> forecast(run.trials(), [size]).recipes["mup+sqrt"]  # doctest: +SKIP
    """
    targets = sorted(targets, key=lambda target: target.width)
    recipes, missing = {}, {}
    for recipe in sorted({trial.recipe for trial in trials if trial.origin == "sweep"}):
        narrow = [trial for trial in trials if trial.width < targets[0].width]
        losses = width_losses(narrow, recipe)
        if reason := _missing(losses, targets[0].width):
            missing[recipe] = reason
        else:
            found = (collapses or {}).get(recipe)
            recipes[recipe] = _recipe_forecast(narrow, recipe, losses, targets, found)
    if not recipes:
        reasons = [f"{recipe} {reason}" for recipe, reason in missing.items()]
        raise TransferError(
            f"There is no forecast for width {targets[0].width}: "
            f"{'; '.join(reasons) or 'nothing was swept'}."
        )
    names = list(recipes)
    return Forecast(
        recipes=recipes,
        missing=missing,
        crossovers=tuple(
            crossover({name: recipes[name].laws["parameters"] for name in (first, second)})
            for place, first in enumerate(names)
            for second in names[place + 1 :]
        ),
    )


def _missing(losses: Sequence[WidthLoss], target: int) -> str | None:
    lacking = MIN_WIDTHS - len(losses)
    if lacking <= 0:
        return None
    widths = ", ".join(str(found.width) for found in losses) or "none"
    return (
        f"has {len(losses)} widths below {target} with a completed sweep ({widths}); expected at "
        f"least {MIN_WIDTHS}, so add {lacking} to sweep.widths"
    )


def _recipe_forecast(
    trials: Sequence[TrialResult],
    recipe: str,
    losses: Sequence[WidthLoss],
    targets: Sequence[TargetSize],
    collapse: Collapse | None,
) -> RecipeForecast:
    seeds = min(len(found.losses) for found in losses)
    first = next(trial for trial in trials if trial.recipe == recipe)
    steps = {trial.width: trial.steps for trial in trials if trial.recipe == recipe}
    laws, held_out, forecasts = {}, {}, {}
    for size in SIZES:
        points = [found.point(getattr(found, size)) for found in losses]
        laws[size] = law = ScalingLaw.fit(points)
        narrower, widest = ScalingLaw.fit(points[:-1]), points[-1]
        held_out[size] = HeldOut(
            width=losses[-1].width,
            forecast=narrower.at(widest.size),
            interval=narrower.interval(widest.size, seeds),
            loss=widest.loss,
        )
        forecasts[size] = tuple(
            TargetForecast(
                width=target.width,
                size=getattr(target, size),
                loss=law.at(getattr(target, size)),
                interval=law.interval(getattr(target, size), seeds),
                one_run=law.interval(getattr(target, size), 1),
            )
            for target in targets
        )
    widths = tuple(found.width for found in losses)
    return RecipeForecast(
        recipe=recipe,
        objective=first.objective,
        seeds=seeds,
        widths=widths,
        steps=(steps[widths[0]], steps[widths[-1]]),
        laws=laws,
        targets=forecasts,
        held_out=held_out,
        collapse=collapse,
        notes=_notes(losses, laws["parameters"], targets, held_out["parameters"]),
    )


def _notes(
    losses: Sequence[WidthLoss],
    law: ScalingLaw,
    targets: Sequence[TargetSize],
    held_out: HeldOut,
) -> tuple[str, ...]:
    notes = []
    if not held_out.inside:
        notes.append(
            f"the narrower widths did not forecast width {held_out.width}, so that their loss "
            "follows no single law and no interval is to be trusted"
        )
    notes += [f"at width {found.width} {found.note}" for found in losses if found.note]
    notes += law.notes
    reach = math.log2(targets[-1].parameters / losses[-1].parameters)
    spanned = math.log2(losses[-1].parameters / losses[0].parameters)
    if reach > spanned:
        notes.append(
            f"width {targets[-1].width} is further from the proxies than they are from each other, "
            "so that a bend of the law, which no interval holds, decides"
        )
    return tuple(notes)


def _numbers(value: float, interval: Interval) -> str:
    return f"{value:.4f} [{_ends(interval)}]"


def _ends(interval: Interval) -> str:
    return f"{interval[0]:.4f}, {interval[1]:.4f}"


def _plain(found: TargetForecast | HeldOut) -> dict[str, Any]:
    content = dataclasses.asdict(found)
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in content.items()
    }


def _with_intervals(content: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**content, **{name: (content[name][0], content[name][1]) for name in names}}


def _target(content: Mapping[str, Any]) -> TargetForecast:
    return TargetForecast(**_with_intervals(content, "interval", "one_run"))
