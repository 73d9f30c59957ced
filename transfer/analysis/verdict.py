"""The sweep's answer: `verdict.json`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from transfer.analysis.compute import ComputeSpent, compute_spent
from transfer.analysis.estimate import Estimate, interval_from_json, interval_json
from transfer.analysis.invariance import Invariance, judge_invariance
from transfer.analysis.optimum import Optimum, WidthSweep, sweeps_by_recipe
from transfer.analysis.regret import Regret, find_regret
from transfer.analysis.slope import optimum_slope
from transfer.analysis.spectrum import SpectrumSlope, spectrum_slopes
from transfer.analysis.transferability import Transferability, judge_transfer
from transfer.errors import TransferError
from transfer.run_directory import OBJECTIVES, TrialResult
from transfer.scaling.hyperparameters import Hyperparameters


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss by which trials compare, in words, and its unit.

    Example:
      >>> str(Objective("held-out loss", "nats"))
      'held-out loss (nats)'
    """

    name: str
    unit: str

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})"


@dataclasses.dataclass(frozen=True)
class SublayerVerdict:
    """How the top singular value of one sublayer moves with width, and whether it is invariant."""

    spectrum: SpectrumSlope
    invariance: Invariance

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return self.spectrum.to_json() | self.invariance.to_json()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SublayerVerdict":
        """Read what `to_json` wrote."""
        return cls(SpectrumSlope.from_json(content), Invariance.from_json(content))


@dataclasses.dataclass(frozen=True)
class RecipeVerdict:
    """What a sweep says of one recipe.

    `optima` are by increasing width, `slope` is that of their log2 learning rate over log2 width,
    `regrets` are those of transferring to each larger width from the next narrower one, and
    `sublayers` are by name, empty without singular values at two widths.
    """

    recipe: str
    optima: tuple[Optimum, ...]
    slope: Estimate
    regrets: tuple[Regret, ...]
    sublayers: Mapping[str, SublayerVerdict]
    answer: Transferability

    def proxy(self, width: int) -> Optimum:
        """Return the optimum that is transferred to a width: that of the next narrower one.

        Where no width is narrower there is nothing to transfer, and the narrowest stands for
        itself.
        """
        return self.optima[_next_narrower([optimum.width for optimum in self.optima], width)]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "optimum_log2_learning_rate": {
                str(optimum.width): optimum.log2_learning_rate.to_json() for optimum in self.optima
            },
            "optimum_log2_weight_decay": {
                str(optimum.width): optimum.log2_weight_decay.to_json()
                for optimum in self.optima
                if optimum.log2_weight_decay is not None
            },
            "best": {str(each.width): dataclasses.asdict(each.best) for each in self.optima},
            "best_loss": {str(optimum.width): optimum.best_loss for optimum in self.optima},
            "seeds": {str(optimum.width): optimum.seeds for optimum in self.optima},
            "notes": {str(each.width): each.note for each in self.optima if each.note is not None},
            "slope": self.slope.value,
            "slope_interval": interval_json(self.slope.interval),
            "slope_reason": self.slope.reason,
            "spectrum_slope": {name: each.to_json() for name, each in self.sublayers.items()},
            "zero_shot": {str(regret.width): regret.to_json() for regret in self.regrets},
            "transfers": self.answer.transfers,
            "reason": self.answer.reason,
        }

    @classmethod
    def from_json(cls, recipe: str, content: Mapping[str, Any]) -> "RecipeVerdict":
        """Read what `to_json` wrote."""
        decays = content["optimum_log2_weight_decay"]
        return cls(
            recipe=recipe,
            optima=tuple(
                Optimum(
                    recipe=recipe,
                    width=int(width),
                    log2_learning_rate=Estimate.from_json(rate),
                    log2_weight_decay=(
                        Estimate.from_json(decays[width]) if width in decays else None
                    ),
                    best=Hyperparameters(**content["best"][width]),
                    best_loss=content["best_loss"][width],
                    seeds=content["seeds"][width],
                    note=content["notes"].get(width),
                )
                for width, rate in content["optimum_log2_learning_rate"].items()
            ),
            slope=Estimate(
                content["slope"],
                interval_from_json(content["slope_interval"]),
                content["slope_reason"],
            ),
            regrets=tuple(map(Regret.from_json, content["zero_shot"].values())),
            sublayers={
                name: SublayerVerdict.from_json(each)
                for name, each in content["spectrum_slope"].items()
            },
            answer=Transferability(content["transfers"], content["reason"]),
        )


