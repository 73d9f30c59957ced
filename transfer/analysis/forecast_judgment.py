"""What became of a forecast, once its targets are trained."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from transfer.analysis.estimate import Interval
from transfer.analysis.forecast import Forecast, RecipeForecast, TargetForecast
from transfer.analysis.losses import setting_of
from transfer.analysis.width_losses import width_losses
from transfer.run_directory import FORECAST, RunDirectory, TrialResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedForecast:
    """One target's forecast beside what it came to.

    Fields:
      recipe, width, parameters: of the target.
      forecast, interval: of the mean over as many runs as there are.
      loss, runs: what came, and over how many runs it is averaged; None where none was trained.
      source: `predicted`, at the hyperparameters that were predicted, or `swept`, at the bottom of
        a sweep of its own; empty where none was trained.
      note: why runs there do not compare with the forecast, or None.
    """

    recipe: str
    width: int
    parameters: float
    forecast: float
    interval: Interval
    loss: float | None = None
    runs: int = 0
    source: str = ""
    note: str | None = None

    @property
    def inside(self) -> bool | None:
        """Whether the loss is in the interval."""
        if self.loss is None:
            return None
        return self.interval[0] <= self.loss <= self.interval[1]

    @property
    def error(self) -> float | None:
        """By how much the forecast is too high, relative to the loss."""
        return None if self.loss is None else self.forecast / self.loss - 1

    def __str__(self) -> str:
        """Say it in a sentence."""
        said = (
            f"{self.recipe} at width {self.width} was forecast as {self.forecast:.4f} "
            f"[{self.interval[0]:.4f}, {self.interval[1]:.4f}]"
        )
        if self.loss is None or self.error is None:
            return f"{said} and is {self.note or 'not trained yet'}."
        runs = "one run" if self.runs == 1 else f"{self.runs} runs"
        return (
            f"{said} and came to {self.loss:.4f} ({runs}, {self.source}): "
            f"{'inside' if self.inside else 'OUTSIDE'}, {100 * abs(self.error):.2f} % off."
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return dataclasses.asdict(self) | {
            "interval": list(self.interval),
            "inside": self.inside,
            "error": self.error,
        }


def judge_forecast(forecast: Forecast, trials: Sequence[TrialResult]) -> list[JudgedForecast]:
    """Return every target of a forecast beside the trials of its width, recipe by recipe.

    Trials at the predicted hyperparameters count where there are any, since those are what was to
    be trained, and else the bottom of a sweep. The interval is that of a mean over as many runs.

    Example:
      >>> [judged.inside for judged in judge_forecast(made, run.trials())]  # doctest: +SKIP
      [True, None, None]
    """
    return [
        _judged(found, target, trials)
        for found in forecast.recipes.values()
        for target in found.targets["parameters"]
    ]


def _judged(
    found: RecipeForecast, target: TargetForecast, trials: Sequence[TrialResult]
) -> JudgedForecast:
    losses, source, note = _came(found, target, trials)
    law = found.laws["parameters"]
    runs = len(losses) or found.seeds
    return JudgedForecast(
        recipe=found.recipe,
        width=target.width,
        parameters=target.size,
        forecast=target.loss,
        interval=target.interval if runs == found.seeds else law.interval(target.size, runs),
        loss=sum(losses) / len(losses) if losses else None,
        runs=len(losses),
        source=source,
        note=note,
    )


def _came(
    found: RecipeForecast, target: TargetForecast, trials: Sequence[TrialResult]
) -> tuple[Sequence[float], str, str | None]:
    """Return the losses that compare with a target's forecast, and where they are from."""
    mine = [t for t in trials if t.recipe == found.recipe and t.width == target.width]
    if not mine:
        return (), "", None
    if found.steps[0] == found.steps[1] and any(t.steps != found.steps[0] for t in mine):
        return (), "", f"trained for other than the {found.steps[0]} steps of its proxies"
    if any(trial.objective != found.objective for trial in mine):
        return (), "", "compared by another loss than its proxies"
    predicted = [trial for trial in mine if trial.origin == "predicted"]
    if predicted:
        best = setting_of(predicted[0])
        chosen = [trial for trial in predicted if setting_of(trial) == best]
        if any(trial.status != "completed" for trial in chosen):
            return (), "", "diverged at the predicted hyperparameters"
        return [trial.objective_value for trial in chosen], "predicted", None
    swept = width_losses(mine, found.recipe)
    return (swept[0].losses, "swept", None) if swept else ((), "", "diverged")


def registered_forecast(run: RunDirectory) -> tuple[Forecast, str] | None:
    """Return the forecast of a run and when it was registered, or None.

    Raises:
      TransferError: the file is no forecast.
    """
    content = run.read_json(FORECAST)
    if content is None:
        return None
    return Forecast.from_json(content), str(content.get("registered", "an unknown time"))
