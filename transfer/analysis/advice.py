"""What a sweep advises to train its target with."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.analysis.compute import AHEAD
from transfer.analysis.optimum import WidthSweep
from transfer.analysis.prediction import Prediction
from transfer.analysis.proxies import predict
from transfer.analysis.recipe_verdict import RecipeVerdict
from transfer.analysis.transferability import Transfers
from transfer.errors import TransferError
from transfer.run_directory import TrialResult

_ORDER: tuple[Transfers, ...] = ("true", "undecided", "false")
_STANDING: Mapping[Transfers, str] = {
    "true": "transfers",
    "undecided": "may transfer (undecided)",
    "false": "does not transfer either",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Advice:
    """What one recipe would train a width with; without a `prediction`, `reason` says what to do.

    `named` says whether that width is a target of the run, or stands for any wider one;
    `because` says why it is preferred to others, where it is.
    """

    recipe: str
    width: int
    named: bool
    prediction: Prediction | None
    because: str | None = None
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """What to do, in a sentence."""
        if self.prediction is None:
            return f"At width {self.width} nothing can be advised yet: {self.reason}"
        return self.prediction.sentence

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, without what is None."""
        content = {
            "recipe": self.recipe,
            "width": self.width,
            "named": self.named,
            "sentence": self.sentence,  # to be read; `from_json` makes it anew
            "prediction": self.prediction.to_json() if self.prediction else None,
        }
        told = {"because": self.because, "reason": self.reason}
        return content | {name: each for name, each in told.items() if each is not None}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Advice":
        """Read what `to_json` wrote."""
        prediction = content["prediction"]
        return cls(
            recipe=content["recipe"],
            width=content["width"],
            named=content["named"],
            prediction=Prediction.from_json(prediction) if prediction else None,
            because=content.get("because"),
            reason=content.get("reason"),
        )


def advise(
    trials: Sequence[TrialResult],
    recipes: Mapping[str, RecipeVerdict],
    sweeps: Mapping[str, Sequence[WidthSweep]],
    target: int | None,
) -> tuple[Advice, ...]:
    """Return what each recipe would train the target with, the one to prefer first.

    A recipe whose learning rate transfers is preferred, then one that is undecided; among equals
    that with the lowest loss at the widest width that all were swept at. A target of None is the
    width that was trained with predicted hyperparameters; without one, and for a target that no
    sweep is narrower than, it is 8 times the widest width that was swept.

    Example:
      >>> advise(trials, recipes, sweeps, target=128)[0].sentence  # doctest: +SKIP
      'At width 128 use learning rate 0.056 (2^-4.2) [0.048, 0.075] and decay 0.1 under mup+sqrt.'
    """
    swept = [{optimum.width for optimum in judged.optima} for judged in recipes.values()]
    if target is None:
        predicted = (trial.width for trial in trials if trial.origin == "predicted")
        target = max(predicted, default=None)
    named = target is not None and target > min(min(widths) for widths in swept)
    width = target if named and target is not None else AHEAD * max(map(max, swept))
    shared = max(set.intersection(*swept), default=None)

    def loss(judged: RecipeVerdict) -> float:
        found = next((each.best_loss for each in judged.optima if each.width == shared), None)
        return math.inf if found is None else found

    def standing(judged: RecipeVerdict) -> int:
        return _ORDER.index(judged.answer.transfers)

    ordered = sorted(recipes.values(), key=lambda judged: (standing(judged), loss(judged)))
    equals = sum(standing(judged) == standing(ordered[0]) for judged in ordered)
    because = None
    if len(ordered) > 1:
        because = f"{ordered[0].recipe} is advised because its learning rate "
        because += _STANDING[ordered[0].answer.transfers]
        if equals > 1:
            because += f" and its loss at width {shared} is the lowest of {equals} such recipes"
    return tuple(
        _advice(trials, sweeps[judged.recipe], judged, width, named, None if place else because)
        for place, judged in enumerate(ordered)
    )


def _advice(
    trials: Sequence[TrialResult],
    sweeps: Sequence[WidthSweep],
    judged: RecipeVerdict,
    width: int,
    named: bool,
    because: str | None,
) -> Advice:
    recipe = judged.recipe
    told = Advice(recipe=recipe, width=width, named=named, prediction=None, because=because)
    try:
        found = predict(trials, recipe, width, known=(sweeps, judged))
    except TransferError as error:
        return dataclasses.replace(told, reason=str(error))
    return dataclasses.replace(told, prediction=found)