@dataclasses.dataclass(frozen=True)
class SweepVerdict:
    """What a sweep says of every recipe, by name in alphabetical order.

    Example:
      >>> verdict = SweepVerdict.from_json(run.read_json("report/verdict.json"))  # doctest: +SKIP
      >>> verdict.recipes["mup+sqrt"].answer.transfers  # doctest: +SKIP
      'true'
    """

    recipes: Mapping[str, RecipeVerdict]
    objective: Objective
    compute: ComputeSpent
    task: str
    provenance: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, read back by `from_json`. What is unknown is null; nothing is NaN."""
        return {
            "recipes": {name: verdict.to_json() for name, verdict in self.recipes.items()},
            "objective": dataclasses.asdict(self.objective),
            "compute": self.compute.to_json(),
            "task": self.task,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SweepVerdict":
        """Read what `to_json` wrote.

        Raises:
          TransferError: something is missing, unknown or of another kind.
        """
        try:
            return cls(
                recipes={
                    name: RecipeVerdict.from_json(name, verdict)
                    for name, verdict in content["recipes"].items()
                },
                objective=Objective(**content["objective"]),
                compute=ComputeSpent.from_json(content["compute"]),
                task=content["task"],
                provenance=content["provenance"],
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            wrong = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise TransferError(
                f"This is not the verdict of a sweep ({wrong}); write it anew with `transfer "
                "report`."
            ) from error


def judge(
    trials: Sequence[TrialResult],
    spectrum: pa.Table,
    *,
    task: str,
    provenance: Mapping[str, Any],
    sweeps: Mapping[str, Sequence[WidthSweep]] | None = None,
) -> SweepVerdict:
    """Return the verdict on every recipe of a run.

    Each width's optimum, its slope over width, the regret of transferring to each larger width from
    the next narrower one, the width slope of the top singular values and whether they are
    invariant, and whether the recipe transfers, each in a word and in a sentence.

    Args:
      trials: all trials of the run.
      spectrum: singular values, `SPECTRUM_SCHEMA`, maybe empty.
      task: what was trained, in a sentence.
      provenance: what it was made with.
      sweeps: what `sweeps_by_recipe` returned of these trials, where it is known already.

    Raises:
      TransferError: there are no sweep trials, or some do not compare.

    Example:
      >>> verdict = judge(trials, spectrum, task="code", provenance={})  # doctest: +SKIP
      >>> verdict.recipes["mup+sqrt"].answer.transfers  # doctest: +SKIP
      'true'
    """
    if sweeps is None:
        sweeps = sweeps_by_recipe(trials)
    return SweepVerdict(
        recipes={
            recipe: _judge_recipe(trials, spectrum, recipe, swept)
            for recipe, swept in sweeps.items()
        },
        objective=Objective(OBJECTIVES[trials[0].objective], "nats"),
        compute=compute_spent(trials),
        task=task,
        provenance=provenance,
    )


def _judge_recipe(
    trials: Sequence[TrialResult], spectrum: pa.Table, recipe: str, sweeps: Sequence[WidthSweep]
) -> RecipeVerdict:
    mine = [trial for trial in trials if trial.recipe == recipe and trial.status != "failed"]
    optima = [sweep.optimum for sweep in sweeps]
    swept = [optimum.width for optimum in optima]
    slope = optimum_slope(sweeps)
    by_width = {sweep.optimum.width: sweep for sweep in sweeps}
    regrets = [
        find_regret(mine, recipe, width, sweeps[_next_narrower(swept, width)], by_width.get(width))
        for width in sorted({trial.width for trial in mine})
        if width > swept[0]
    ]
    proxy = optima[_next_narrower(swept, max(trial.width for trial in mine))]
    slopes = spectrum_slopes(mine, spectrum, recipe, proxy.nearest_log2_learning_rate)
    return RecipeVerdict(
        recipe=recipe,
        optima=tuple(optima),
        slope=slope,
        regrets=tuple(regrets),
        sublayers={
            name: SublayerVerdict(found, judge_invariance(found, recipe))
            for name, found in slopes.items()
        },
        answer=judge_transfer(optima, slope, regrets),
    )


def _next_narrower(widths: Sequence[int], width: int) -> int:
    """Return the place of the widest of increasing `widths` below `width`, or else the first."""
    return max(sum(each < width for each in widths) - 1, 0)
